"""Old databases: made by the real libraries wherever one is here, by the documented layout where none can be."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qpopper_py.legacy_dbm import NotReadable, berkeley, gdbm, ndbm, records, sniff, text

if TYPE_CHECKING:
    from collections.abc import Callable

Pairs = dict[bytes, bytes]


def obscured(secret: bytes) -> bytes:
    """popauth(8): every octet XOR 0xFF."""
    return bytes(octet ^ 0xFF for octet in secret)


def popauth(users: int) -> Pairs:
    """A popauth database: enough users to split pages and buckets, some with a SCRAM field, one with 8 bits."""
    pairs = {
        b"user%d\0" % n: obscured(b"secret of %d" % n) + b"\0" + (b"c2NyYW0=" * 6 if n % 5 == 0 else b"") + b"\0"
        for n in range(users)
    }
    pairs["zoë\0".encode()] = obscured(b"tanstaaf") + b"\0\0"
    return pairs


def gone(pairs: Pairs) -> list[bytes]:
    """Who is deleted again after all were stored, so that pages have gaps."""
    return sorted(pairs)[::7]


def db_dump(pairs: Pairs, kind: str = "hash") -> str:
    lines = ["VERSION=3", "format=bytevalue", f"type={kind}", "HEADER=END"]
    lines += [" " + item.hex() for pair in sorted(pairs.items()) for item in pair]
    return "\n".join([*lines, "DATA=END", ""])


def perl(module: str, path: Path, pairs: Pairs, more: str = "") -> None:
    """Store all with one of Perl's DBM modules, then delete every seventh."""
    code = (
        f"use Fcntl; use {module}; my %d; tie(%d, '{module}', $ARGV[0], O_RDWR|O_CREAT, 0600{more}) or die $!;"
        "while (my $line = <STDIN>) { chomp $line; my ($do, $k, $v) = map { pack('H*', $_) } split(/ /, $line);"
        " if ($do eq 'put') { $d{$k} = $v } else { delete $d{$k} } } untie %d;"
    )
    lines = [f"{b'put'.hex()} {key.hex()} {value.hex()}\n" for key, value in pairs.items()]
    lines += [f"{b'cut'.hex()} {key.hex()} 00\n" for key in gone(pairs)]
    subprocess.run(["perl", "-e", code, str(path)], input="".join(lines).encode(), check=True)


def perl_has(module: str) -> None:
    if subprocess.run(["perl", f"-M{module}", "-e", "1"], capture_output=True).returncode:
        pytest.skip(f"Perl's {module} is not installed")


def left(pairs: Pairs) -> Pairs:
    return {key: value for key, value in pairs.items() if key not in gone(pairs)}


