"""Mailboxes for the tests, and a parser of mbox that goes line by line: slow, plain, and another hand's work."""

import os

from qpopper_py.settings import Settings
from qpopper_py.store.mbox.from_line import STRICT
from qpopper_py.store.mbox.scan import scan
from qpopper_py.store.opening import open_store

FROM = b"From a@example.org Wed Dec  2 05:53:22 1992\n"
MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
DAYS = b"Mon Tue Wed Thu Fri Sat Sun".split()


def message(number, body=b"hello\n", from_line=FROM):
    return from_line + b"Message-Id: <%d@example.org>\nSubject: number %d\n\n" % (number, number) + body + b"\n"


def store(folder, data=None, reports=None, dotlocks=None, state=None, path=None, **values):
    """A store over ``folder``/box or ``path``; ``folder``/box gets ``data`` first."""
    path = path or os.path.join(str(folder), "box")
    if data is not None:
        with open(path, "wb") as file:
            file.write(data)
    if state is None:
        state = os.path.join(str(folder), "state")
        os.makedirs(state, exist_ok=True)
    settings = Settings([("test", {name.replace("__", "."): value for name, value in values.items()})])
    report = reports.append if reports is not None else refuse
    return open_store(path, "nobody-of-this-name", str(state), settings, report, dotlocks)


def scan_bytes(folder, data, rule=STRICT, **sizes):
    """The layout of ``data``."""
    path = os.path.join(folder, "scanned")
    with open(path, "wb") as file:
        file.write(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        return scan(fd, path, 0, len(data), rule=rule, **sizes)
    finally:
        os.close(fd)


def found(layout, data):
    """A layout in the form of the plain parser."""
    return [
        (data[start:text], data[text:end], body - text)
        for start, text, body, end in zip(layout.starts, layout.texts, layout.bodies, layout.ends, strict=True)
    ]


def refuse(line):
    raise AssertionError(f"reported: {line}")


def lines_of(data):
    """Lines with their LF; the last may lack it."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def is_empty(line):
    return line in (b"\n", b"\r\n")


def is_zone(word):
    return (len(word) == 5 and word[:1] in b"+-" and word[1:].isdigit()) or (3 <= len(word) <= 5 and word.isalpha())


def is_from(line):
    """``From anything Www Mmm dd hh:mm[:ss] [zone] yyyy [zone][ remote from host]``, by words from the end."""
    if not line.startswith(b"From ") or len(line) > 4096:
        return False
    words = line.rstrip(b"\n").removesuffix(b"\r").split(b" ")
    if len(words) > 3 and words[-3:-1] == [b"remote", b"from"] and words[-1].split() == words[-1:]:
        words = words[:-3]
    if len(words) > 2 and is_zone(words[-1]):
        words.pop()
    if not words or len(words[-1]) != 4 or not words.pop().isdigit():
        return False
    if words and is_zone(words[-1]):
        words.pop()
    clock = words.pop().split(b":") if words else []
    if len(clock) not in (2, 3) or any(len(part) != 2 or not part.isdigit() for part in clock):
        return False
    if any(int(part) > most for part, most in zip(clock, (23, 59, 60), strict=False)):
        return False
    day = words.pop() if words else b""
    if len(day) == 1 and words and words.pop() != b"":  # a blank pads it
        return False
    if not day.isdigit() or len(day) > 2 or not 1 <= int(day) <= 31 or len(words) < 3:
        return False
    return words[-1] in MONTHS and words[-2] in DAYS


def parse(data):
    """[(From_ line, content, header length)] of an mbox, or None if it is not one."""
    kept = data.lstrip(b"\0\r\n")
    if not kept:
        return []
    if data[: len(data) - len(kept)].endswith(b"\r"):
        return None
    messages = []
    after_empty = True
    for line in lines_of(kept):
        if after_empty and is_from(line):
            messages.append((line, []))
        elif not messages:
            return None
        else:
            messages[-1][1].append(line)
        after_empty = is_empty(line)
    result = []
    for from_line, lines in messages:
        ends = [number for number, line in enumerate(lines) if is_empty(line)]
        header = ends[0] + 1 if ends else len(lines)
        if len(lines) > header and is_empty(lines[-1]):
            lines = lines[:-1]
        result.append((from_line, b"".join(lines), len(b"".join(lines[:header]))))
    return result


def wire(content):
    """What RETR sends of a stored content."""
    out = []
    for line in lines_of(content):
        if line.endswith(b"\r\n"):
            out.append(line)
        elif line.endswith(b"\n"):
            out.append(line[:-1] + b"\r\n")
        else:
            out.append(line + b"\r\n")
    return b"".join(out)
