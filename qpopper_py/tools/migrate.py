"""``qpopper-py migrate``: an old program's installation moves in here, or ours back to it.

Moving in reads how the old program is started, its configuration (by the personality of that name, so that there is no
second knowledge of it), its databases and lists of unique-ids; it writes a new pop3d.toml and our own records, and
prints what is to be done and known.  Nothing of the old is written, moved or removed.
"""

import os
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence

from qpopper_py.errors import ConfigurationError
from qpopper_py.personality import check, commandline, report
from qpopper_py.personality.commandline import Invocation
from qpopper_py.tools import migrate_back, migrate_state, our_settings
from qpopper_py.tools.command import DONE, FAILED
from qpopper_py.tools.migrate_back import WAS
from qpopper_py.tools.migrate_find import Start, below, starts
from qpopper_py.tools.migrate_programs import PROGRAMS, Program


def words() -> ArgumentParser:
    made = ArgumentParser(
        "qpopper-py migrate",
        description="Move an old program's installation in here, or back.",
        allow_abbrev=False,
        epilog="See qpopper-py(8).",
    )
    which = made.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--from", dest="source", choices=PROGRAMS, metavar="PROGRAM", help=f"one of {', '.join(PROGRAMS)}"
    )
    which.add_argument("--back", choices=PROGRAMS, metavar="PROGRAM", help="go back to it")
    made.add_argument("--config", metavar="FILE", help="--from: the old program's configuration; --back: ours")
    made.add_argument("--root", metavar="DIR", default="/", help="read the old installation below DIR")
    made.add_argument(
        "--output", metavar="FILE", help="--from: the new pop3d.toml; --back: the old password database as text"
    )
    made.add_argument("--apop", metavar="FILE", help="--from: the old program's password database, if it is elsewhere")
    made.add_argument("--delays", metavar="FILE", help="the old program's login delays, if they are elsewhere")
    made.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="change a setting")
    made.add_argument("--dry-run", action="store_true", help="read and report, write nothing")
    return made


def main(argv: Sequence[str]) -> int:
    asked = words().parse_args(argv)
    os.umask(0o022)
    if not os.path.isdir(asked.root):
        raise ConfigurationError(f"--root {asked.root}: is not a folder")
    asked.root = os.path.abspath(asked.root)
    if asked.back:
        return migrate_back.MovingBack(asked, PROGRAMS[asked.back], asked.back).run()
    with tempfile.TemporaryDirectory(prefix="qpopper-py-") as folder:
        return MovingIn(asked, PROGRAMS[asked.source], asked.source, folder).run()


