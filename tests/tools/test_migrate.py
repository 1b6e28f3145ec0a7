"""qpopper-py migrate: made-up installations of old programs move in, and back."""

import os
import shutil
import subprocess
import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpopper_py.auth.authdb_edit import Editor
from qpopper_py.errors import ConfigurationError
from qpopper_py.legacy_dbm import sniff
from qpopper_py.personality import commandline
from qpopper_py.tools import command, our_settings
from qpopper_py.tools.migrate import without_config
from qpopper_py.tools.migrate_find import starts
from qpopper_py.tools.migrate_programs import PROGRAMS

POPA3D = ("popa3d", "in.popa3d")


def snapshot(folder):
    """Everything of every file, but when it was last read."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        text = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[str(path)] = (status.st_ino, status.st_mode, status.st_uid, status.st_mtime_ns, status.st_ctime_ns, text)
    return found


def put(root, path, text):
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    return place


# --------------------------------------------------------------------------------------------------------------
# Finding how it is started

INETD = "pop3 stream tcp nowait root {}\n"
XINETD = "service pop3\n{{\n\tsocket_type = stream\n\tserver = {}\n\tserver_args = {}\n\tdisable = {}\n}}\n"
UNIT = "[Service]\nExecStart={}\nStandardInput=socket\n"
WAYS = {
    "inetd": ("etc/inetd.conf", INETD.format("/usr/sbin/popa3d popa3d -V"), ["-V"], 1, True),
    "inetd through tcpd": (
        "etc/inetd.conf",
        "#\n" + INETD.format("/usr/sbin/tcpd /usr/sbin/popa3d -V"),
        ["-V"],
        2,
        True,
    ),
    "inetd, switched off": (
        "etc/inetd.conf",
        "#<off># " + INETD.format("/usr/sbin/tcpd /usr/sbin/popa3d"),
        [],
        1,
        False,
    ),
    "inetd.d": ("etc/inetd.d/popa3d", INETD.format("/usr/sbin/popa3d popa3d"), [], 1, True),
    "xinetd": ("etc/xinetd.d/pop3", XINETD.format("/usr/sbin/popa3d", "-V", "no"), ["-V"], 4, True),
    "xinetd through tcpd": (
        "etc/xinetd.d/pop3",
        XINETD.format("/usr/sbin/tcpd", "/usr/sbin/popa3d -V", "no"),
        ["-V"],
        4,
        True,
    ),
    "xinetd, switched off": ("etc/xinetd.d/pop3", XINETD.format("/usr/sbin/popa3d", "", "yes"), [], 4, False),
    "xinetd, disable of nothing": ("etc/xinetd.d/pop3", XINETD.format("/usr/sbin/popa3d", "", ""), [], 4, True),
    "xinetd, NAMEINARGS": (
        "etc/xinetd.d/pop3",
        "service pop3 {\nflags = REUSE NAMEINARGS\nserver = /usr/sbin/popa3d\nserver_args = pop -V\n}\n",
        ["-V"],
        3,
        True,
    ),
    "systemd": ("etc/systemd/system/popa3d@.service", UNIT.format("-/usr/sbin/popa3d -V"), ["-V"], 2, True),
    "systemd, argv[0]": (
        "lib/systemd/system/p.service",
        UNIT.format("@/usr/sbin/popa3d in.pop \\\n -V"),
        ["-V"],
        2,
        True,
    ),
    "Debian's default": ("etc/default/popa3d", "# x\nRUN_STANDALONE=yes\n", ["-D"], 2, True),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_start_is_found_with_its_options_and_where_it_stands(way, tmp_path):
    path, text, words, line, active = WAYS[way]
    place = put(tmp_path, path, text)
    (start,) = starts(str(tmp_path), POPA3D)
    assert (start.program, start.words, start.where, start.active) == (
        "/usr/sbin/popa3d",
        words,
        f"{place} line {line}",
        active,
    )


def test_cyrus_is_found_in_the_services_of_its_master(tmp_path):
    put(
        tmp_path,
        "etc/cyrus.conf",
        'SERVICES {\n  pop3alt cmd="pop3d -U 30 -C /etc/alt.conf" listen="pop3" prefork=0\n}\n',
    )
    (start,) = starts(str(tmp_path), ("pop3d",))
    assert (start.words, start.service) == (["-U", "30", "-C", "/etc/alt.conf"], "pop3alt")
    assert 'cmd="/usr/local/sbin/cyrus-pop3d -U 30' in start.new("/usr/local/sbin/cyrus-pop3d")


def test_what_is_in_use_comes_before_what_is_switched_off(tmp_path):
    put(tmp_path, "etc/inetd.conf", "#" + INETD.format("/usr/sbin/popa3d popa3d"))
    put(tmp_path, "etc/xinetd.d/pop3", XINETD.format("/usr/sbin/popa3d", "", "no"))
    assert [start.how for start in starts(str(tmp_path), POPA3D)] == ["xinetd", "inetd"]


def test_the_new_line_differs_by_the_program_only(tmp_path):
    put(tmp_path, "etc/inetd.conf", INETD.format("/usr/sbin/tcpd /usr/sbin/popa3d -V"))
    (start,) = starts(str(tmp_path), POPA3D)
    assert start.new("/usr/local/sbin/popa3d") == INETD.format("/usr/sbin/tcpd /usr/local/sbin/popa3d -V").strip()


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        ("etc/inetd.conf", "\npop3 stream root /usr/sbin/popa3d\n", 2),
        ("etc/xinetd.d/pop3", "service pop3\n{\nserver = /usr/sbin/popa3d\n", 2),
        ("etc/systemd/system/p.service", UNIT.format("/usr/sbin/popa3d 'x"), 2),
    ],
)
def test_a_line_that_cannot_be_made_sense_of_is_named(path, text, line, tmp_path):
    place = put(tmp_path, path, text)
    with pytest.raises(ConfigurationError, match=f"{place} line {line}:"):
        starts(str(tmp_path), POPA3D)


WORDS = (
    "pop3 stream tcp nowait root tcpd /usr/sbin/popa3d popa3d -V # = += { } @ \\ \" ' server disable no ExecStart= é"
)
LINES = [
    *(
        "service pop3\n",
        "{\n",
        "}\n",
        " disable =\n",
        " server = /usr/sbin/popa3d\n",
        " flags = NAMEINARGS\n",
        "\r\n",
        "\0\n",
    ),
    *(" server_args =\n", "ExecStart=@/usr/sbin/popa3d\n", 'pop cmd="popa3d" listen="pop3d"\n', "RUN_STANDALONE=yes\n"),
]
PIECES = st.sampled_from([*WORDS.split(" "), *LINES])
PLACES = [
    "inetd.conf",
    "inetd.d/x",
    "xinetd.conf",
    "xinetd.d/x",
    "systemd/system/x.service",
    "cyrus.conf",
    "default/popa3d",
]


@given(st.sampled_from(PLACES), st.lists(PIECES, max_size=30), st.sampled_from(["", " "]))
def test_no_file_whatever_it_holds_gets_more_than_a_clear_error(place, pieces, between):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "etc", place)
        path.parent.mkdir(parents=True)
        path.write_text(between.join(pieces), encoding="utf-8", errors="surrogateescape")
        try:
            found = starts(folder, POPA3D)
        except ConfigurationError as why:
            assert f"{path} line " in str(why)  # noqa: PT017  # most files are no error
        else:
            assert all(start.program and start.number for start in found)


@pytest.mark.parametrize(
    ("words", "kept", "path"),
    [
        (["-U", "30", "-C", "/a"], ["-U", "30"], "/a"),
        (["-C/a", "-s"], ["-s"], "/a"),
        (["-s"], ["-s"], ""),
    ],
)
def test_the_option_that_names_the_configuration_is_taken_out(words, kept, path):
    assert without_config(words, "-C") == (kept, path)


# --------------------------------------------------------------------------------------------------------------
# Moving in


@pytest.fixture
def old(tmp_path):
    """A host of long ago, with Tru64's pop3d."""
    root = tmp_path / "old"
    put(root, "etc/inetd.conf", INETD.format("/usr/sbin/pop3d pop3d -s -T 300"))
    put(root, "etc/passwd", "root:x:0:0::/:/bin/sh\nalice:x:1001:1001::/home/alice:/bin/sh\n")
    put(root, "etc/pop.auth", "alice:alices secret\nbob:bobs secret\n")
    put(root, "home/alice/Maildir/courierpop3dsizelist", "/3 2 1\n1.M1.host 100 1:1:0\n")
    put(root, "var/spool/mail/alice", "From a@example.org Wed Dec  2 05:53:22 1992\nSubject: x\n\nx\n")
    return root


