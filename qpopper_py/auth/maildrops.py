"""maildrop, accounts.maildrop and ``userdb_mail``: a template that becomes the name of a user's maildrop.

``mbox:`` or ``maildir:`` may stand before the path, and says what it is.

``%u`` the whole name, ``%n`` what stands before its @, ``%d`` what stands behind it, ``%h`` (and ``~/`` at the
beginning) the account's home folder, ``%%`` a percent sign.  What is put in is never read as a template again,
and a name's part can be neither empty, nor hold a slash, nor begin with a dot: it cannot climb out.
"""

PREFIXES = ("mbox:", "maildir:")


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
    if prefix == "maildir:":
        path = path.rstrip("/")
    if not path or path.endswith("/") or any(c < " " or c == "\x7f" for c in path):
        raise ValueError("is not the path of a file")
    return prefix + path


def _value(letter: str, user: str, local: str, domain: str, home: str) -> str:
    if letter == "\0":
        return "%"
    if letter == "h":
        if not home.startswith("/"):
            raise ValueError("needs a home folder, and the account has none (field 6, an absolute path)")
        return home.rstrip("/")
    parts = {"u": user, "n": local, "d": domain}
    if letter not in parts:
        raise ValueError(f"holds %{letter}; it takes %u user, %n name, %d domain, %h home, %% a percent sign")
    part = parts[letter]
    if not part or "/" in part or part.startswith("."):
        raise ValueError(f"needs %{letter}, and the name has none that can be part of a path")
    return part