class MovingIn:
    """One move; ``folder`` is ours for as long as it lasts."""

    def __init__(self, asked: Namespace, program: Program, name: str, folder: str) -> None:
        self.asked = asked
        self.program = program
        self.name = name
        self.draft = f"{folder}/pop3d.toml"
        self.output = os.path.abspath(asked.output or commandline.DEFAULT)
        self.status = DONE

    def run(self) -> int:
        if os.path.lexists(self.output):
            raise ConfigurationError(
                f"{self.output}: is there already; it is never written over: name another by --output"
            )
        found = starts(self.asked.root, self.program.names)
        using = self.using(found)
        path, invocation = self.read(using)
        text = self.toml(invocation, found, path)
        with open(self.draft, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        self.tell_found(found, using, path)
        mine = ["--config", self.draft]
        settings = our_settings.read(mine).settings
        if not self.asked.dry_run:
            self.publish(text)
        print(f"{'would write' if self.asked.dry_run else 'wrote'} {self.output}:")
        print("".join(f"  {line}\n" for line in text.splitlines()), end="")
        print("databases and state:")
        kept = [
            migrate_state.apop(self.asked, self.program, settings),
            migrate_state.delays(self.asked, self.program, settings, mine),
            migrate_state.lists(self.asked, self.program, mine),
        ]
        self.tell_changes(invocation)
        self.tell_lines(found)
        return DONE if all(kept) else FAILED

    def using(self, found: "list[Start]") -> "Start | None":
        """The start whose options count: the first that is in use."""
        return next(iter(found), None)

    def read(self, using: "Start | None") -> "tuple[str, Invocation]":
        """(the old configuration file, or empty; what it and the old options amount to)."""
        given, path = without_config(using.words if using else [], self.program.option)
        path = self.asked.config or (below(self.asked.root, path) if path else self.standard())
        if self.asked.config and not self.program.option:
            raise ConfigurationError(f"--config {path}: {self.name} has no configuration file that is read here")
        if path and not os.path.exists(path):
            raise ConfigurationError(f"{path}: there is no such file" + (f" ({using.where})" if using else ""))
        who = [f"--personality={self.program.personality}"] if self.program.personality else []
        if path and not (self.asked.root == "/" and path in self.program.config[:1]):  # that one it reads by itself
            given = [self.program.option, os.path.abspath(path), *given]
        personality = commandline.named(self.program.personality or "tru64", "--from")
        ours = {row.long.removeprefix(commandline.PREFIX): row.spelt for row in commandline.ours(personality)}
        sets = [f"{key}={value}" for key, value in self.program.sets.items()] + self.asked.set
        ends = [ours["config"], "none", ours["check-config"], *(word for one in sets for word in (ours["set"], one))]
        environ = {"CYRUS_SERVICE": using.service} if using and using.service else {}
        try:
            return path, commandline.read([*who, *ends, *given], environ, euid=os.geteuid())
        except ConfigurationError as why:
            raise ConfigurationError(
                f"{using.where}: {why}" if using and "command line" in str(why) else str(why)
            ) from None

    def standard(self) -> str:
        """The old program's configuration where it usually lies; empty if it is not there."""
        return next((path for one in self.program.config if os.path.isfile(path := below(self.asked.root, one))), "")

    def toml(self, invocation: Invocation, found: "list[Start]", path: str) -> str:
        """The new file: what the old installation says, each value with where that stood."""
        rows = [
            row
            for row in report.dumped(invocation, everything=False)
            if not row.partition("  # ")[2].startswith("personality ")
        ]
        head = [f"# Made by qpopper-py migrate --from {self.name}; see pop3d.toml(5)."]
        head += [f"# its configuration was {path}"] if path else []
        head += [f"{WAS}{start.where}: {start.line}" for start in found if start.active]
        return "".join(f"{line}\n" for line in head) + "".join(rows)

    def publish(self, text: str) -> None:
        """The new file, whole, and nobody's before."""
        new = f"{self.output}.{os.getpid()}"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        try:
            with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            try:
                os.link(new, self.output)  # fails if somebody made one meanwhile
            except FileExistsError:
                raise ConfigurationError(f"{self.output}: was made meanwhile; it is not written over") from None
        finally:
            os.unlink(new)

    def tell_found(self, found: "list[Start]", using: "Start | None", path: str) -> None:
        print(f"{self.name} below {self.asked.root}:")
        for start in found:
            state = "" if start.active else ", which is switched off"
            count = "; its options count" if start is using and len(found) > 1 else ""
            print(f"  started by {start.where}{state}{count}: {start.line}")
        if not found and self.program.names:
            print("  no line that starts it was found (inetd.conf, xinetd.d, systemd, cyrus.conf, default): no options")
        print(f"  configuration: {path}" if path else "  configuration: no file")

    def tell_changes(self, invocation: Invocation) -> None:
        print("for users:")
        for line in self.program.users:
            print(f"  {line}")
        print("what does not carry over, or needs a look:")
        for line in [*self.program.lost, *remarks(invocation)]:
            print(f"  {line}")

    def tell_lines(self, found: "list[Start]") -> None:
        """What to write where."""
        ours = f"{sbin()}/{self.program.link or 'pop3d'}"
        print("to start this server instead:")
        for start in found:
            if start.active:
                print(f"  in {start.where}: {start.new(ours)}")
        if not any(start.active for start in found):
            print(f"  in inetd.conf: pop3 stream tcp nowait.1000 root {ours} {os.path.basename(ours)}")
        print(f"  the way back: qpopper-py migrate --back {self.name}")


def remarks(invocation: Invocation) -> "Iterator[str]":
    """What --check-config says of the old configuration and would not say without it."""
    plain = our_settings.read(["--config", "none"])
    usual = {str(finding) for finding in check.findings(plain, os.geteuid())}
    for finding in check.findings(invocation, os.geteuid()):
        if str(finding) not in usual:
            yield str(finding)


def without_config(given: "list[str]", option: str) -> "tuple[list[str], str]":
    """(the words without the option that names the configuration, the last value that it had)."""
    kept, path, rest = [], "", list(given)
    while rest:
        word = rest.pop(0)
        if not option or not word.startswith(option):
            kept.append(word)
        elif word == option:
            path = rest.pop(0) if rest else ""
        elif option.startswith("--") and word[len(option)] != "=":
            kept.append(word)
        else:
            path = word[len(option) :].removeprefix("=")
    return kept, path


def sbin() -> str:
    """Where our links are: beside this command, else where make install puts them."""
    folder = os.path.dirname(os.path.abspath(sys.argv[0]))
    return folder if os.path.lexists(f"{folder}/pop3d") else "/usr/local/sbin"