@pytest.fixture
def new(tmp_path):
    """The words for an installation of ours, and where it is."""
    folder = tmp_path / "new"
    folder.mkdir(mode=0o755)
    values = {"mailauth.database": folder / "auth/db", "mailauth.key": folder / "keys/key", "mailauth.owner": ""}
    words = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    return folder, [*words, "--output", str(folder / "pop3d.toml")]


def moved(old, new, *more, program="tru64"):
    return command.main(["migrate", "--from", program, "--root", str(old), *new[1], *more])


def test_nothing_of_the_old_is_touched_and_all_of_it_is_here(old, new, capsys):
    before = snapshot(old)
    assert moved(old, new) == command.DONE
    assert snapshot(old) == before
    written = (new[0] / "pop3d.toml").read_text()
    assert tomllib.loads(written)["timeout"] == 300
    ours = our_settings.read(["--config", str(new[0] / "pop3d.toml")]).settings
    assert (ours.personality, ours.timeout, ours.statistics) == ("tru64", 300, True)
    editor = Editor(ours.mailauth_database, ours.mailauth_key, "")
    assert editor.entries() == [("alice", "APOP"), ("bob", "APOP")]
    assert [entry.secret for entry in editor.export("APOP", secrets=True)] == [b"alices secret", b"bobs secret"]
    told = capsys.readouterr().out
    assert f"started by {old}/etc/inetd.conf line 1" in told
    assert "pop3 stream tcp nowait root /usr/local/sbin/tru64-pop3d pop3d -s -T 300" in told
    assert "secret" not in told.replace("secrets", "").replace("APOP secret", "")


