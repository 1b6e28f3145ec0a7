"""Cyrus' telemetry: FOLDER/USER/PREFIXPID has what a user and the server say from the login on, where FOLDER/USER is.

The file begins ``---------- USER DATE`` and an empty line.  Then ``<SECONDS<`` stands before what the client sent, and
``>SECONDS>`` before what the server sent, each run once, on the line that it heads; message bodies are in it whole.
What may be a secret is masked, as everywhere: a client's line is in its safe form, its verb in lower case.
It is opened by the process that serves the mail, as its user.
"""

import os
import stat
import time

from qpopper_py.events import Tap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.facts import Facts

FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class Telemetry(Tap):
    """``named``: pid or session; ``prefix``: before the pid; ``report`` takes a warning for the log."""

    def __init__(
        self,
        folder: str,
        named: str,
        report: "Callable[[str], None]",
        prefix: str = "",
        clock: "Callable[[], float]" = time.time,
    ) -> None:
        self.folder = folder
        self.prefix = prefix.replace("/", "_")
        self.named = named
        self.report = report
        self.clock = clock
        self.files: dict[str, int] = {}  # by session
        self.run: dict[str, str] = {}  # whose words the last ones were

    def logged_in(self, facts: "Facts", user: str) -> None:
        """Open the file, if it is wanted; one that cannot be is reported, and the session goes on without."""
        folder = f"{self.folder}/{user}"
        if not user or "/" in user or user.startswith(".") or not os.path.isdir(folder):
            return
        path = f"{folder}/{f'{self.prefix}{os.getpid()}' if self.named == 'pid' else facts.session}"
        try:
            fd = os.open(path, FLAGS, 0o600)
        except OSError as why:
            self.report(f"telemetry: {path}: {why.strerror}")
            return
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            self.report(f"telemetry: {path} is not a plain file")
            return
        self.files[facts.session] = fd
        self._write(facts, f"---------- {user} {time.ctime(self.clock())}\n\n".encode("utf-8", "replace"))

    def received(self, facts: "Facts", user: str, line: str) -> None:  # noqa: ARG002  # Tap's
        self._put(facts, "<", line.encode("utf-8", "replace") + b"\r\n")

    def sent(self, facts: "Facts", user: str, line: bytes) -> None:  # noqa: ARG002  # Tap's
        self._put(facts, ">", line + b"\r\n")

    def body(self, facts: "Facts", user: str, sent: bool, piece: bytes) -> None:  # noqa: ARG002  # Tap's
        self._put(facts, ">" if sent else "<", piece)

    def closed(self, facts: "Facts") -> None:
        fd = self.files.pop(facts.session, -1)
        self.run.pop(facts.session, None)
        if fd >= 0:
            os.close(fd)

    def _put(self, facts: "Facts", mark: str, data: bytes) -> None:
        if facts.session not in self.files:
            return
        if self.run.get(facts.session) != mark:
            self.run[facts.session] = mark
            data = f"{mark}{int(self.clock())}{mark}".encode("ascii") + data
        self._write(facts, data)

    def _write(self, facts: "Facts", data: bytes) -> None:
        try:
            os.write(self.files[facts.session], data)
        except OSError as why:
            self.report(f"telemetry of {facts.session}: {why.strerror}; the rest of the session is missing from it")
            self.closed(facts)
