"""The mailauth database: what it answers, and when it must not be believed."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qpopper_py import stamp
from qpopper_py.auth import authdb, authdb_edit, secrethash
from qpopper_py.auth.authdb import AuthDb
from qpopper_py.auth.authdb_edit import Editor, Entry, create, upgrade_file
from qpopper_py.errors import CredentialStoreError
from qpopper_py.stamp import has_apop_entries

# RFC 1939 section 7
STAMP = "<1896.697170952@dbc.mtview.ca.us>"
SECRET = b"tanstaaf"
DIGEST = b"c4c9334bac560ecc979e58001b3e22fb"
CHEAP = "$scrypt$ln=4,r=8,p=1$c2FsdHNhbHQ$"


@pytest.fixture
def place(tmp_path: Path) -> tuple[str, str, str]:
    where = (str(tmp_path / "db/mailauth.db"), str(tmp_path / "keys/key"), "")
    create(*where)
    return where


@pytest.fixture
def editor(place: tuple[str, str, str]) -> Editor:
    return Editor(*place)


def header_word(path: str, offset: int) -> int:
    return int.from_bytes(Path(path).read_bytes()[offset : offset + 4], "big")


class TestAnswers:
    def test_the_digest_of_rfc_1939_is_right(self, editor: Editor) -> None:
        editor.put("mrose", "APOP", SECRET)
        assert editor.check_apop("mrose", STAMP, DIGEST) is True

    @pytest.mark.parametrize("digest", [b"", DIGEST[:-1], DIGEST.upper(), b"0" * 32, DIGEST + b"0", b"\xff" * 32])
    def test_any_other_digest_is_wrong(self, editor: Editor, digest: bytes) -> None:
        editor.put("mrose", "APOP", SECRET)
        assert editor.check_apop("mrose", STAMP, digest) is False

    def test_a_digest_of_another_stamp_is_wrong(self, editor: Editor) -> None:
        editor.put("mrose", "APOP", SECRET)
        assert editor.check_apop("mrose", "<1897.697170952@dbc.mtview.ca.us>", DIGEST) is False

    def test_the_pop_secret_is_right_and_others_are_wrong(self, editor: Editor) -> None:
        editor.put("alice", "POP", b"a b  c ")
        assert editor.check_pop("alice", b"a b  c ") is True
        for wrong in (b"", b"a b  c", b"A b  c ", b"a b  c \0", b"x"):
            assert editor.check_pop("alice", wrong) is False

    def test_who_has_no_entry_of_the_type_is_neither_right_nor_wrong(self, editor: Editor) -> None:
        editor.put("alice", "POP", b"x")
        editor.put("bob", "APOP", b"x")
        assert editor.check_apop("alice", STAMP, DIGEST) is None
        assert editor.check_pop("bob", b"x") is None
        assert editor.check_pop("carol", b"x") is None
        assert editor.types("carol") == frozenset()

    def test_a_user_may_hold_one_of_each_type(self, editor: Editor) -> None:
        for type_ in ("POP", "APOP", "IMAP"):
            editor.put("alice", type_, b"secret of " + type_.encode())
        assert editor.types("alice") == {"POP", "APOP", "IMAP"}
        assert editor.check_pop("alice", b"secret of POP") is True
        assert editor.apop_secret("alice") == b"secret of APOP"

    def test_names_are_told_apart_by_case(self, editor: Editor) -> None:
        editor.put("alice", "APOP", SECRET)
        assert editor.types("Alice") == frozenset()

    def test_a_name_that_is_not_utf8_is_nobodys(self, editor: Editor) -> None:
        assert editor.types("alice\udcff") == frozenset()
        assert editor.check_pop("\udcff", b"x") is None

    @pytest.mark.parametrize("name", ["zoë", "a'b; DROP TABLE entries", "%", "日本", "a?b#c"])
    def test_any_text_can_be_a_name(self, editor: Editor, name: str) -> None:
        editor.put(name, "APOP", SECRET)
        assert editor.entries() == [(name, "APOP")]
        assert editor.check_apop(name, STAMP, DIGEST) is True

    def test_a_missing_database_has_no_entries(self, tmp_path: Path) -> None:
        db = AuthDb(str(tmp_path / "none"), str(tmp_path / "key"), "pop")
        assert db.types("alice") == frozenset()
        assert db.check_pop("alice", b"x") is None
        assert db.check_apop("alice", STAMP, DIGEST) is None
        assert has_apop_entries(db.path) is False
        assert not os.path.exists(db.path)

    @pytest.mark.parametrize("name", ["a b?c#d%41.db", "é.db"])
    def test_the_database_may_have_any_file_name(self, tmp_path: Path, name: str) -> None:
        where = (str(tmp_path / name), str(tmp_path / "key"), "")
        create(*where)
        assert not Editor(*where).put("alice", "APOP", SECRET)
        assert AuthDb(*where).types("alice") == {"APOP"}
        assert sorted(os.listdir(tmp_path)) == sorted([name, name + "-journal", "key"])


class TestHeader:
    """user_version is format * 2, plus 1 while there are APOP entries; SQLite keeps it at offset 60."""

    def test_user_version_says_whether_there_are_apop_entries(self, editor: Editor) -> None:
        seen = [header_word(editor.path, 60)]
        editor.put("alice", "POP", b"x")
        seen.append(header_word(editor.path, 60))
        editor.put("alice", "APOP", b"x")
        seen.append(header_word(editor.path, 60))
        editor.put("bob", "APOP", b"x")
        editor.remove("alice")
        seen.append(header_word(editor.path, 60))
        editor.remove("bob", "APOP")
        seen.append(header_word(editor.path, 60))
        assert seen == [2, 2, 3, 3, 2]

    def test_has_apop_entries_follows_it(self, editor: Editor) -> None:
        assert has_apop_entries(editor.path) is False
        editor.put("alice", "APOP", b"x")
        assert has_apop_entries(editor.path) is True
        editor.remove("alice")
        assert has_apop_entries(editor.path) is False

    def test_asking_loads_no_sqlite(self, editor: Editor) -> None:
        editor.put("alice", "APOP", b"x")
        ask = (
            "import sys; sys.path.insert(0, sys.argv[2]); from qpopper_py.stamp import has_apop_entries;"
            "print(has_apop_entries(sys.argv[1]), sorted({'sqlite3', 'ctypes', 'hashlib', 're'} & set(sys.modules)))"
        )
        root = str(Path(authdb.__file__).resolve().parents[2])
        done = subprocess.run([sys.executable, "-ISc", ask, editor.path, root], capture_output=True, text=True)
        assert done.stdout == "True []\n", done.stderr

    @pytest.mark.parametrize("content", [b"", b"SQLite format 3\0", b"alice:secret\n" * 20, bytes(4096)])
    def test_a_file_of_something_else_is_refused(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "db"
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(CredentialStoreError, match="not a mailauth database"):
            has_apop_entries(str(path))
        with pytest.raises(CredentialStoreError, match="not a mailauth database"):
            AuthDb(str(path), "/none", "").types("alice")

    def test_another_programs_sqlite_database_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "db"
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE entries (user, type, secret, changed)")
        db.close()
        path.chmod(0o600)
        with pytest.raises(CredentialStoreError, match="not a mailauth database"):
            AuthDb(str(path), "/none", "").types("alice")

    def test_a_newer_format_is_refused_by_its_number(self, editor: Editor) -> None:
        with sqlite3.connect(editor.path) as db:
            db.execute("PRAGMA user_version = 14")
        db.close()
        for ask in (lambda: editor.types("alice"), lambda: editor.put("alice", "POP", b"x")):
            with pytest.raises(CredentialStoreError, match=r"has format 7; .*use the newer program"):
                ask()
        with pytest.raises(CredentialStoreError, match="has format 7"):
            has_apop_entries(editor.path)


class TestUpgrade:
    @pytest.fixture
    def newer(self, editor: Editor, monkeypatch: pytest.MonkeyPatch) -> Editor:
        """A program of format 2 on a database of format 1."""
        editor.put("alice", "APOP", SECRET)
        for module in (stamp, authdb_edit):
            monkeypatch.setattr(module, "FORMAT", 2)
        monkeypatch.setitem(authdb_edit.UPGRADES, 1, "CREATE TABLE more (x); INSERT INTO more VALUES (1)")
        return editor

    def test_an_older_format_is_read_as_it_is(self, newer: Editor) -> None:
        assert newer.check_apop("alice", STAMP, DIGEST) is True
        assert header_word(newer.path, 60) == 3

    def test_the_first_change_brings_it_to_the_present_format(self, newer: Editor) -> None:
        newer.put("bob", "POP", b"x")
        assert header_word(newer.path, 60) == 5
        assert newer.rows("SELECT x FROM more") == [(1,)]
        assert newer.check_apop("alice", STAMP, DIGEST) is True

    def test_it_can_be_asked_for(self, newer: Editor, place: tuple[str, str, str]) -> None:
        assert upgrade_file(*place) == 1
        assert upgrade_file(*place) is None
        assert newer.types("alice") == {"APOP"}


class TestTrust:
    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o644])
    def test_a_database_that_others_can_read_or_write_is_refused(self, editor: Editor, mode: int) -> None:
        os.chmod(editor.path, mode)
        for ask in (
            lambda: editor.types("alice"),
            lambda: editor.check_pop("alice", b"x"),
            lambda: editor.check_apop("alice", STAMP, DIGEST),
            lambda: editor.put("alice", "POP", b"x"),
            lambda: editor.remove("alice"),
        ):
            with pytest.raises(CredentialStoreError, match=f"mode {mode:04o}"):
                ask()

    def test_a_folder_in_which_everybody_can_plant_a_journal_is_refused(self, editor: Editor) -> None:
        os.chmod(os.path.dirname(editor.path), 0o1777)
        with pytest.raises(CredentialStoreError, match="others can write in"):
            editor.types("alice")

    def test_a_link_to_a_database_is_judged_by_where_it_leads(self, editor: Editor, tmp_path: Path) -> None:
        editor.put("alice", "APOP", SECRET)
        link = tmp_path / "link"
        link.symlink_to(editor.path)
        linked = AuthDb(str(link), editor.key_path, "")
        assert linked.types("alice") == {"APOP"}
        os.chmod(os.path.dirname(editor.path), 0o777)
        with pytest.raises(CredentialStoreError, match="others can write in"):
            linked.types("alice")

    def test_a_folder_is_no_database(self, tmp_path: Path) -> None:
        with pytest.raises(CredentialStoreError, match="not a plain file"):
            AuthDb(str(tmp_path), "/none", "").types("alice")

    @pytest.mark.root
    def test_only_root_we_and_the_owner_account_may_own_it(self, editor: Editor) -> None:
        os.chown(editor.path, 1, -1)  # daemon
        with pytest.raises(CredentialStoreError, match="belongs to uid 1"):
            editor.types("alice")
        assert AuthDb(editor.path, editor.key_path, "daemon").types("alice") == frozenset()

    @pytest.mark.root
    def test_init_gives_all_to_the_owner_account(self, tmp_path: Path) -> None:
        create(str(tmp_path / "d/db"), str(tmp_path / "k/key"), "daemon")
        for path in ("d/db", "d/db-journal", "k", "k/key"):
            assert (tmp_path / path).stat().st_uid == 1, path
        assert (tmp_path / "d").stat().st_uid == 0

    def test_apop_without_its_key_is_refused_and_pop_goes_on(self, editor: Editor) -> None:
        editor.put("alice", "APOP", SECRET)
        editor.put("alice", "POP", b"x")
        os.unlink(editor.key_path)
        with pytest.raises(CredentialStoreError, match="is missing"):
            editor.check_apop("alice", STAMP, DIGEST)
        assert editor.check_pop("alice", b"x") is True

    def test_an_apop_secret_under_another_name_does_not_open(self, editor: Editor) -> None:
        """Whoever can write the file cannot give one user's secret to another."""
        editor.put("alice", "APOP", SECRET)
        with sqlite3.connect(editor.path) as db:
            db.execute("UPDATE entries SET user = 'bob'")
        db.close()
        with pytest.raises(CredentialStoreError, match="'bob' does not open"):
            editor.check_apop("bob", STAMP, DIGEST)

    def test_a_damaged_pop_hash_is_trouble_and_not_a_wrong_password(self, editor: Editor) -> None:
        with sqlite3.connect(editor.path) as db:
            db.execute("INSERT INTO entries VALUES ('alice', 'POP', x'24ff', 0)")
        db.close()
        with pytest.raises(CredentialStoreError, match="'alice' is damaged"):
            editor.check_pop("alice", b"x")

    def test_a_damaged_file_is_trouble(self, editor: Editor) -> None:
        editor.put("alice", "POP", b"x")
        with open(editor.path, "r+b") as file:
            file.seek(100)
            file.write(b"\xff" * 8000)
        with pytest.raises(CredentialStoreError, match=editor.path):
            editor.types("alice")


