"""The getopt of the personalities, judged by Python's own where that follows the same rules (POSIX XBD 12.2)."""

from __future__ import annotations

import getopt
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpopper_py.errors import ConfigurationError
from qpopper_py.personality.options import Option, parse

ROWS = (
    Option("d", "", "a switch"),
    Option("s", "", "another"),
    Option("t", "FILE", "a value"),
    Option("T", "SECONDS", "another"),
    Option("loud", "", "a long switch"),
    Option("name", "NAME", "a long value"),
    Option("dump", "[=all]", "a value that may be left out"),
)


def explain(spelt: str, argument: str) -> str:
    return f"unknown {spelt} in {argument}"


def read(*arguments: str) -> tuple[list[tuple[str, str | None]], list[str]]:
    given_, rest = parse(arguments, ROWS, explain)
    return [(one.option.spelt, one.value) for one in given_], rest


def judged(arguments: list[str]) -> tuple[list[tuple[str, str]], list[str]] | str:
    """What Python's getopt says; the letter that it refuses."""
    try:
        return getopt.getopt(arguments, "dst:T:")
    except getopt.GetoptError as why:
        return "-" + why.opt


WORDS = st.lists(
    st.sampled_from(
        ["-d", "-s", "-ds", "-sdT", "-T", "-T300", "-t", "-tfile", "-dt", "-x", "-dx", "--", "-", "", "300"]
    )
    | st.text("dstT-x3", max_size=5).filter(lambda word: not word.startswith("--") or word == "--"),
    max_size=6,
)


@given(WORDS)
def test_letters_are_read_as_getopt_reads_them(arguments: list[str]) -> None:
    verdict = judged(arguments)
    if isinstance(verdict, str):
        with pytest.raises(ConfigurationError, match=re.escape(verdict)):
            read(*arguments)
    else:
        options, rest = read(*arguments)
        assert ([(spelt, value or "") for spelt, value in options], rest) == verdict


def test_letters_cluster_and_the_last_takes_the_rest_as_its_value() -> None:
    assert read("-dsT300") == ([("-d", None), ("-s", None), ("-T", "300")], [])


def test_a_value_may_look_like_an_option() -> None:
    assert read("-t", "-d", "-T", "--", "--name", "--loud") == ([("-t", "-d"), ("-T", "--"), ("--name", "--loud")], [])


def test_two_dashes_end_the_options() -> None:
    assert read("-d", "--", "-s") == ([("-d", None)], ["-s"])


def test_the_first_operand_ends_the_options() -> None:
    assert read("-d", "word", "-s") == ([("-d", None)], ["word", "-s"])


def test_a_long_value_stands_behind_a_blank_or_an_equals_sign() -> None:
    assert read("--name", "x", "--name=y", "--name=") == ([("--name", "x"), ("--name", "y"), ("--name", "")], [])


def test_an_equals_sign_within_the_value_belongs_to_it() -> None:
    assert read("--name=a=b") == ([("--name", "a=b")], [])


def test_a_value_that_may_be_left_out_is_never_the_next_argument() -> None:
    assert read("--dump", "all") == ([("--dump", None)], ["all"])
    assert read("--dump=all") == ([("--dump", "all")], [])


@pytest.mark.parametrize("short", ["--lou", "--nam=x", "--n"])
def test_long_options_are_not_abbreviated(short: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^unknown {short.partition('=')[0]} in {short}$"):
        read(short)


@pytest.mark.parametrize(("arguments", "words"), [(["-dT"], "-T SECONDS"), (["--name"], "--name NAME")])
def test_a_missing_value_is_asked_for(arguments: list[str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=f"needs a value: {words}$"):
        read(*arguments)


def test_a_switch_refuses_a_value() -> None:
    with pytest.raises(ConfigurationError, match="--loud takes no value"):
        read("--loud=3")


GNU_ROWS = (
    Option("p port", "N", "both"),
    Option("d daemon", "[N]", "a value that may be left out"),
    Option("login-delay", "N", "long"),
    Option("log-facility", "F", "long"),
    Option("x", "", "a switch"),
)


def gnu(*arguments: str) -> tuple[list[tuple[str, str | None]], list[str]]:
    given_, rest = parse(arguments, GNU_ROWS, explain, "GNU")
    return [(one.option.spelt, one.value) for one in given_], rest


def test_gnu_long_options_may_be_cut_short_as_long_as_one_is_meant() -> None:
    """getopt_long(3): "may be abbreviated so long as the abbreviation is unique"."""
    assert gnu("--po=1", "--login", "2", "--dae=3", "--dae") == (
        [("-p", "1"), ("--login-delay", "2"), ("-d", "3"), ("-d", None)],
        [],
    )
    with pytest.raises(ConfigurationError, match="--log-facility or --login-delay"):
        gnu("--log", "x")
    with pytest.raises(ConfigurationError, match="unknown --q"):
        gnu("--q")


def test_gnu_options_may_stand_behind_operands_and_a_value_that_may_be_left_out_is_attached() -> None:
    """getopt(3): a value of two colons must be "in the same word", as -oarg; operands are moved behind."""
    assert gnu("a", "-d10", "-xd", "b", "--", "-x") == ([("-d", "10"), ("-x", None), ("-d", None)], ["a", "b", "-x"])