def test_a_dry_run_tells_the_same_and_writes_nothing(old, new, capsys):
    before = snapshot(old), snapshot(new[0])
    assert moved(old, new, "--dry-run") == command.DONE
    assert (snapshot(old), snapshot(new[0])) == before
    told = capsys.readouterr().out
    assert "would write" in told
    assert "timeout = 300" in told
    assert "would convert 2 APOP entries" in told


def test_a_file_that_is_there_is_never_written_over(old, new, capsys):
    there = put(new[0], "pop3d.toml", "timeout = 60\n")
    assert moved(old, new) == command.USAGE
    assert there.read_text() == "timeout = 60\n"
    assert f"{there}: is there already" in capsys.readouterr().err
    assert not (new[0] / "auth").exists()


def test_an_option_that_is_wrong_is_named_with_its_line(old, new, capsys):
    put(old, "etc/inetd.conf", "#\n" + INETD.format("/usr/sbin/pop3d pop3d -T ten"))
    assert moved(old, new) == command.USAGE
    told = capsys.readouterr().err
    assert f"{old}/etc/inetd.conf line 2: " in told
    assert "-T" in told
    assert not (new[0] / "pop3d.toml").exists()


def test_a_host_where_nothing_is_found_gets_a_file_and_hears_so(tmp_path, new, capsys):
    root = tmp_path / "empty"
    root.mkdir()
    assert moved(root, new) == command.DONE
    assert "no line that starts it was found" in capsys.readouterr().out


def test_courier_s_lists_are_told_of_where_its_users_are_not_ours(old, new, capsys):
    before = snapshot(old)
    assert moved(old, new, program="courier") == command.DONE
    assert snapshot(old) == before
    told = capsys.readouterr().out
    assert "qpopper-py import-uids --user alice /home/alice/Maildir /home/alice/Maildir/courierpop3dsizelist" in told
    assert tomllib.loads((new[0] / "pop3d.toml").read_text())["uidl"] == "courier"


def test_a_damaged_database_is_told_of_and_the_rest_is_done(old, new, capsys):
    (old / "etc/pop.auth").write_bytes(b"\0no database" * 100)
    assert moved(old, new) == command.FAILED
    assert f"{old}/etc/pop.auth: not converted" in capsys.readouterr().out
    assert (new[0] / "pop3d.toml").exists()


