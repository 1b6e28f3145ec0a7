"""pop3d.toml: what its text means, whom it is believed from, and when the cache stands for it (pop3d.toml(5))."""

from __future__ import annotations

import marshal
import os
import posix
import time
from pathlib import Path

import pytest

from qpopper_py.errors import ConfigurationError
from qpopper_py.personality import config, config_text

OURSELVES = 4321  # an effective uid that is not root's: no checks of owner and mode


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration file that changed long enough ago to be remembered."""
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o755)
    path = folder / "pop3d.toml"
    path.write_text("timeout = 77\n")
    path.chmod(0o644)
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The folder of caches."""
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o755)
    return folder


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is an hour ahead, so that no file is new."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 3_600_000_000_000)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths whose text was really read, in order."""
    paths: list[str] = []
    parse = config_text.parse

    def watched(text: bytes, path: str) -> config.Values:
        paths.append(path)
        return parse(text, path)

    monkeypatch.setattr(config_text, "parse", watched)
    return paths


def read(path: Path, folder: Path | str = "", euid: int | None = None) -> config.Values:
    return config.read(str(path), euid=os.geteuid() if euid is None else euid, folder=str(folder))


def refusal(path: Path, euid: int | None = None) -> str:
    with pytest.raises(ConfigurationError) as error:
        read(path, euid=euid)
    assert str(error.value).startswith(str(path))
    return str(error.value)


# ---------------------------------------------------------------------------------------------------------------
# Text


def values(text: str) -> dict[str, tuple[object, int]]:
    return config_text.parse(text.encode(), "F")


@pytest.mark.parametrize(
    ("text", "name", "value", "line"),
    [
        ("timeout = 5", "timeout", 5, 1),
        ("\n# why\n  timeout=5 # here", "timeout", 5, 3),
        ('timeout = "10m"', "timeout", "10m", 1),
        ('log.to = "stderr"', "log.to", "stderr", 1),
        ('[log]\nto = "stderr"', "log.to", "stderr", 2),
        ('[ log ]  # the log\n"to" = "stderr"', "log.to", "stderr", 2),
        ('log = {to = "stderr"}', "log.to", "stderr", 1),
        ("[trace]\nusers = [\n 'alice',\n 'bob',\n]", "trace.users", ["alice", "bob"], 2),
        ("statistics = true\r\ntimeout = 5\r\n", "timeout", 5, 2),
    ],
)
def test_a_setting_may_be_written_in_every_way_of_toml(text: str, name: str, value: object, line: int) -> None:
    assert values(text)[name][0] == value
    assert values(text)[name][1] in (line, 0)


def test_the_line_is_told_in_each_ordinary_form() -> None:
    found = values("timeout = 5\n\n[log]\n# c\nto = 'stderr'\n[trace]\nusers = []\n")
    assert {name: line for name, (_, line) in found.items()} == {"timeout": 1, "log.to": 5, "trace.users": 7}


def test_a_text_that_looks_like_a_setting_leads_to_no_wrong_line() -> None:
    text = 'trace.users = ["""\\\ntimeout = 7""", "x"]\ntimeout = 5\n'
    assert values(text)["timeout"] == (5, 0)


