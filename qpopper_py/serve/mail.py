"""A mail process: it becomes one user for good, and then opens that user's mail.  The keeper's side is in ``mails``."""

from qpopper_py.serve import handover
from qpopper_py.serve.fronts import stream_of
from qpopper_py.serve.roles import KeptDotlock, be_mail_user, lockable, reached

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable
    from typing import Protocol

    from qpopper_py.auth.account import Account
    from qpopper_py.facts import Facts
    from qpopper_py.serve.children import Resident
    from qpopper_py.serve.delays import Delays
    from qpopper_py.serve.packing import Fields
    from qpopper_py.settings import Settings
    from qpopper_py.stream import Stream

    class Postmaster(Resident, Protocol):
        """What a mail process has from ``__main__``."""

        settings: Settings

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

    def __init__(self, number: int, account: "Account", groups: "list[int]", facts: "Facts", fields: "Fields") -> None:
        self.number = number
        self.account = account
        self.groups = groups
        self.facts = facts
        self.fields = fields


def be_mail(
    channel: "_socket.socket",
    house: "Postmaster",
    login: Login,
    descriptors: "list[int]",
    asker: "_socket.socket | None",
    mailbox: str,
) -> None:
    """Become the mail's owner, and serve the session; then others, until the keeper brings no more.

    ``asker``: the channel to root's help, which makes the dotlock of ``mailbox``.
    """
    house.reopen_log()
    dotlock: KeptDotlock | None = None
    account, facts, number = login.account, login.facts, login.number
    stream = stream_of(descriptors)

    def ended() -> None:
        tell_end(channel, number)

    def work(state: str) -> None:
        nonlocal dotlock
        if asker and lockable(mailbox, login.groups):
            dotlock = KeptDotlock(asker)
        house.transact(stream, facts, account, login.fields, state, dotlock, ended)

    be_mail_user(account, login.groups, house.state_of(account), facts, house.emit, work)
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


def tell_end(channel: "_socket.socket", number: int) -> None:
    """In a mail process: the session ended; the keeper has noted it when this returns, before the user's next one."""
    try:
        handover.send(channel, handover.ENDED, {"number": number})
        handover.receive(channel, (handover.NOTED,))
    except OSError:
        pass  # it is gone, and nobody will ask