@pytest.mark.parametrize("name", [name for name, row in PROGRAMS.items() if row.personality in commandline.SERVED])
def test_every_program_that_is_served_moves_in_by_its_usual_line(name, tmp_path, new):
    """The line by which it usually stood in inetd.conf, or cyrus.conf, without a configuration file."""
    root = tmp_path / "old"
    where = "etc/cyrus.conf" if "cmd=" in PROGRAMS[name].restore else "etc/inetd.conf"
    put(root, where, PROGRAMS[name].restore.partition("   (")[0] + "\n")
    (start,) = starts(str(root), PROGRAMS[name].names)
    assert start.active
    before = snapshot(root)
    assert moved(root, new, program=name) == command.DONE
    assert snapshot(root) == before
    assert our_settings.read(["--config", str(new[0] / "pop3d.toml")]).personality.name == name


# program: its files, and what they make of settings by its manual
SAMPLES = {
    "tru64": ({"etc/inetd.conf": INETD.format("/usr/sbin/pop3d pop3d -sT30")}, {"timeout": 30, "statistics": True}),
    "popa3d": ({"etc/default/popa3d": "# see popa3d(8)\nRUN_STANDALONE=yes\n"}, {"inetd": False}),
    "mailutils": (
        {
            "etc/inetd.conf": INETD.format("/usr/sbin/tcpd /usr/sbin/pop3d --inetd"),
            "etc/mailutils.conf": '# global\nmailbox {\n  mail-spool "/srv/mail";\n};\ntimeout 700;\n',
        },
        {"timeout": 700, "spool": "/srv/mail"},
    ),
    "cyrus": (
        {
            "etc/cyrus.conf": 'SERVICES {\n\tpop3\t\tcmd="pop3d -U 30" listen="pop3" prefork=0 maxchild=50\n}\n',
            "etc/imapd.conf": "configdirectory: /var/lib/cyrus\npartition-default: /srv/cyrus\npoptimeout: 20\n"
            "popsubfolders: yes\nunixhierarchysep: no\nsasl_minimum_layer: 128\npoppollpadding: 3\n"
            "tls_client_ca_dir: /etc/ssl/certs\ntls_client_certs: require\nvirtdomains: userid\ndefaultdomain: a.org\n",
        },
        {
            "timeout": 1200,
            "subfolders": ".",
            "auth_minimum_layer": 128,
            "login_delay_padding": 3,
            "tls_ca": "/etc/ssl/certs",
            "tls_client_certificates": "require",
            "auth_default_domain": "a.org",
            "auth_deny_db": "/var/lib/cyrus/user_deny.db",
        },
    ),
    "qpopper": (
        {
            "etc/xinetd.d/pop3": XINETD.format("/usr/sbin/popper", "-s -f /etc/qpopper.config", "no"),
            "etc/qpopper.config": "set timeout = 45\nset spool-dir = '/srv/mail'\n",
        },
        {"timeout": 45, "spool": "/srv/mail", "statistics": True},
    ),
}


@pytest.mark.parametrize("name", commandline.SERVED)
def test_what_the_old_files_say_is_what_ours_say(name, tmp_path, new, capsys):
    files, expected = SAMPLES[name]
    root = tmp_path / "old"
    for path, text in files.items():
        put(root, path, text)
    before = snapshot(root)
    assert moved(root, new, program=name) == command.DONE
    assert snapshot(root) == before
    invocation = our_settings.read(["--config", str(new[0] / "pop3d.toml")])
    for key, value in expected.items():
        assert getattr(invocation if key == "inetd" else invocation.settings, key) == value
    told = capsys.readouterr().out
    assert all(f"{root}/{path}" in told for path in files)


def test_a_passphrase_stays_in_the_file_of_qpopper_which_is_named(tmp_path, new, capsys):
    files = SAMPLES["qpopper"][0] | {"etc/qpopper.config": "set tls-passphrase = 'hush hush' # of the key\n"}
    for path, text in files.items():
        put(tmp_path / "old", path, text)
    assert moved(tmp_path / "old", new, program="qpopper") == command.DONE
    settings = our_settings.read(["--config", str(new[0] / "pop3d.toml")]).settings
    assert settings.tls_passphrase_file == f"{tmp_path}/old/etc/qpopper.config"
    told = capsys.readouterr().out
    assert "mode 0600" in told
    assert "hush" not in told + (new[0] / "pop3d.toml").read_text()


