"""Old servers' databases (passwords, bulletins), read without the libraries that made them, and never written.

- ``gdbm``      GNU dbm, either byte order, 32- and 64-bit offsets
- ``berkeley``  Berkeley DB 3.1 and later, hash and btree, either byte order
- ``ndbm``      classic ndbm and sdbm: NAME.pag beside NAME.dir
- ``twoskip``   Cyrus' own, version 1: its mailboxes.db
- ``text``      ``user:secret`` lines (mailutils), output of db_dump and gdbm_dump
- ``records``   what is in them: popauth's record, mailutils' record
- ``sniff``     which of these a file is

Every reader takes the file's octets and returns the list of (key, value); what does not hold together is
refused as a whole (:class:`NotReadable`), for half a database of passwords is worse than none.
"""


class NotReadable(Exception):
    """A file is not, or no longer, what its reader reads; the text says why."""
