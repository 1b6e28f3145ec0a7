"""cyrus.conf(5), for one thing: the name of the service that a command line is run as.

    SERVICES {
      pop3   cmd="pop3d -U 250" listen="pop3" prefork=0
    }

Under master(8) the environment tells; by inetd, or by hand, the first service whose command is a pop3d with the same of
-s and -k is ours.  A file that cannot be read, or is not of this form, names none.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = "/etc/cyrus.conf"
PROGRAMS = ("pop3d", "cyrus-pop3d")
LARGEST = 1 << 20


def service(secure: bool, ticket: bool, path: str = "") -> str:
    """The name, or empty; ``secure``: -s, ``ticket``: -k."""
    try:
        with open(path or PATH, "rb") as file:
            text = file.read(LARGEST).decode("utf-8", "replace")
    except OSError:
        return ""
    for name, command in services(text):
        words = command.split()
        if words and os.path.basename(words[0]) in PROGRAMS and ("-s" in words, "-k" in words) == (secure, ticket):
            return name
    return ""


def services(text: str) -> "Iterator[tuple[str, str]]":
    """(name, cmd) of each entry of the section SERVICES."""
    section = ""
    for line in text.split("\n"):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.endswith("{"):
            section = line[:-1].strip()
        elif line == "}":
            section = ""
        elif section == "SERVICES":
            name, _, rest = line.replace("\t", " ").partition(" ")
            command = value(rest, "cmd")
            if command:
                yield name, command


def value(text: str, key: str) -> str:
    """The value of ``key=VALUE`` or ``key="VALUE"``; empty if there is none."""
    _, found, rest = f" {text}".partition(f" {key}=")
    if not found:
        return ""
    return rest[1:].partition('"')[0] if rest.startswith('"') else rest.partition(" ")[0]
