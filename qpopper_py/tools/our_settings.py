"""The server's settings for a tool, whose own words are spelt the same whatever personality the file chooses.

To the server ``--config`` is ``--qp-config`` where the old program has long options of its own; here it never is.
"""

import os
from collections.abc import Sequence

from qpopper_py.personality import commandline
from qpopper_py.personality.commandline import OURS, Invocation


def read(words: Sequence[str]) -> Invocation:
    """What ``words``, ``--config`` and ``--set`` with their values, and the file amount to.  ConfigurationError.

    ``--personality NAME`` before them is stronger than the file.
    """
    # Like --check-config this is asked by a person, who means the file and not what is remembered of it.
    _, name, rest = commandline.chosen(words, {}, "")
    plain = ["--check-config", *rest]
    euid = os.geteuid()
    if not name:
        _, values = commandline.file_values(commandline.glimpse(plain, OURS), os.environ, euid)
        if "personality" not in values:
            return commandline.read(plain, without_service(), euid=euid)
        name = str(values["personality"][0])
    spelt = {row.long: row.spelt for row in OURS}
    for row in commandline.ours(commandline.named(name, "personality")):
        spelt[row.long.removeprefix(commandline.PREFIX)] = row.spelt
    line, rest = [f"--personality={name}"], plain
    while rest:
        option, equals, value = rest.pop(0).partition("=")
        line.append(spelt[option.removeprefix("--")] + equals + value)
        if not equals and option != "--check-config":
            line += rest[:1]
            del rest[:1]
    return commandline.read(line, without_service(), euid=euid)


def without_service() -> "dict[str, str]":
    """The environment, but for what would choose a personality: a tool may run below Cyrus' master(8)."""
    return {name: value for name, value in os.environ.items() if name != "CYRUS_SERVICE"}