class TestWriting:
    def test_modes_do_not_depend_on_the_umask(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            create(str(tmp_path / "d/db"), str(tmp_path / "k/key"), "")
        finally:
            os.umask(before)
        modes = {name: (tmp_path / name).stat().st_mode & 0o7777 for name in ("d/db", "d/db-journal", "k", "k/key")}
        assert modes == {"d/db": 0o600, "d/db-journal": 0o600, "k": 0o700, "k/key": 0o600}

    def test_the_journal_is_a_rollback_journal(self, editor: Editor) -> None:
        """Octets 18 and 19 of the header: 1 is a rollback journal, 2 is WAL (sqlite.org/fileformat2.html)."""
        editor.put("alice", "POP", b"x")
        assert Path(editor.path).read_bytes()[18:20] == b"\x01\x01"
        assert sorted(os.listdir(os.path.dirname(editor.path))) == ["mailauth.db", "mailauth.db-journal"]
        assert os.path.getsize(editor.path + "-journal") == 0

    def test_initializing_again_empties_it_and_keeps_the_key(self, editor: Editor, place: tuple[str, str, str]) -> None:
        editor.put("alice", "APOP", SECRET)
        key = Path(editor.key_path).read_bytes()
        create(*place)
        assert editor.entries() == []
        assert has_apop_entries(editor.path) is False
        assert Path(editor.key_path).read_bytes() == key

    def test_initializing_over_a_left_over_journal_is_not_undone_by_it(
        self, editor: Editor, place: tuple[str, str, str]
    ) -> None:
        cut_off_change(editor)
        create(*place)
        assert editor.entries() == []

    def test_all_or_nothing(self, editor: Editor) -> None:
        many = [Entry(f"user{n}", "IMAP", 1, b"{X}") for n in range(5)]
        with pytest.raises(CredentialStoreError, match="nothing was changed"):
            editor.put_all([*many, Entry("last", "SMTP", 1, b"x")], overwrite=False)
        assert editor.entries() == []

    def test_what_is_there_is_kept_unless_overwritten(self, editor: Editor) -> None:
        editor.put("alice", "APOP", b"first")
        both = [Entry("alice", "APOP", 5, b"second"), Entry("bob", "APOP", 6, b"b")]
        new, there = editor.put_all(both, overwrite=False)
        assert ([e.user for e in new], [e.user for e in there]) == (["bob"], ["alice"])
        assert editor.apop_secret("alice") == b"first"
        new, there = editor.put_all(both, overwrite=True)
        assert ([e.user for e in new], [e.user for e in there]) == ([], ["alice", "bob"])
        assert editor.apop_secret("alice") == b"second"

    def test_removing_takes_one_type_or_all(self, editor: Editor) -> None:
        for type_ in ("POP", "APOP", "IMAP"):
            editor.put("alice", type_, b"x")
        editor.put("bob", "POP", b"x")
        assert editor.remove("alice", "POP") == ["POP"]
        assert editor.remove("alice", "POP") == []
        assert editor.remove("alice") == ["APOP", "IMAP"]
        assert editor.entries() == [("bob", "POP")]

    def test_export_gives_what_was_put(self, editor: Editor) -> None:
        editor.put_all([Entry("a", "APOP", 7, b"clear"), Entry("a", "IMAP", 8, b"{X}h")], overwrite=False)
        assert [(e.user, e.type, e.changed, e.secret) for e in editor.export("", True)] == [
            ("a", "APOP", 7, b"clear"),
            ("a", "IMAP", 8, b"{X}h"),
        ]
        assert [e.secret for e in editor.export()] == [b"", b""]
        assert [e.type for e in editor.export("IMAP")] == ["IMAP"]

    def test_no_database_is_made_by_a_change(self, tmp_path: Path) -> None:
        with pytest.raises(CredentialStoreError, match=r"there is no database .*mailauth init"):
            Editor(str(tmp_path / "db"), str(tmp_path / "key"), "").remove("alice")
        assert os.listdir(tmp_path) == []

    def test_no_secret_is_in_the_files_or_in_a_repr(self, editor: Editor) -> None:
        secret = b"correct horse battery staple"
        for type_ in ("POP", "APOP"):
            editor.put("alice", type_, secret)
            editor.put("alice", type_, secret + b"2")
        assert all(secret.decode() not in repr(entry) for entry in editor.export("", True))
        editor.remove("alice")
        for folder, _, files in os.walk(os.path.dirname(os.path.dirname(editor.path))):
            for name in files:
                assert secret not in (Path(folder) / name).read_bytes()

    def test_what_was_deleted_is_gone_from_the_file(self, editor: Editor) -> None:
        """secure_delete: the place of a deleted row is overwritten."""
        editor.put("alice", "IMAP", b"{MARK}" + b"hash-of-alice" * 10)
        assert b"hash-of-alice" in Path(editor.path).read_bytes()
        editor.remove("alice")
        assert b"hash-of-alice" not in Path(editor.path).read_bytes()


def cut_off_change(editor: Editor) -> None:
    """A process that changes the file and dies: it spills pages out of its cache before it would commit."""
    code = (
        "import os, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('PRAGMA journal_mode = TRUNCATE')\n"
        "db.execute('PRAGMA cache_size = 1')\n"
        "db.execute('BEGIN IMMEDIATE')\n"
        "db.execute('DELETE FROM entries')\n"
        "for n in range(200):\n"
        "    db.execute('INSERT INTO entries VALUES (?, ?, ?, 0)', (f'ghost{n}', 'IMAP', bytes(500)))\n"
        "os._exit(0)\n"
    )
    before = Path(editor.path).read_bytes()
    subprocess.run([sys.executable, "-c", code, editor.path], check=True)
    assert Path(editor.path).read_bytes() != before, "the change did not reach the file: this test shows nothing"
    assert os.path.getsize(editor.path + "-journal") > 0


class TestBeside:
    def test_a_change_that_was_cut_off_is_undone_by_the_next_reader(self, editor: Editor) -> None:
        editor.put("alice", "APOP", SECRET)
        cut_off_change(editor)
        assert editor.types("alice") == {"APOP"}
        assert editor.entries() == [("alice", "APOP")]
        assert editor.check_apop("alice", STAMP, DIGEST) is True

    def test_readers_see_the_old_state_while_somebody_writes(self, editor: Editor) -> None:
        editor.put("alice", "APOP", SECRET)
        code = (
            "import sqlite3, sys\n"
            "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
            "db.execute('BEGIN IMMEDIATE')\n"
            "db.execute('DELETE FROM entries')\n"
            "print('writing', flush=True)\n"
            "sys.stdin.readline()\n"
            "db.execute('COMMIT')\n"
        )
        line = [sys.executable, "-c", code, editor.path]
        writer = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        with writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "writing\n"
            assert editor.types("alice") == {"APOP"}
            assert has_apop_entries(editor.path) is True
            writer.communicate("go\n")
        assert editor.types("alice") == frozenset()

    def test_a_writer_waits_for_another(self, editor: Editor) -> None:
        """Two processes add a hundred users each at the same time; all are there."""
        code = (
            "import sys; sys.path.insert(0, sys.argv[1])\n"
            "from qpopper_py.auth.authdb_edit import Editor, Entry\n"
            "editor = Editor(sys.argv[2], sys.argv[3], '')\n"
            "for n in range(50):\n"
            "    editor.put_all([Entry(sys.argv[4] + str(n), 'APOP', 1, b'x')], False)\n"
        )
        root = str(Path(authdb.__file__).resolve().parents[2])
        both = [
            subprocess.Popen([sys.executable, "-c", code, root, editor.path, editor.key_path, name]) for name in "ab"
        ]
        assert [one.wait() for one in both] == [0, 0]
        assert len(editor.entries("APOP")) == 100


class TestSecretHash:
    def test_the_vector_of_rfc_7914_holds(self) -> None:
        """RFC 7914 section 12, the third."""
        expected = (
            "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
            "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
        )
        assert secrethash.derive(b"pleaseletmein", b"SodiumChloride", 14, 8, 1, 64).hex() == expected

    def test_passlib_knows_our_hashes_and_we_know_its(self) -> None:
        judge = pytest.importorskip("passlib.hash").scrypt
        assert judge.verify(b"secret", secrethash.scrypt_hash(b"secret"))
        theirs = judge.using(rounds=6).hash(b"secret")
        assert secrethash.scrypt_matches(b"secret", theirs)
        assert not secrethash.scrypt_matches(b"other", theirs)

    @pytest.mark.parametrize("secret", [b"secret\0", b"secret\0junk", b"\0"])
    def test_a_nul_never_passes(self, secret: bytes) -> None:
        assert not secrethash.scrypt_matches(secret, secrethash.scrypt_hash(b"secret"))
        with pytest.raises(ValueError):
            secrethash.scrypt_hash(secret)

    def test_two_hashes_of_a_secret_differ(self) -> None:
        assert secrethash.scrypt_hash(b"x") != secrethash.scrypt_hash(b"x")

    @settings(max_examples=30)
    @given(secret=st.binary(max_size=80).filter(lambda octets: b"\0" not in octets), other=st.binary(max_size=80))
    def test_it_matches_its_own_secret_only(self, secret: bytes, other: bytes) -> None:
        digest = hashlib.scrypt(secret, salt=b"saltsalt", n=16, r=8, p=1, dklen=32)
        stored = CHEAP + secrethash.encode(digest)
        assert secrethash.scrypt_matches(secret, stored)
        assert secrethash.scrypt_matches(other, stored) is (other == secret)

    @pytest.mark.parametrize(
        "stored",
        [
            "",
            "$6$salt$hash",
            "$scrypt$ln=14,r=8,p=1$c2FsdA$",
            "$scrypt$ln=14,r=8,p=1$c2FsdA$YWJj",
            "$scrypt$ln=60,r=8,p=1$c2FsdA$" + "YWJj" * 8,
            "$scrypt$ln=20,r=32,p=16$c2FsdA$" + "YWJj" * 8,
            "$scrypt$ln=0,r=8,p=1$c2FsdA$" + "YWJj" * 8,
            "$scrypt$ln=-1,r=8,p=1$c2FsdA$" + "YWJj" * 8,
            "$scrypt$n=14,r=8,p=1$c2FsdA$" + "YWJj" * 8,
            "$scrypt$ln=14$c2FsdA$" + "YWJj" * 8,
            "$scrypt$ln=14,r=8,p=1$!!!!$" + "YWJj" * 8,
        ],
    )
    def test_what_is_no_hash_or_asks_too_much_is_refused(self, stored: str) -> None:
        with pytest.raises(ValueError):
            secrethash.scrypt_matches(b"x", stored)
