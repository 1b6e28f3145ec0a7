"""XTND XMIT's delivery: a message to the mailer, as the logged-in user, by ``sh``.

The mailer is run as ``PROGRAM -i -t -oem``, by its absolute path, without a shell or a terminal, in ``/``, with an
environment of our own, the message on its standard input as an unlinked file.  It runs as whoever this process is:
the mail user.  Its envelope sender is the mailer's own choice, or with ``xmit_sender`` one that is checked first.
What it prints goes to the log, never to the client.

Who may, and whether a limit is reached already, is decided before the message is asked for; how many recipients
it has is known only when it is here.  Recipients are counted, not chosen, from To, Cc, Bcc and their Resent- forms;
where a header can be read in two ways the larger number counts.  Every run of the mailer counts, failed ones too.
"""

import os
import time

from qpopper_py import events
from qpopper_py.errors import MissingLibrary, Refused, TryLater
from qpopper_py.session.hourly import Hourly
from qpopper_py.session.recipients import HEADER, count_recipients
from qpopper_py.session.run import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import BinaryIO

    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings

FAILED = "Unable to send message"  # popper's words, whatever went wrong
PLACES = ("/var/tmp", "/tmp", "/dev/shm")  # noqa: S108  # for a file that never has a name there
OUTPUT = 500  # octets of the mailer's output that the log gets
KILLED = -9
# What an envelope sender may be made of: RFC 5321's atoms and the @, no quoting.
SENDER = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.@!#$%&'*+-/=?^_`{|}~")


class Mailer:
    """Sends the messages of one session.  ``system_user``: the account is one of the system's own."""

    def __init__(
        self,
        settings: "Settings",
        emit: "Callable[[events.Event], None]",
        facts: "Facts",
        user: str,
        system_user: bool,
        state: str,
        clock: "Callable[[], float]" = time.time,
    ) -> None:
        """``state``: the user's private state folder, empty if there is none."""
        self.settings = settings
        self.emit = emit
        self.facts = facts
        self.user = user
        self.system_user = system_user
        self.state = state
        self.clock = clock
        self.messages = 0
        self.recipients = 0
        self.hourly: Hourly | None = None

    def begin(self) -> "Draft":
        """A draft to write the message to.  Raises Refused: off, not for this user, a limit, no mailer."""
        settings = self.settings
        if settings.xmit == "off":
            raise Refused("Sending mail is switched off on this server", "SYS/PERM")
        if settings.xmit == "system-users" and not self.system_user:
            raise Refused("Sending mail is for system users only on this server", "SYS/PERM")
        sender = self._sender()
        library = self._ready()
        self._within_limits()
        return Draft(self, library, sender, self.temporary_file())

    def warn(self, what: str) -> None:
        self.emit(events.Trouble(self.facts, what, "warning"))

    def account(self) -> Hourly:
        if self.hourly is None:
            settings = self.settings
            self.hourly = Hourly(
                self.state,
                settings.limits_xmit_messages_hour,
                settings.limits_xmit_recipients_hour,
                self.warn,
                self.clock,
            )
        return self.hourly

    def _sender(self) -> str:
        """The envelope sender, empty for the mailer's own choice.  One that looks like an option is refused."""
        template = self.settings.xmit_sender
        if not template:
            return ""
        sender = "%".join(part.replace("%u", self.user) for part in template.split("%%"))
        if self.user.startswith("-") or sender.startswith("-") or not sender or not SENDER.issuperset(sender):
            self.warn(f"XTND XMIT by {self.user!r}: {sender!r} cannot be an envelope sender (xmit_sender)")
            raise Refused(FAILED, "SYS/PERM")
        return sender

    def _ready(self) -> "ModuleType":
        """The library that runs the mailer, when both are here."""
        from qpopper_py.libraries import need

        program = self.settings.sendmail
        if not os.path.isfile(program) or not os.access(program, os.X_OK):
            self.emit(events.Trouble(self.facts, f"{program} (sendmail) is not a program that {self.user} may run"))
            raise Refused(FAILED, "SYS/PERM")
        try:
            library = need("sh")
        except MissingLibrary as why:
            self.emit(events.Trouble(self.facts, str(why)))
            raise Refused(FAILED, "SYS/PERM") from None
        import logging

        logging.getLogger("sh").setLevel(logging.CRITICAL)  # at DEBUG it would log the message
        return library

    def _within_limits(self) -> None:
        settings = self.settings
        if self.messages >= settings.limits_xmit_messages:
            raise Refused(f"Too many messages: {settings.limits_xmit_messages} in a session at most")
        if self.recipients >= settings.limits_xmit_recipients:
            raise Refused(f"Too many recipients: {settings.limits_xmit_recipients} in a session at most")
        self.hourly_limit(self.account().over())

    def hourly_limit(self, over: str) -> None:
        """Raises Refused if ``over`` names a limit."""
        settings = self.settings
        most = {"messages": settings.limits_xmit_messages_hour, "recipients": settings.limits_xmit_recipients_hour}
        if over:
            raise Refused(f"Too many {over}: {most[over]} in an hour at most")

    def temporary_file(self) -> "BinaryIO":
        """A file of mode 0600 without a name, in the private folder if there is one."""
        import tempfile

        why = ""
        for place in (self.state, *PLACES):
            if place:
                try:
                    return tempfile.TemporaryFile(dir=place)
                except OSError as error:
                    why = why or f"{place}: {error.strerror}"
        self.emit(events.Trouble(self.facts, f"XTND XMIT: no temporary file: {why}"))
        raise TryLater(FAILED)


