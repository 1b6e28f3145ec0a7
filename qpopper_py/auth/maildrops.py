"""maildrop, accounts.maildrop and ``userdb_mail``: a template that becomes the name of a user's maildrop.

``mbox:`` or ``maildir:`` may stand before the path, and says what it is.

``cyrus:`` stands before a folder of a Cyrus spool.

``%u`` the whole name, ``%n`` what stands before its @, ``%d`` what stands behind it, ``%h`` (and ``~/`` at the
beginning) the account's home folder, ``%%`` a percent sign; ``%N`` the name's place below a partition of Cyrus'
(``user/%n``, a dot in it as ^, below ``domain/%d`` if there is a domain), ``%M`` the same with hashimapspool, ``%F``
with fulldirhash too.  What is put in is never read as a template again, and a name's part can be neither empty, nor
hold a slash, nor begin with a dot: it cannot climb out.
"""

PREFIXES = ("mbox:", "maildir:", "cyrus:")


def expand(template: str, user: str, home: str) -> str:
    """The absolute path, behind its prefix if any.  Raises ValueError, a phrase that goes on after the template."""
    prefix = next((prefix for prefix in PREFIXES if template.startswith(prefix)), "")
    template = template[len(prefix) :]
    if template.startswith("~/"):
        template = "%h" + template[1:]
    local, _, domain = user.partition("@")
    first, *pieces = template.replace("%%", "%\0").split("%")
    path = first
    for piece in pieces:
        path += _value(piece[:1], user, local, domain, home) + piece[1:]
    if not path.startswith("/"):
        raise ValueError("is not an absolute path")
    if prefix in ("maildir:", "cyrus:"):
        path = path.rstrip("/")
    if not path or path.endswith("/") or any(c < " " or c == "\x7f" for c in path):
        raise ValueError("is not the path of a file")
    return prefix + path


def bare(place: str) -> str:
    """The path of a maildrop's name, without its prefix."""
    return place.removeprefix(next((prefix for prefix in PREFIXES if place.startswith(prefix)), ""))


def _in_cyrus(letter: str, local: str, domain: str) -> str:
    """Cyrus' mboxname_hash: the letter stands before the folder ``user``, and before the domain's."""
    if not local or any("/" in part or part.startswith(".") for part in (local, domain)):
        raise ValueError(f"needs %{letter}, and the name has none that can be part of a path")
    name = local.replace(".", "^")
    folder = f"user/{name}" if letter == "N" else f"{_hashed(name, letter)}/user/{name}"
    if not domain:
        return folder
    return f"domain/{domain if letter == 'N' else f'{_hashed(domain, letter)}/{domain}'}/{folder}"


def _hashed(name: str, letter: str) -> str:
    """Cyrus' dir_hash_c: the first letter, or q; with fulldirhash A to W by all octets up to a dot."""
    if letter == "M":
        first = name[0].lower()
        return first if "a" <= first <= "z" else "q"
    number = 0
    for octet in name.partition(".")[0].encode("utf-8"):
        number = (((number << 3) ^ (number >> 5)) ^ octet) & 0xFFFFFFFF
    return chr(ord("A") + number % 23)


def _value(letter: str, user: str, local: str, domain: str, home: str) -> str:
    if letter == "\0":
        return "%"
    if letter == "h":
        if not home.startswith("/"):
            raise ValueError("needs a home folder, and the account has none (field 6, an absolute path)")
        return home.rstrip("/")
    if letter in ("N", "M", "F"):
        return _in_cyrus(letter, local, domain)
    parts = {"u": user, "n": local, "d": domain}
    if letter not in parts:
        raise ValueError(
            f"holds %{letter}; it takes %u user, %n name, %d domain, %h home, %N %M %F a place in a spool of Cyrus,"
            " %% a percent sign"
        )
    part = parts[letter]
    if not part or "/" in part or part.startswith("."):
        raise ValueError(f"needs %{letter}, and the name has none that can be part of a path")
    return part
