"""Mail processes: each becomes one user for good, and then opens that user's mail.

With serve.mode = prefork a process waits, when its session is over, for another session of the same owner: a client
that comes again within prefork.linger, or any virtual user where one owner has all mail.  Whoever takes such a process
over has what that owner has anyway.  Root's help with a dotlock is bound to one mailbox, so that is part of the owner.
"""

import time

from qpopper_py.auth.account import Account
from qpopper_py.events import Trouble
from qpopper_py.serve import handover
from qpopper_py.serve.fronts import stream_of
from qpopper_py.serve.packing import Forged
from qpopper_py.serve.roles import (
    DotlockKeeper,
    KeptDotlock,
    be_mail_user,
    lockable,
    reached,
    state_folder,
    tell_end,
    where,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable
    from typing import Protocol

    from qpopper_py.events import Event
    from qpopper_py.facts import Facts
    from qpopper_py.serve.children import Loop
    from qpopper_py.serve.delays import Delays
    from qpopper_py.serve.packing import Fields
    from qpopper_py.settings import Settings
    from qpopper_py.stream import Stream

    Owner = tuple[int, int, tuple[int, ...], str]

    class Postmaster(Protocol):
        """What a mail process has from ``__main__``."""

        settings: Settings

        @property
        def emit(self) -> Callable[[Event], None]:
            """Who hears of what happens."""

        def descriptors(self) -> list[int]:
            """Those that every process of ours needs."""

        def reopen_log(self) -> None:
            """Have a connection to the log that is this process's own."""

        def mailbox_of(self, account: Account) -> str:
            """The path of the mailbox file that may need a dotlock, or empty."""

        def state_of(self, account: Account) -> str:
            """Where the account's state may be kept, or empty."""

        def transact(
            self,
            stream: Stream,
            facts: Facts,
            account: Account,
            fields: Fields,
            state: str,
            dotlock: KeptDotlock | None,
            ended: Callable[[], None],
        ) -> None:
            """The TRANSACTION state, and what follows it; ``ended``: it has."""

        def delays(self) -> Delays:
            """When users may log in again."""


class Login:
    """A session that was handed over: connection ``number`` is ``account``'s.

    ``fields`` are the HANDOVER's, and ``early``: seconds before the user may log in again.
    """

    __slots__ = ("account", "facts", "fields", "groups", "number")

    def __init__(self, number: int, account: Account, groups: "list[int]", facts: "Facts", fields: "Fields") -> None:
        self.number = number
        self.account = account
        self.groups = groups
        self.facts = facts
        self.fields = fields


class Mail:
    """The keeper's record of one mail process, which serves connection ``number``, or none (0).

    ``owner``: uid, gid, groups, and the mailbox of which root may make the dotlock, or empty.
    """

    __slots__ = ("channel", "facts", "last", "number", "owner", "served", "since", "user")

    def __init__(self, channel: "_socket.socket", owner: "Owner", login: Login) -> None:
        self.channel = channel
        self.owner = owner
        self.number = login.number
        self.user = login.account.user
        self.facts = login.facts
        self.served = 0
        self.since = 0.0  # when it began to wait
        self.last = False  # it serves no other


class Mails:
    """Those that are there.  ``over`` hears the number of a connection whose session has ended."""

    def __init__(
        self, loop: "Loop", house: "Postmaster", over: "Callable[[int], None]", ended: "Callable[[int], object]"
    ) -> None:
        """``ended``: the wait status of one that is no more."""
        self.loop = loop
        self.house = house
        self.over = over
        self.ended = ended
        self.busy: set[Mail] = set()
        self.idle: list[Mail] = []
        self.adopt()

    def adopt(self) -> None:
        """Go by the settings of the house; those that serve by older ones end after their session."""
        settings = self.house.settings
        self.kept, self.reuse, self.linger = settings.prefork_mail, settings.prefork_reuse, settings.prefork_linger
        if settings.serve_mode != "prefork":
            self.kept = 0
        self.dismiss()

    def dismiss(self) -> None:
        """Nobody waits for another session; those that serve one end with it."""
        for mail in self.busy:
            mail.last = True
        while self.idle:
            self._forget(self.idle.pop())

    def serve(self, login: Login, descriptors: "list[int]") -> None:
        """Have the session's mail process, and let it have the client's ``descriptors``.  Raises OSError."""
        account = login.account
        mailbox = lockable(self.house.mailbox_of(account), login.groups)
        owner = account.uid, account.gid, tuple(login.groups), mailbox
        for mail in [one for one in self.busy if one.owner == owner]:
            self._heard(mail)  # a client may come again before its last session's process was heard
        early = self.house.delays().left(account.user) if self.house.settings.login_delay else 0
        login.fields = {**login.fields, "early": early}
        for mail in [one for one in reversed(self.idle) if one.owner == owner]:
            self.idle.remove(mail)
            try:
                self._bring(mail, login, descriptors)
            except OSError:
                self._forget(mail)  # it has just died
            else:
                return
        self._fork(login, descriptors, owner)

    def expire(self) -> float:
        """Let those go that have waited for long; in how many seconds the next is due, or -1."""
        due = time.monotonic() - self.linger
        while self.idle and self.idle[0].since <= due:
            self._forget(self.idle.pop(0))
        return self.idle[0].since - due if self.idle else -1

    def _bring(self, mail: Mail, login: Login, descriptors: "list[int]") -> None:
        """Another session for a process that is the mail's owner already.  Raises OSError."""
        account, facts = login.account, login.facts
        fields = {**login.fields, **handover.of_account(account), **handover.of_facts(facts)}
        fields["state"] = state_folder(self.house.state_of(account), account, facts, self.house.emit)
        handover.send(mail.channel, handover.SESSION, fields, descriptors, wait=False)
        mail.number, mail.facts, mail.user = login.number, facts, account.user
        self.busy.add(mail)

    def _fork(self, login: Login, descriptors: "list[int]", owner: "Owner") -> None:
        """Raises OSError."""
        ours, theirs = handover.pair()
        helper, asker = handover.pair()
        mail = Mail(ours, owner, login)
        keep = [0, 1, 2, theirs.fileno(), asker.fileno(), *descriptors, *self.house.descriptors()]
        try:
            child = self.loop.fork(
                f"mail process of {login.account.user}",
                lambda: be_mail(theirs, self.house, login, descriptors, asker, bool(owner[-1])),
                keep,
                lambda status: self._ended(mail, status),
                login.facts,
            )
        except OSError:
            ours.close()
            helper.close()
            raise
        finally:
            theirs.close()
            asker.close()
        self.busy.add(mail)
        self.loop.watch(ours.fileno(), lambda: self._heard(mail))
        self._keep_dotlock(mail, child, helper)

    def _heard(self, mail: Mail) -> None:
        """It has done with a session, or is gone."""
        try:
            said = handover.receive(mail.channel, (handover.DONE,), wait=False)
        except BlockingIOError:
            return
        except (OSError, Forged):
            said = None
        if said is None or said[1]["number"] != mail.number:
            self._forget(mail)
            return
        self._over(mail)
        mail.served += 1
        if mail.last or mail.served >= self.reuse or not self.kept:
            self._forget(mail)
            return
        if len(self.idle) >= self.kept:
            self._forget(self.idle.pop(0))
        mail.since = time.monotonic()
        self.idle.append(mail)

    def _over(self, mail: Mail) -> None:
        self.busy.discard(mail)
        if mail.number:
            self.over(mail.number)
        mail.number = 0

    def _ended(self, mail: Mail, status: int) -> None:
        self._over(mail)
        if mail in self.idle:
            self.idle.remove(mail)
            self._forget(mail)
        self.ended(status)

    def _forget(self, mail: Mail) -> None:
        """It ends when it sees that nobody is at the other end."""
        if mail.channel.fileno() >= 0:
            self.loop.forget(mail.channel.fileno())
            mail.channel.close()

    def _keep_dotlock(self, mail: Mail, child: int, channel: "_socket.socket") -> None:
        """Serve the dotlock of a mail process as long as it is there."""
        from qpopper_py.store.dotlock import Dotlocks

        def warn(what: str) -> None:
            self.house.emit(Trouble(mail.facts, what, "warning"))

        def ended() -> None:
            self.house.delays().ended(mail.user)

        locks = DotlockKeeper(channel, mail.owner[-1], Dotlocks(child), warn, ended)

        def asked() -> None:
            try:
                if locks.go_on():
                    return
            except Exception as why:  # noqa: BLE001  # whatever it still asks for, it hears that nobody is there
                self.house.emit(Trouble(mail.facts, f"keeper: {where(why)}"))
            self.loop.forget(channel.fileno())
            channel.close()

        self.loop.watch(channel.fileno(), asked)


def be_mail(
    channel: "_socket.socket",
    house: "Postmaster",
    login: Login,
    descriptors: "list[int]",
    asker: "_socket.socket",
    locks: bool,
) -> None:
    """Become the mail's owner, and serve the session; then others, until the keeper brings no more.

    ``asker``: the channel to root's help, which makes the dotlock if ``locks``, and hears of each session's end.
    """
    house.reopen_log()
    dotlock = KeptDotlock(asker) if locks else None
    account, facts = login.account, login.facts
    stream = stream_of(descriptors)

    def ended() -> None:
        tell_end(asker)

    def work(state: str, lock: "KeptDotlock | None") -> None:
        house.transact(stream, facts, account, login.fields, state, lock, ended)

    be_mail_user(account, login.groups, house.state_of(account), facts, house.emit, dotlock, work)
    number = login.number
    try:
        while True:
            handover.send(channel, handover.DONE, {"number": number})
            said = handover.receive(channel, (handover.SESSION,), 1, 2)
            if said is None:
                return
            _, fields, descriptors = said
            number, facts = fields["number"], handover.facts_from(fields)
            state = reached(fields["state"], facts, house.emit)
            again = handover.account_from(fields)
            house.transact(stream_of(descriptors), facts, again, fields, state, dotlock, ended)
    except (BrokenPipeError, ConnectionResetError):
        return  # the keeper wants no more of it, or is gone
