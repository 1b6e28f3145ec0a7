"""Which kind of old password database a file is, by what is in it; and what to do about one that cannot be read."""

import os

from qpopper_py.errors import QpopperError
from qpopper_py.legacy_dbm import NotReadable, berkeley, gdbm, ndbm, text

MOST_OCTETS = 256 << 20
SUFFIXES = ("", ".pag", ".db", ".dir")  # popauth's own option names the database without them

ON_OLD_HOST = {
    "gdbm": "gdbm_dump {name} {name}.txt",
    "Berkeley DB": "db_dump {name} > {name}.txt   (or db_dump185, db4.8_dump, ...)",
    "ndbm": (
        "perl -MNDBM_File -MFcntl -e 'tie %d,NDBM_File,shift,O_RDONLY,0 or die $!;"
        ' print "VERSION=3\\nformat=bytevalue\\ntype=hash\\nHEADER=END\\n";'
        ' print map {{" ".unpack("H*",$_)."\\n"}} %d; print "DATA=END\\n"\' {base} > {base}.txt'
    ),
}


def find(path: str) -> str:
    """The file that ``path`` means: itself, or with a suffix that DBM libraries add; FileNotFoundError."""
    if path.endswith(".dir") and os.path.isfile(path[:-4] + ".pag"):
        return path[:-4] + ".pag"  # the .dir of ndbm holds no entries
    for suffix in SUFFIXES:
        if os.path.lexists(path + suffix):
            return path + suffix
    raise FileNotFoundError(2, "No such file, nor with .pag or .db behind it", path)


def read(path: str) -> "tuple[str, list[tuple[bytes, bytes]]]":
    """(kind, pairs) of the database in file ``path`` as :func:`find` gave it.  NotReadable, OSError."""
    with open(path, "rb") as file:
        data = file.read(MOST_OCTETS + 1)
    if len(data) > MOST_OCTETS:
        raise NotReadable(f"{path} is larger than {MOST_OCTETS >> 20} MiB; no database of passwords is")
    kind = sniff(path, data)
    try:
        return kind, READERS[kind](data)
    except NotReadable as why:
        raise NotReadable(f"{path} looks like {kind}, but {why}{advice(kind, path)}") from None


def contents(path: str) -> "tuple[str, str, list[tuple[bytes, bytes]]]":
    """(file, kind, pairs) of the database that ``path`` means.  QpopperError says what cannot be read, and why."""
    try:
        found = find(path)
        return found, *read(found)
    except NotReadable as why:
        raise QpopperError(str(why)) from None
    except OSError as why:
        raise QpopperError(f"{path}: {why.strerror}") from None


def sniff(path: str, data: bytes) -> str:
    """A key of READERS; NotReadable if it is none of them."""
    if data.startswith(b"SQLite format 3\0"):
        raise NotReadable(f"{path} is a SQLite database; one of this program's needs no conversion: mailauth export")
    if gdbm.byte_order(data):
        return "gdbm"
    if berkeley.byte_order(data) or berkeley.is_185(data):
        return "Berkeley DB"
    if text.is_db_dump(data):
        return "output of db_dump"
    if text.is_gdbm_dump(data):
        return "output of gdbm_dump"
    if path.endswith(".pag"):
        return "ndbm"
    if b"\0" not in data:
        return "text"
    try:
        if ndbm.read(data):
            return "ndbm"
    except NotReadable:
        pass
    asked = "".join(advice(kind, path) for kind in ON_OLD_HOST)
    raise NotReadable(f"{path} is no database that is known here (gdbm, Berkeley DB, ndbm, text){asked}")


def advice(kind: str, path: str) -> str:
    """What to run where the old library is; empty if nothing would help."""
    command = ON_OLD_HOST.get(kind)
    if command is None:
        return ""
    base = path.removesuffix(".pag").removesuffix(".db")
    told = command.format(name=path, base=base)
    return f"\n  on the old host, for {kind}: {told}\n  then here: mailauth convert FILE.txt"


READERS = {
    "gdbm": gdbm.read,
    "Berkeley DB": berkeley.read,
    "ndbm": ndbm.read,
    "output of db_dump": text.read_db_dump,
    "output of gdbm_dump": text.read_gdbm_dump,
    "text": text.read_lines,
}