class Draft:
    """One message on its way to the mailer.  ``too_large``: it is over the limit, and lost."""

    def __init__(self, mailer: Mailer, library: "ModuleType", sender: str, file: "BinaryIO") -> None:
        self.mailer = mailer
        self.library = library
        self.sender = sender
        self.file = file
        self.octets = 0
        self.too_large = False
        self.trouble = ""

    def write(self, data: bytes) -> None:
        """Take a piece of the message: line ends LF, dots unstuffed.  Never raises; :meth:`send` tells."""
        self.octets += len(data)
        if self.octets > self.mailer.settings.limits_xmit_size:
            self.too_large = True
        if self.too_large or self.trouble:
            return
        try:
            self.file.write(data)
        except OSError as why:
            self.trouble = f"XTND XMIT: temporary file: {why.strerror}"

    def discard(self) -> None:
        """Send nothing.  Any number of times."""
        try:
            self.file.close()
        except OSError:
            pass  # what was still to be written found no room, and is not wanted

    def send(self) -> None:
        """Give the message to the mailer.  Raises Refused, and then nothing was sent, or nobody can tell."""
        mailer = self.mailer
        try:
            if self.too_large:
                raise Refused(f"Message too large: {mailer.settings.limits_xmit_size} octets at most")
            recipients = self._recipients()
            self._count(recipients)
            status, output = self._run()
        finally:
            self.discard()
        mailer.emit(events.Submitted(mailer.facts, mailer.user, self.octets, recipients, status))
        if status:
            said = output.strip() or "it said nothing"
            mailer.warn(f"{mailer.settings.sendmail} failed for {mailer.user}, exit status {status}: {said}")
            raise Refused(FAILED)

    def _give_up(self, what: str) -> Refused:
        self.mailer.emit(events.Trouble(self.mailer.facts, what))
        return TryLater(FAILED)

    def _recipients(self) -> int:
        try:
            if self.trouble:
                raise self._give_up(self.trouble)
            self.file.flush()
            self.file.seek(0)
            found = count_recipients(self.file.read(HEADER + 2))
            os.lseek(self.file.fileno(), 0, os.SEEK_SET)
        except OSError as why:
            raise self._give_up(f"XTND XMIT: temporary file: {why.strerror}") from None
        return found

    def _count(self, recipients: int) -> None:
        """Refuse what goes over a limit; else enter it in the accounts, before the mailer runs."""
        mailer, most = self.mailer, self.mailer.settings.limits_xmit_recipients
        if mailer.recipients + recipients > most:
            raise Refused(f"Too many recipients: {most} in a session at most")
        mailer.hourly_limit(mailer.account().take(recipients))
        mailer.messages += 1
        mailer.recipients += recipients

    def _run(self) -> tuple[int, str]:
        """Exit status (negative: the signal that ended it) and the beginning of the output of the mailer."""
        mailer = self.mailer
        settings = mailer.settings
        arguments = ["-i", "-t", "-oem", *(["-f", self.sender] if self.sender else [])]
        with mailer.temporary_file() as output:
            try:
                status = run(
                    self.library, settings.sendmail, arguments, self.file, output, settings.limits_xmit_seconds
                )
            except self.library.TimeoutException:
                mailer.warn(f"{settings.sendmail} took more than {settings.limits_xmit_seconds} s and was ended")
                status = KILLED
            except (self.library.ForkException, self.library.CommandNotFound, OSError) as why:
                raise self._give_up(f"cannot run {settings.sendmail}: {str(why).strip()[-OUTPUT:]}") from None
            return status, os.pread(output.fileno(), OUTPUT, 0).decode("utf-8", "surrogateescape")