@pytest.mark.parametrize(
    ("text", "uidl"),
    [
        (":daemon --timeout=700\n:mailbox --mail-spool=/srv/mail\nimap4d --frob\n", "mailutils0"),
        ('timeout 700;\nmailbox { mail-spool "/srv/mail"; };\n', "mailutils3"),
    ],
)
def test_mailutils_rc_moves_in_whichever_version_it_is_of(text, uidl, tmp_path, new):
    root = tmp_path / "old"
    put(root, "etc/inetd.conf", INETD.format("/usr/sbin/tcpd /usr/sbin/pop3d --inetd"))
    put(root, "etc/mailutils.rc", text)
    assert moved(root, new, program="mailutils") == command.DONE
    settings = our_settings.read(["--config", str(new[0] / "pop3d.toml")]).settings
    assert (settings.timeout, settings.spool, settings.uidl) == (700, "/srv/mail", uidl)


def test_every_personality_can_move_in():
    choices = {row.personality for row in PROGRAMS.values()} - {""}
    assert set(commandline.SERVED) <= choices
    assert choices == set(commandline.NAMES.values())


# --------------------------------------------------------------------------------------------------------------
# And back


def test_the_lines_that_started_the_old_program_are_told_again(old, new, tmp_path, capsys):
    assert moved(old, new) == command.DONE
    capsys.readouterr()
    words = ["--config", str(new[0] / "pop3d.toml"), "--set", f"state_dir={tmp_path}/state"]
    assert command.main(["migrate", "--back", "tru64", *words, "--dry-run"]) == command.DONE
    assert INETD.format("/usr/sbin/pop3d pop3d -s -T 300").strip() in capsys.readouterr().out


def exported(old, new, program, path, capsys):
    assert moved(old, new) == command.DONE
    words = ["--config", str(new[0] / "pop3d.toml"), "--set", f"state_dir={new[0]}/state", "--output", str(path)]
    assert command.main(["migrate", "--back", program, *words]) == command.DONE
    assert "alices" not in capsys.readouterr().out
    assert path.stat().st_mode & 0o777 == 0o600


def test_apop_secrets_go_back_to_mailutils_as_its_text(old, new, tmp_path, capsys):
    exported(old, new, "mailutils", tmp_path / "apop", capsys)
    assert (tmp_path / "apop").read_bytes() == b"alice:alices secret\nbob:bobs secret\n"


def test_apop_secrets_go_back_to_popauth_through_gdbm_load(old, new, tmp_path, capsys):
    """As popauth stores them: name and NUL, the secret XORed with 0xFF and NUL."""
    if shutil.which("gdbm_load") is None:
        pytest.skip("gdbm_load is not installed")
    exported(old, new, "qpopper", tmp_path / "dump", capsys)
    subprocess.run(["gdbm_load", str(tmp_path / "dump"), str(tmp_path / "pop.auth")], check=True)
    kind, pairs = sniff.read(str(tmp_path / "pop.auth"))
    assert kind == "gdbm"
    hidden = {user: bytes(octet ^ 0xFF for octet in secret) + b"\0" for user, secret in EXPECTED.items()}
    assert dict(pairs) == hidden


EXPECTED = {b"alice\0": b"alices secret", b"bob\0": b"bobs secret"}


# --------------------------------------------------------------------------------------------------------------
# Login delays


def test_login_delays_are_taken_over(old, new, capsys):
    stat_file = put(old, "var/run/pop3-login", "alice:1700000000\n")
    before = snapshot(old)
    state = ["--set", f"state_dir={new[0]}/state"]
    assert moved(old, new, *state, "--dry-run", "--delays", str(stat_file)) == command.DONE
    assert not (new[0] / "state").exists()
    assert moved(old, new, *state, "--delays", str(stat_file)) == command.DONE
    assert snapshot(old) == before
    told = capsys.readouterr().out
    assert str(stat_file) in told
    assert "1 of 1 users taken over" in told


def test_login_delays_go_back_as_what_gdbm_load_reads(old, new, tmp_path, capsys):
    put(old, "var/run/pop3-login", "alice:1700000000\n")
    state = ["--set", f"state_dir={new[0]}/state"]
    assert moved(old, new, *state, "--delays", str(old / "var/run/pop3-login")) == command.DONE
    words = ["--config", str(new[0] / "pop3d.toml"), "--delays", str(tmp_path / "delays")]
    assert command.main(["migrate", "--back", "mailutils", *words]) == command.DONE
    kind, pairs = sniff.read(str(tmp_path / "delays"))
    assert (kind, pairs) == ("output of gdbm_dump", [(b"alice", b"1700000000")])
    capsys.readouterr()