def test_an_empty_file_sets_nothing() -> None:
    assert values("") == values("# only\n# comments\n") == values("[log]\n") == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("timeout = 5\ntiemout = 5", "F line 2: there is no setting 'tiemout'; did you mean timeout?"),
        ("[log]\ntimeout = 5", "F line 2: there is no setting 'log.timeout'; did you mean timeout"),
        ("[logg]\n", "F: there is no setting 'logg'; did you mean"),
        ('logg = {to = "x"}', "there is no setting 'logg.to'; did you mean log.to?"),
        ("\nspool = 'var/mail'", "F line 2: spool = 'var/mail' is not an absolute path"),
        ("timeout = 5.5", "F line 1: timeout = 5.5 is not a time"),
        ("hostname = 2026-11-20", "F line 1: hostname = "),
        ("\n[[listen]]\nx = 1", "F line 2: listen = [{'x': 1}] holds {'x': 1}, which has no address"),
        ("[log]\n[[listen]]\naddress = ':1'\nto = 'x'", "F line 2: listen = "),
        ("[tls.sni]\n'a' = 'b'", "F line 1: tls.sni = {'a': 'b'} holds 'a' with 'b', which is not an absolute path"),
        ("spool = /var/mail", "F: is not TOML: Invalid value (at line 1, column 9)"),
        ("timeout = 5\ntimeout = 6", "F: is not TOML: Cannot overwrite a value"),
        ("x = " + "[" * 100_000, "F: is nested too deeply"),
        (".".join("a" * 4000) + " = 1", "F: is nested too deeply"),
        ("timeout = " + "9" * 5000, "F: is not TOML: "),
        ("timeout = 0x" + "f" * 5000, "F line 1: timeout = a number too long to be shown is"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        values(text)
    assert words in str(error.value)


def test_text_that_is_no_utf8_is_named_with_its_line() -> None:
    with pytest.raises(ConfigurationError, match=r"^F line 2: is not UTF-8"):
        config_text.parse(b"timeout = 5\nhostname = 'k\xf6ln'\n", "F")


# ---------------------------------------------------------------------------------------------------------------
# The file


def test_a_missing_file_is_the_callers_affair(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.toml")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none" / "none.toml")


def test_a_folder_is_no_configuration_file(tmp_path: Path) -> None:
    assert "is not a file" in refusal(tmp_path, OURSELVES)


def test_a_fifo_holds_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert "is not a file" in refusal(tmp_path / "fifo", OURSELVES)


def test_a_file_of_megabytes_is_no_configuration_file(file: Path) -> None:
    file.write_bytes(b"#" * (config.LARGEST + 1))
    assert "is larger than" in refusal(file)


def test_who_is_not_root_may_read_what_others_may_write(file: Path) -> None:
    file.chmod(0o666)
    assert read(file, euid=OURSELVES) == {"timeout": (77, 1)}


# ---------------------------------------------------------------------------------------------------------------
# Whom root believes


@pytest.mark.root
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o400])
def test_root_reads_a_file_that_only_root_can_write(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert read(file) == {"timeout": (77, 1)}


@pytest.mark.root
@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666, 0o620, 0o602])
def test_root_refuses_a_file_that_others_can_write(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert refusal(file).endswith(f"run: chmod go-w {file}")


@pytest.mark.root
def test_root_refuses_a_file_of_another_user(file: Path) -> None:
    os.chown(file, 65534, 0)
    words = refusal(file)
    assert "belongs to uid 65534" in words
    assert words.endswith(f"run: chown root {file}")


@pytest.mark.root
@pytest.mark.parametrize("mode", [0o775, 0o757, 0o1777])
def test_root_refuses_a_file_in_a_folder_that_others_can_write(file: Path, mode: int) -> None:
    file.parent.chmod(mode)
    assert refusal(file).endswith(f"run: chmod go-w {file.parent}")


@pytest.mark.root
def test_root_refuses_a_file_in_a_folder_of_another_user(file: Path) -> None:
    os.chown(file.parent, 65534, 0)
    assert refusal(file).endswith(f"run: chown root {file.parent}")


@pytest.mark.root
def test_root_refuses_a_file_below_a_folder_that_others_can_write(file: Path) -> None:
    deeper = file.parent / "deeper"
    deeper.mkdir(mode=0o755)
    file = file.rename(deeper / file.name)
    deeper.parent.chmod(0o777)
    assert refusal(file).endswith(f"run: chmod go-w {deeper.parent}")
    deeper.parent.chmod(0o1777)  # as /tmp: others cannot replace what is root's
    assert read(file) == {"timeout": (77, 1)}


@pytest.mark.root
def test_root_follows_links_that_only_root_could_have_made(file: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir(mode=0o755)
    (place / "link.toml").symlink_to("../etc/../folder/pop3d.toml")
    (tmp_path / "folder").symlink_to(file.parent)
    assert read(place / "link.toml") == {"timeout": (77, 1)}
    os.chown(tmp_path / "folder", 65534, 65534, follow_symlinks=False)
    assert refusal(place / "link.toml").endswith(f"run: chown -h root {tmp_path / 'folder'}")


@pytest.mark.root
def test_root_refuses_a_link_in_a_folder_that_others_can_write(file: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(0o777)
    (place / "link.toml").symlink_to(file)
    assert refusal(place / "link.toml").endswith(f"run: chmod go-w {place}")


@pytest.mark.root
def test_a_circle_of_links_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert "too many symbolic links" in refusal(tmp_path / "a")


@pytest.mark.root
def test_a_path_with_blanks_is_quoted_for_the_shell(tmp_path: Path) -> None:
    path = tmp_path / "my file"
    path.touch()
    path.chmod(0o666)
    assert refusal(path).endswith(f"run: chmod go-w '{path}'")


@pytest.mark.root
def test_a_relative_path_is_looked_at_from_the_root_on(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    assert read(Path("pop3d.toml")) == {"timeout": (77, 1)}
    file.parent.chmod(0o777)
    assert "run: chmod go-w" in refusal(Path("pop3d.toml"))


# ---------------------------------------------------------------------------------------------------------------
# The cache


def cached(cache: Path) -> Path:
    """The one cache that there is."""
    (found,) = cache.iterdir()
    return found


def test_what_was_read_is_read_from_the_cache_again(file: Path, cache: Path, later: None, parsed: list[str]) -> None:
    assert read(file, cache) == read(file, cache) == {"timeout": (77, 1)}
    assert parsed == [str(file)]
    assert cached(cache).stat().st_mode & 0o777 == 0o600


def test_two_files_have_two_caches(file: Path, cache: Path, later: None, parsed: list[str]) -> None:
    other = file.with_name("other.toml")
    other.write_text("timeout = 88\n")
    for _ in range(2):
        assert read(file, cache) == {"timeout": (77, 1)}
        assert read(other, cache) == {"timeout": (88, 1)}
    assert parsed == [str(file), str(other)]


def test_a_file_changed_within_two_seconds_is_not_remembered(file: Path, cache: Path, parsed: list[str]) -> None:
    os.utime(file)
    assert read(file, cache) == read(file, cache)
    assert len(parsed) == 2
    assert not list(cache.iterdir())


def test_a_file_from_the_future_is_not_remembered(file: Path, cache: Path, later: None, parsed: list[str]) -> None:
    os.utime(file, (time.time() + 86400,) * 2)
    read(file, cache)
    assert not list(cache.iterdir())


def rewritten(file: Path) -> None:
    file.write_text("timeout = 888\n")


def same_size(file: Path) -> None:
    file.write_text("timeout = 88\n")


def same_size_and_times_put_back(file: Path) -> None:
    """ctime tells."""
    before = file.stat()
    file.write_text("timeout = 88\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def renamed_over_with_times_put_back(file: Path) -> None:
    before = file.stat()
    other = file.with_name("new")
    other.write_text("timeout = 88\n")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(file)


@pytest.mark.parametrize(
    "change", [rewritten, same_size, same_size_and_times_put_back, renamed_over_with_times_put_back]
)
def test_a_changed_file_is_read_again(change: object, file: Path, cache: Path, later: None, parsed: list[str]) -> None:
    read(file, cache)
    before = file.stat().st_ctime_ns
    while file.stat().st_ctime_ns == before:  # the file system's clock ticks in milliseconds
        change(file)  # type: ignore[operator]
    assert read(file, cache)["timeout"][0] in (88, 888)
    assert read(file, cache)["timeout"][0] in (88, 888)
    assert len(parsed) == 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 64,
        b"no marshal",
        marshal.dumps(None),
        marshal.dumps((1, 2, 3)),
        marshal.dumps((("other version",), {"timeout": (1, 1)})),
    ],
    ids=repr,
)
def test_a_damaged_or_foreign_cache_is_no_cache(
    data: bytes, file: Path, cache: Path, later: None, parsed: list[str]
) -> None:
    read(file, cache)
    cached(cache).write_bytes(data)
    assert read(file, cache) == {"timeout": (77, 1)}
    assert len(parsed) == 2
    read(file, cache)
    assert len(parsed) == 2  # it was mended


def test_every_beginning_of_a_cache_is_no_cache(file: Path, cache: Path, later: None, parsed: list[str]) -> None:
    read(file, cache)
    whole = cached(cache).read_bytes()
    for length in range(0, len(whole), 7):
        cached(cache).write_bytes(whole[:length])
        assert read(file, cache) == {"timeout": (77, 1)}
    assert len(parsed) == 1 + len(range(0, len(whole), 7))


@pytest.mark.parametrize("format_", [(2, *config.CACHE_FORMAT[1:]), (*config.CACHE_FORMAT[:2], 0, 4)], ids=str)
def test_a_cache_of_another_version_is_no_cache(
    format_: tuple[object, ...],
    file: Path,
    cache: Path,
    later: None,
    parsed: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read(file, cache)
    monkeypatch.setattr(config, "CACHE_FORMAT", format_)
    read(file, cache)
    assert len(parsed) == 2


def forge(cache: Path) -> None:
    """Put another value in the cache, all else as it was."""
    made_for, _ = marshal.loads(cached(cache).read_bytes())
    cached(cache).write_bytes(marshal.dumps((made_for, {"timeout": (99, 1)})))


def test_the_cache_is_what_is_believed(file: Path, cache: Path, later: None) -> None:
    """The tests of forgeries below mean nothing unless this works."""
    read(file, cache)
    forge(cache)
    assert read(file, cache) == {"timeout": (99, 1)}


@pytest.mark.parametrize("mode", [0o660, 0o606, 0o666])
def test_a_cache_that_others_can_write_is_not_believed(mode: int, file: Path, cache: Path, later: None) -> None:
    read(file, cache)
    forge(cache)
    cached(cache).chmod(mode)
    assert read(file, cache) == {"timeout": (77, 1)}


@pytest.mark.parametrize("mode", [0o775, 0o777, 0o1777])
def test_a_cache_in_a_folder_that_others_can_write_is_neither_believed_nor_written(
    mode: int, file: Path, cache: Path, later: None
) -> None:
    read(file, cache)
    forge(cache)
    forged = cached(cache).read_bytes()
    cache.chmod(mode)
    assert read(file, cache) == {"timeout": (77, 1)}
    assert cached(cache).read_bytes() == forged


@pytest.mark.root
def test_a_cache_of_another_user_is_not_believed(file: Path, cache: Path, later: None) -> None:
    read(file, cache)
    forge(cache)
    os.chown(cached(cache), 65534, 0)
    assert read(file, cache) == {"timeout": (77, 1)}


def test_a_cache_that_is_a_fifo_or_a_folder_holds_nobody(file: Path, cache: Path, later: None) -> None:
    read(file, cache)
    place = cached(cache)
    place.unlink()
    os.mkfifo(place)
    assert read(file, cache) == {"timeout": (77, 1)}
    place.unlink()
    place.mkdir()
    assert read(file, cache) == {"timeout": (77, 1)}
    assert list(cache.iterdir()) == [place]


def test_where_no_cache_can_be_written_there_is_none(file: Path, later: None) -> None:
    assert read(file, "/proc/self/fd") == read(file, "/nonexistent") == {"timeout": (77, 1)}


def test_a_full_disk_leaves_no_half_cache(
    file: Path, cache: Path, later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = posix.write
    monkeypatch.setattr(posix, "write", lambda descriptor, data: write(descriptor, data[:10]))
    assert read(file, cache) == {"timeout": (77, 1)}
    assert not list(cache.iterdir())


def test_a_wrong_file_is_never_remembered(file: Path, cache: Path, later: None) -> None:
    file.write_text("tiemout = 5\n")
    for _ in range(2):
        with pytest.raises(ConfigurationError):
            read(file, cache)
    assert not list(cache.iterdir())


def test_roots_cache_lies_in_a_fixed_place_and_that_of_others_where_systemd_says() -> None:
    environ = {"CACHE_DIRECTORY": "/var/cache/pop3d:/var/cache/other"}
    assert config.cache_folder(environ, 0) == config.cache_folder({}, 0) == "/var/lib/pop3d"
    assert config.cache_folder(environ, OURSELVES) == "/var/cache/pop3d"
    assert config.cache_folder({}, OURSELVES) == config.cache_folder({"CACHE_DIRECTORY": "x"}, OURSELVES) == ""
