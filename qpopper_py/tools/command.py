"""The command qpopper-py(8): what an administrator does with mailboxes and their records, a word for each task.

A task is a row of TASKS and a module with ``main(argv) -> exit status``; the module is imported when it is asked for.
"""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from importlib import import_module

from qpopper_py import __version__
from qpopper_py.errors import ConfigurationError, QpopperError
from qpopper_py.settings import Settings
from qpopper_py.tools import our_settings

DONE, FAILED, USAGE = 0, 1, 2

# (word, module of qpopper_py.tools, what it does)
TASKS = (
    ("convert", "convert", "an mbox into a Maildir, or back; unique-ids, flags and order are kept"),
    ("import-uids", "import_uids", "the unique-ids that another server gave to the messages of a mailbox"),
    ("login-delays", "login_delays", "when users' last sessions ended, from GNU mailutils' database and back"),
    ("migrate", "migrate", "an old program's installation moved in here, or back"),
    ("recover", "recover", "the changes of mailboxes that a crash cut off are finished"),
    ("trace", "trace", "a trace file, by session, user or time"),
)


def main(argv: "Sequence[str] | None" = None) -> int:
    """Do the task that the command line names; the exit status: 0 done, 1 not done, 2 wrong usage."""
    words = list(sys.argv[1:] if argv is None else argv)
    word = words.pop(0) if words else ""
    if word in ("--version", "-V"):
        print(f"qpopper-py (qpopper_py) {__version__}")
        return DONE
    if word in ("--help", "-h", "help"):
        print(usage())
        return DONE
    module = next((module for name, module, _ in TASKS if name == word), "")
    if not module:
        print(f"qpopper-py: there is no task {word!r}" if word else "qpopper-py: name a task", file=sys.stderr)
        print(usage(), file=sys.stderr)
        return USAGE
    return guarded(module, words)


def usage() -> str:
    width = max(len(name) for name, _, _ in TASKS)
    rows = [f"  {name:<{width}}  {what}" for name, _, what in TASKS]
    return "\n".join(["usage: qpopper-py TASK ...", *rows, "qpopper-py TASK --help tells more; see qpopper-py(8)."])


def guarded(module: str, words: "list[str]") -> int:
    """Run a task; whatever it raises on purpose becomes one line and an exit status."""
    task: object = import_module(f"qpopper_py.tools.{module}")
    try:
        status: int = task.main(words)  # type: ignore[attr-defined]  # every module of TASKS has it
        sys.stdout.flush()
        return status
    except ConfigurationError as why:
        return complain(why, USAGE)
    except QpopperError as why:
        return complain(why, FAILED)
    except KeyboardInterrupt:
        return complain("interrupted", FAILED)
    except BrokenPipeError:  # | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as why:
        return complain(f"{why.filename or 'standard input or output'}: {why.strerror}", FAILED)


def complain(why: object, status: int) -> int:
    print(f"qpopper-py: {why}", file=sys.stderr)
    return status


def parser(task: str, what: str) -> ArgumentParser:
    """The parser of a task's own words, with the options that every task has; see :func:`settings_of`."""
    made = ArgumentParser(f"qpopper-py {task}", description=what, allow_abbrev=False, epilog="See qpopper-py(8).")
    made.add_argument("--personality", metavar="NAME", help="read the settings and files of that old program")
    made.add_argument("--config", metavar="FILE", help="read the settings from FILE (none: from no file)")
    made.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="change a setting")
    return made


def settings_of(asked: Namespace) -> Settings:
    """The server's settings, as the server reads them; ConfigurationError."""
    chosen = getattr(asked, "personality", None)  # a task of its own words may have none
    arguments = ["--personality", chosen] if chosen else []
    if asked.config is not None:
        arguments += ["--config", asked.config]
    for word in asked.set:
        arguments += ["--set", word]
    return our_settings.read(arguments).settings


if __name__ == "__main__":
    raise SystemExit(main())