class TestRealFiles:
    """Each reader against the library that makes such files."""

    pairs = popauth(1500)

    @pytest.mark.client("perl")
    @pytest.mark.parametrize(
        ("module", "found", "kind"),
        [
            ("SDBM_File", ".pag", "ndbm"),  # sdbm's pages are ndbm's
            ("GDBM_File", "", "gdbm"),
            ("DB_File", "", "Berkeley DB"),
        ],
    )
    def test_perl(self, tmp_path: Path, module: str, found: str, kind: str) -> None:
        perl_has(module)
        path = tmp_path / "pop.auth"
        perl(module, path, self.pairs)
        assert sniff.find(str(path)) == str(path) + found
        read_kind, pairs = sniff.read(str(path) + found)
        assert read_kind == kind
        assert len(pairs) == len(left(self.pairs))
        assert dict(pairs) == left(self.pairs)

    @pytest.mark.client("perl")
    def test_a_berkeley_btree(self, tmp_path: Path) -> None:
        perl_has("DB_File")
        path = tmp_path / "pop.auth.db"
        perl("DB_File", path, self.pairs, ", $DB_BTREE")
        assert sorted(berkeley.read(path.read_bytes())) == sorted(left(self.pairs).items())

    @pytest.mark.client("db5.3_load")
    @pytest.mark.parametrize("order", ["1234", "4321"])
    @pytest.mark.parametrize("kind", ["hash", "btree"])
    @pytest.mark.parametrize("page", ["512", "4096", "65536"])
    def test_berkeley_db_in_either_byte_order(self, tmp_path: Path, order: str, kind: str, page: str) -> None:
        path = tmp_path / "pop.auth.db"
        line = ["db5.3_load", "-c", f"db_lorder={order}", "-c", f"db_pagesize={page}", str(path)]
        subprocess.run(line, input=db_dump(self.pairs, kind).encode(), check=True)
        kind_read, pairs = sniff.read(str(path))
        assert kind_read == "Berkeley DB"
        assert sorted(pairs) == sorted(self.pairs.items())

    @pytest.mark.client("db5.3_load", "db5.3_dump")
    @pytest.mark.parametrize("printed", [[], ["-p"]])
    def test_the_output_of_db_dump(self, tmp_path: Path, printed: list[str]) -> None:
        pairs = {**self.pairs, b"back\\slash\0": b"\\\\\x00\n \xff\0"}
        path = tmp_path / "pop.auth.db"
        subprocess.run(["db5.3_load", str(path)], input=db_dump(pairs).encode(), check=True)
        dump = tmp_path / "dump"
        dump.write_bytes(subprocess.run(["db5.3_dump", *printed, str(path)], capture_output=True, check=True).stdout)
        kind, read = sniff.read(str(dump))
        assert kind == "output of db_dump"
        assert sorted(read) == sorted(pairs.items())

    @pytest.mark.client("perl", "gdbm_dump")
    def test_the_output_of_gdbm_dump(self, tmp_path: Path) -> None:
        perl_has("GDBM_File")
        perl("GDBM_File", tmp_path / "pop.auth", self.pairs)
        subprocess.run(["gdbm_dump", str(tmp_path / "pop.auth"), str(tmp_path / "dump")], check=True)
        kind, pairs = sniff.read(str(tmp_path / "dump"))
        assert kind == "output of gdbm_dump"
        assert sorted(pairs) == sorted(left(self.pairs).items())

    @pytest.mark.client("perl", "gdbmtool")
    def test_gdbm_with_the_extended_header(self, tmp_path: Path) -> None:
        """gdbm 1.21 and later write it on request (numsync)."""
        perl_has("GDBM_File")
        path = tmp_path / "pop.auth"
        perl("GDBM_File", path, self.pairs)
        subprocess.run(["gdbmtool", str(path), "upgrade"], capture_output=True, check=True)
        assert path.read_bytes()[:4] == struct.pack("<I", 0x13579AD1)
        assert sorted(gdbm.read(path.read_bytes())) == sorted(left(self.pairs).items())

    @pytest.mark.client("perl")
    @pytest.mark.parametrize(("module", "suffix"), [("GDBM_File", ""), ("DB_File", ""), ("SDBM_File", ".pag")])
    def test_nothing_of_the_old_files_is_touched(self, tmp_path: Path, module: str, suffix: str) -> None:
        perl_has(module)
        perl(module, tmp_path / "pop.auth", self.pairs)
        path = Path(str(tmp_path / "pop.auth") + suffix)
        before = (path.read_bytes(), path.stat().st_mtime_ns, sorted(tmp_path.iterdir()))
        path.chmod(0o400)
        sniff.read(str(path))
        assert (path.read_bytes(), path.stat().st_mtime_ns, sorted(tmp_path.iterdir())) == before

    @pytest.mark.client("perl")
    @pytest.mark.parametrize(("module", "suffix"), [("GDBM_File", ""), ("DB_File", "")])
    def test_a_file_cut_off_anywhere_is_refused(self, tmp_path: Path, module: str, suffix: str) -> None:
        perl_has(module)
        perl(module, tmp_path / "pop.auth", self.pairs)
        path = tmp_path / "pop.auth"
        whole = path.read_bytes()
        for part in range(1, 10):
            path.write_bytes(whole[: len(whole) * part // 10])
            with pytest.raises(NotReadable):
                sniff.read(str(path))


def page(items: list[bytes], order: str, size: int = 1024) -> bytes:
    """A page by ndbm's layout: the count and the offsets at its start, the items from its end."""
    offsets, body = [], b""
    for item in items:
        body = item + body
        offsets.append(size - len(body))
    head = struct.pack(f"{order}{len(items) + 1}h", len(items), *offsets)
    assert len(head) + len(body) <= size
    return head + bytes(size - len(head) - len(body)) + body


class TestNdbm:
    users = [item for pair in list(popauth(12).items()) for item in pair]

    @pytest.mark.parametrize("order", ["<", ">"])
    def test_either_byte_order(self, tmp_path: Path, order: str) -> None:
        pages = [page(self.users[:8], order), bytes(1024), page(self.users[8:14], order)]
        path = tmp_path / "mailauth.pag"
        path.write_bytes(b"".join(pages))
        (tmp_path / "mailauth.dir").write_bytes(b"\x01")
        for name in ("mailauth", "mailauth.pag", "mailauth.dir"):
            kind, pairs = sniff.read(sniff.find(str(tmp_path / name)))
            assert kind == "ndbm"
            assert pairs == list(zip(self.users[:14:2], self.users[1:14:2], strict=True))

    def test_it_is_known_without_its_suffix(self, tmp_path: Path) -> None:
        (tmp_path / "copy").write_bytes(page(self.users[:4], "<"))
        assert sniff.read(str(tmp_path / "copy"))[0] == "ndbm"

    def test_an_empty_database_has_no_entries(self, tmp_path: Path) -> None:
        (tmp_path / "a.pag").write_bytes(b"")
        (tmp_path / "b.pag").write_bytes(bytes(2048))
        assert sniff.read(str(tmp_path / "a.pag")) == ("ndbm", [])
        assert sniff.read(str(tmp_path / "b.pag")) == ("ndbm", [])

    def test_what_deletions_left_on_a_page_is_no_entry(self) -> None:
        worn = bytearray(page(self.users[:6], "<"))
        worn[0:2] = struct.pack("<h", 2)
        assert ndbm.read(bytes(worn)) == [(self.users[0], self.users[1])]

    @pytest.mark.parametrize(
        "head",
        [
            struct.pack("<h", -2),
            struct.pack("<h", 3),
            struct.pack("<h", 1024),
            struct.pack("<hhh", 2, 1000, 1010),
            struct.pack("<hhh", 2, 1000, 2),
            struct.pack("<hhh", 2, 2000, 10),
        ],
    )
    def test_a_page_that_does_not_hold_together_is_refused(self, head: bytes) -> None:
        with pytest.raises(NotReadable):
            ndbm.read(page(self.users[:4], "<") + head + b"\x55" * (1024 - len(head)))

    @pytest.mark.parametrize("size", [2048, 4096, 8192])
    def test_pages_of_another_size_are_refused(self, size: int) -> None:
        with pytest.raises(NotReadable):
            ndbm.read(page(self.users[:6], "<", size))

    @settings(max_examples=100)
    @given(
        pairs=st.dictionaries(st.binary(min_size=1, max_size=20), st.binary(max_size=40), max_size=14),
        order=st.sampled_from("<>"),
    )
    def test_what_was_laid_out_is_read(self, pairs: Pairs, order: str) -> None:
        items = [item for pair in pairs.items() for item in pair]
        assert dict(ndbm.read(page(items, order))) == pairs


class TestOtherGdbm:
    """Files of machines that are not at hand, by the layout of gdbmdefs.h."""

    pairs = dict(list(popauth(5).items()))

    def build(self, order: str, magic: int, width: int, padded: bool) -> bytes:
        offset = {4: "i", 8: "q"}[width]
        gap = "4x" if padded else ""
        elements, block = 8, 1024
        directory = struct.pack(f"{order}Ii{offset}iiii", magic, block, block, width * 2, 1, block, elements)
        avail = f"i{gap}{offset}" * 6
        table, data = b"", b""
        for slot in range(elements):
            if slot < len(self.pairs):
                key, value = list(self.pairs.items())[slot]
                at = 3 * block + len(data)
                data += key + value
                table += struct.pack(f"{order}i4s{offset}ii", hash_of(key), key[:4], at, len(key), len(value))
            else:
                table += struct.pack(f"{order}i4s{offset}ii", -1, b"", 0, 0, 0)
        bucket = struct.pack(f"{order}i{gap}{avail}ii", 0, *[0] * 12, 0, len(self.pairs)) + table
        addresses = struct.pack(f"{order}2{offset}", 2 * block, 2 * block)
        return directory.ljust(block, b"\0") + addresses.ljust(block, b"\0") + bucket.ljust(block, b"\0") + data

    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize(
        ("magic", "width", "padded"),
        [
            (0x13579ACE, 4, False),
            (0x13579ACE, 8, True),
            (0x13579ACD, 4, False),
            (0x13579ACF, 8, True),
            (0x13579ACF, 8, False),
        ],
    )
    def test_offsets_of_any_width_and_either_byte_order(self, order: str, magic: int, width: int, padded: bool) -> None:
        assert dict(gdbm.read(self.build(order, magic, width, padded))) == self.pairs

    def test_an_entry_that_does_not_have_its_hash_is_refused(self) -> None:
        data = self.build("<", 0x13579ACF, 8, True)
        with pytest.raises(NotReadable):
            gdbm.read(data.replace(b"user3\0", b"user9\0"))


def hash_of(key: bytes) -> int:
    """gdbm's hash.c, for keys of 7 bits."""
    value = 0x238F13AF * len(key)
    for index, octet in enumerate(key):
        value = (value + ((octet - 256 if octet > 127 else octet) << (index * 5 % 24))) & 0x7FFFFFFF
    return (1103515243 * value + 12345) & 0x7FFFFFFF


class TestNoBytesCrashAReader:
    @settings(max_examples=150)
    @given(noise=st.binary(max_size=3000), head=st.sampled_from([b"", b"\xcf\x9a\x57\x13", b"\x13\x57\x9a\xcd"]))
    def test_gdbm(self, noise: bytes, head: bytes) -> None:
        read_or_refuse(gdbm.read, head + noise)

    @settings(max_examples=150)
    @given(noise=st.binary(max_size=3000), version=st.sampled_from([7, 8, 9, 10]), size=st.sampled_from([512, 1024]))
    def test_berkeley(self, noise: bytes, version: int, size: int) -> None:
        whole = noise + bytes(-len(noise) % size)
        for magic in (0x061561, 0x053162):
            head = struct.pack("<12xIIIBBBxII", magic, version, size, 0, 0, 0, 0, len(whole) // size)
            read_or_refuse(berkeley.read, head.ljust(size, b"\0") + whole)

    @settings(max_examples=150)
    @given(noise=st.binary(max_size=3000), count=st.integers(0, 6))
    def test_ndbm(self, noise: bytes, count: int) -> None:
        read_or_refuse(ndbm.read, (struct.pack("<h", count) + noise).ljust(3072, b"\0"))

    @settings(max_examples=150)
    @given(noise=st.binary(max_size=300))
    def test_texts(self, noise: bytes) -> None:
        read_or_refuse(text.read_lines, noise)
        for head in (b"format=print", b"format=bytevalue"):
            read_or_refuse(text.read_db_dump, b"VERSION=3\n" + head + b"\nHEADER=END\n " + noise + b"\nDATA=END\n")
        read_or_refuse(text.read_gdbm_dump, b"# GDBM dump file\n#:len=3\n" + noise + b"\n# End of data\n")


def read_or_refuse(read: Callable[[bytes], list[tuple[bytes, bytes]]], data: bytes) -> None:
    try:
        pairs = read(data)
    except NotReadable:
        return
    assert all(isinstance(key, bytes) and isinstance(value, bytes) for key, value in pairs)


class TestText:
    def test_lines_of_mailutils(self) -> None:
        """peers: a text file ``user:password``; the secret may hold colons.

        3.15's popauth -c takes no blank at the secret's ends for a part of it, and its -l writes one behind the colon.
        """
        assert text.read_lines(b"# old\nalice:tan:staaf\n\n  # more\nbob: x \n") == [
            (b"alice", b"tan:staaf"),
            (b"bob", b"x"),
        ]

    @pytest.mark.parametrize("line", [b"alice", b":secret", b"alice secret"])
    def test_a_line_that_is_neither_is_named_by_its_number(self, line: bytes) -> None:
        with pytest.raises(NotReadable, match="line 2") as refused:
            text.read_lines(b"bob:x\n" + line + b"\n")
        assert "secret" not in str(refused.value).replace("user:secret", "")

    def test_dumps_that_were_cut_off_are_refused(self) -> None:
        whole = db_dump(popauth(3)).encode()
        assert len(text.read_db_dump(whole)) == 4
        for end in (b"DATA=END\n", b" " + b"00"):
            with pytest.raises(NotReadable, match="DATA=END"):
                text.read_db_dump(whole[: whole.rindex(b"DATA=END")] + end[:4])


class TestRecords:
    """popauth: name NUL -> (secret XOR 0xFF) NUL (SCRAM) NUL.  mailutils: name -> secret."""

    @pytest.mark.parametrize(
        ("key", "value", "expected"),
        [
            (b"alice\0", obscured(b"tanstaaf") + b"\0\0", ("alice", b"tanstaaf", False)),
            (b"alice\0", obscured(b"tanstaaf") + b"\0", ("alice", b"tanstaaf", False)),  # Qpopper 2
            (b"alice\0", obscured(b"tanstaaf"), ("alice", b"tanstaaf", False)),
            (b"alice\0", obscured(b"tanstaaf") + b"\0c2NyYW0=\0", ("alice", b"tanstaaf", True)),
            (b"alice\0", b"\0c2NyYW0=\0", ("alice", b"", True)),
            (b"alice\0", obscured(b"*") + b"\0\0", ("alice", b"", False)),  # popauth's * switches APOP off
            (b"alice\0", obscured("pä".encode()) + b"\0\0", ("alice", "pä".encode(), False)),
            (b"alice", b"tanstaaf", ("alice", b"tanstaaf", False)),
            (b"alice", b"tanstaaf\0", ("alice", b"tanstaaf", False)),
            (b"alice", obscured(b"tanstaaf"), ("alice", b"tanstaaf", False)),
            (b"alice", b"", ("alice", b"", False)),
            ("zoë\0".encode(), obscured(b"x") + b"\0\0", ("zoë", b"x", False)),
        ],
    )
    def test_forms(self, key: bytes, value: bytes, expected: tuple[str, bytes, bool]) -> None:
        old = records.decode(key, value)
        assert (old.user, old.secret, old.scram) == expected

    @pytest.mark.parametrize(
        ("key", "value"), [(b"\0", b"x"), (b"", b"x"), (b"a\0b", b"x"), (b"\xff\xfe\0", b"x"), (b"alice", b"a\tb")]
    )
    def test_records_that_are_nobodys_are_refused(self, key: bytes, value: bytes) -> None:
        with pytest.raises(ValueError):
            records.decode(key, value)

    def test_the_secret_is_in_no_repr(self) -> None:
        assert "tanstaaf" not in repr(records.decode(b"alice", b"tanstaaf"))


class TestSniff:
    def test_what_is_nothing_known_is_named_with_what_to_run_there(self, tmp_path: Path) -> None:
        path = tmp_path / "mystery"
        path.write_bytes(b"\x7fELF\0" + bytes(range(256)) * 8)
        with pytest.raises(NotReadable) as refused:
            sniff.read(str(path))
        told = str(refused.value)
        assert "gdbm_dump" in told
        assert "db_dump" in told
        assert "NDBM_File" in told

    @pytest.mark.parametrize(
        ("content", "command"),
        [
            (struct.pack(">IIIIII", 0x061561, 2, 1234, 4096, 12, 256) + bytes(9000), "db_dump185"),  # 1.85's header
            (bytes(12) + struct.pack("<IIIBBB", 0x061561, 5, 4096, 0, 8, 0) + bytes(9000), "db_dump"),  # DB 2
            (struct.pack("<I", 0x13579ACF) + bytes(9000), "gdbm_dump"),
            (b"\x01\x00" + bytes(1022), ""),
        ],
    )
    def test_what_cannot_be_read_is_named_with_what_to_run_there(
        self, tmp_path: Path, content: bytes, command: str
    ) -> None:
        path = tmp_path / "pop.auth.pag"
        path.write_bytes(content)
        with pytest.raises(NotReadable, match=command or "NDBM_File") as refused:
            sniff.read(str(path))
        assert str(path) in str(refused.value)
        assert "mailauth convert" in str(refused.value)

    def test_the_perl_line_for_the_old_host_gives_what_we_read(self, tmp_path: Path) -> None:
        perl_has("NDBM_File")
        pairs = popauth(40)
        perl("NDBM_File", tmp_path / "pop.auth", pairs)
        line = sniff.advice("ndbm", str(tmp_path / "pop.auth.pag")).split("for ndbm: ")[1].split("\n")[0]
        subprocess.run(line, shell=True, check=True)
        kind, read = sniff.read(str(tmp_path / "pop.auth.txt"))
        assert kind == "output of db_dump"
        assert dict(read) == left(pairs)

    def test_our_own_database_needs_no_conversion(self, tmp_path: Path) -> None:
        path = tmp_path / "mailauth.db"
        path.write_bytes(b"SQLite format 3\0" + bytes(84))
        with pytest.raises(NotReadable, match="needs no conversion"):
            sniff.read(str(path))

    def test_a_missing_file_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            sniff.find(str(tmp_path / "none"))
