"""The keeper's side of mail processes (:mod:`qpopper_py.serve.mail`): each becomes one user for good.

With serve.mode = prefork a process waits, when its session is over, for another session of the same owner: a client
that comes again within prefork.linger, or any virtual user where one owner has all mail.  Whoever takes such a process
over has what that owner has anyway.  Root's help with a dotlock (:mod:`qpopper_py.serve.locker`) is bound to one
mailbox, so that is part of the owner.  What may wait for the spool is done in the mail process, or there.
"""

import time

from qpopper_py.serve import handover
from qpopper_py.serve.locker import Locker
from qpopper_py.serve.mail import be_mail
from qpopper_py.serve.packing import Forged
from qpopper_py.serve.roles import state_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable

    from qpopper_py.serve.children import Loop
    from qpopper_py.serve.mail import Login, Postmaster

    Owner = tuple[int, int, tuple[int, ...], str]


class Mail:
    """The keeper's record of one mail process, which serves connection ``number``, or none (0).

    ``owner``: uid, gid, groups, and the mailbox file whose dotlock root may have to make, or empty.
    """

    __slots__ = ("called", "channel", "facts", "last", "number", "owner", "served", "since")

    def __init__(self, channel: "_socket.socket", owner: "Owner", login: "Login") -> None:
        self.channel = channel
        self.owner = owner
        self.number = login.number
        self.called = login.account.called
        self.facts = login.facts
        self.served = 0
        self.since = 0.0  # when it began to wait
        self.last = False  # it serves no other


class Mails:
    """Those that are there.  ``over`` hears the number of a connection whose session has ended."""

    def __init__(
        self, loop: "Loop", house: "Postmaster", over: "Callable[[int], None]", ended: "Callable[[str, int], bool]"
    ) -> None:
        """``ended``: what is no more, and its wait status; false, it did not end well."""
        self.loop = loop
        self.house = house
        self.over = over
        self.ended = ended
        self.busy: set[Mail] = set()
        self.idle: list[Mail] = []
        self.locker = Locker(loop, house, self._locker_ended)
        self.adopt()

    def adopt(self) -> None:
        """Go by the settings of the house; those that serve by older ones end after their session."""
        settings = self.house.settings
        self.kept, self.reuse, self.linger = settings.prefork_mail, settings.prefork_reuse, settings.prefork_linger
        if settings.serve_mode != "prefork":
            self.kept = 0
        self.dismiss()

    def finish(self) -> None:
        """As :meth:`dismiss`, and none is to wait from now on, nor anybody who helps them."""
        self.kept, self.locker.last = 0, True
        self.dismiss()

    def alone(self) -> None:
        """There will be one session, under inetd: no process waits for another, and the keeper is the locker."""
        self.kept, self.locker.here = 0, True

    def dismiss(self) -> None:
        """Nobody waits for another session; those that serve one end with it, and then their locker."""
        self.locker.dismiss()
        for mail in self.busy:
            mail.last = True
        while self.idle:
            self._forget(self.idle.pop())

    def serve(self, login: "Login", descriptors: "list[int]") -> None:
        """Have the session's mail process, and let it have the client's ``descriptors``.  Raises OSError."""
        account = login.account
        owner = account.uid, account.gid, tuple(login.groups), self.house.mailbox_of(account)
        for mail in [one for one in self.busy if one.owner == owner]:
            self._heard(mail)  # a client may come again before its last session's process was heard
        early = self.house.delays().left(account.called) if self.house.settings.login_delay else 0
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

    def _bring(self, mail: Mail, login: "Login", descriptors: "list[int]") -> None:
        """Another session for a process that is the mail's owner already.  Raises OSError."""
        account, facts = login.account, login.facts
        fields = {**login.fields, **handover.of_account(account), **handover.of_facts(facts)}
        fields["state"] = state_folder(self.house.state_of(account), account, facts, self.house.emit)
        handover.send(mail.channel, handover.SESSION, fields, descriptors, wait=False)
        mail.number, mail.facts, mail.called = login.number, facts, account.called
        self.busy.add(mail)

    def _fork(self, login: "Login", descriptors: "list[int]", owner: "Owner") -> None:
        """Raises OSError."""
        helper, asker = handover.pair() if owner[-1] else (None, None)
        keep = [0, 1, 2, *descriptors, *self.house.descriptors()]
        try:
            channel, child = self.loop.fork_beside(
                f"mail process of {login.account.user}",
                lambda theirs: be_mail(theirs, self.house, login, descriptors, asker, owner[-1]),
                [*keep, asker.fileno()] if asker else keep,
                lambda status: self._ended(mail, status),
                login.facts,
            )
        except OSError:
            if helper:
                helper.close()
            raise
        finally:
            if asker:
                asker.close()
        mail = Mail(channel, owner, login)
        self.busy.add(mail)
        self.loop.watch(channel.fileno(), lambda: self._heard(mail))
        if helper:
            self.locker.help(helper, owner[-1], login.groups, child, self.house.settings.locks_stale)

    def _heard(self, mail: Mail) -> None:
        """It has done with a session, or is gone; or is about to, and says so."""
        try:
            said = handover.receive(mail.channel, (handover.DONE, handover.ENDED), wait=False)
        except BlockingIOError:
            return
        except (OSError, Forged):
            said = None
        if said is None or said[1]["number"] != mail.number:
            self._forget(mail)
            return
        if said[0] == handover.ENDED:
            self.house.delays().ended(mail.called)
            self._answer(mail)
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

    def _answer(self, mail: Mail) -> None:
        try:
            handover.send(mail.channel, handover.NOTED, {}, wait=False)
        except OSError:
            self._forget(mail)

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
        self.ended("a mail process", status)

    def _locker_ended(self, status: int) -> None:
        """Those whom it served have nobody any more who would make their lock."""
        if not self.ended("the locker", status):
            self.dismiss()

    def _forget(self, mail: Mail) -> None:
        """It ends when it sees that nobody is at the other end."""
        if mail.channel.fileno() >= 0:
            self.loop.forget(mail.channel.fileno())
            mail.channel.close()
