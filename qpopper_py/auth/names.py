"""What may be a user's name: checked before any look-up, because names become paths, keys and log lines."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.settings import Settings

LOCAL_MOST = 64  # octets: popper's limit, and RFC 5321's (4.5.3.1.1) for what stands before the @
FOLDER = frozenset(map(chr, range(0x20, 0x7F))).difference("/%*\\")  # of a level: no path, no pattern
MOST = 254  # octets with a domain: RFC 5321 section 4.5.3.1.3 without the angle brackets; fits a file name


def canonical(given: str, settings: "Settings") -> str:
    """The name by which ``given`` is looked up, after :func:`check`.

    Where there are accounts.domains, ``user!domain`` and ``user:domain`` are user@domain, as getpwnam_virtual() of GNU
    mailutils' libauth/virtual.c has it.  Then come auth.strip_domain, auth.default_domain and auth.lowercase_user.
    Only A to Z are turned to lower case: other alphabets have letters that become others' ("K", the sign of
    the kelvin, becomes "k").  Raises ValueError with the reason, without the name.
    """
    user = given
    if settings.accounts_domains:
        at = min((found for mark in "!:@" if (found := user.find(mark, 1)) > 0), default=0)
        user = f"{user[:at]}@{user[at + 1 :]}" if at else user
    if settings.auth_strip_domain:
        user = user.partition("@")[0]
    local, _, domain = user.partition("@")
    if settings.auth_default_domain and domain.lower() == settings.auth_default_domain.lower():
        user = local
    if settings.auth_lowercase_user:
        user = "".join(c.lower() if "A" <= c <= "Z" else c for c in user)
    check(user)
    return user


def of_login(given: str, settings: "Settings") -> "tuple[str, str]":
    """(:func:`canonical` name, folder) of what a client calls itself; with ``subfolders`` that is USER+FOLDER@DOMAIN.

    The folder is as :func:`folder_of` spells it.  Raises ValueError as both.
    """
    user, plus, rest = given.partition("+")
    if settings.subfolders == "no" or not plus:
        return canonical(given, settings), ""
    folder, at, domain = rest.partition("@")
    user = canonical(user + at + domain, settings)
    folder = folder_of(folder, settings.subfolders)
    if len(f"{user}+{folder}".encode()) > MOST:
        raise ValueError("name with its folder is too long")
    return user, folder


def folder_of(given: str, separator: str) -> str:
    """A folder whose levels are parted by ``separator``, as we spell it: parted by dots, with ^ for a dot in a level.

    So do Cyrus' own names.  Raises ValueError for a folder that nobody can have.
    """
    if not FOLDER.issuperset(given.replace(separator, "")):
        raise ValueError("folder with a character that none may have")
    return ".".join(level.replace(".", "^") for level in given.split(separator) if level)


def check(user: str) -> None:
    """Raises ValueError, saying why, unless ``user`` can be a name.

    Printable and without blanks, no ``/``, not beginning with ``.`` or ``-``, at most one ``@`` with a name
    before it and a domain behind it that does not begin with ``.``.
    """
    try:
        octets = user.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("name is not UTF-8") from None
    local, at, domain = user.partition("@")
    if not local:
        raise ValueError("empty name")
    if len(local.encode("utf-8")) > LOCAL_MOST or len(octets) > MOST:
        raise ValueError("name is too long")
    if not user.isprintable() or any(c.isspace() for c in user):
        raise ValueError("name holds a blank or a control character")
    if "/" in user or user[0] in ".-":
        raise ValueError("name holds a slash, or begins with a dot or a dash")
    if at and (not domain or domain[0] == "." or "@" in domain):
        raise ValueError("name with a bad domain")
