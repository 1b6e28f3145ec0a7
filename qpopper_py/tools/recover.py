"""``qpopper-py recover``: finish what a crash cut off in users' mailboxes, as those users, before they log in.

Each login does so for itself; this is for those who want it done, or read their mail without the server.
"""

from collections.abc import Callable, Sequence

from qpopper_py.auth.account import Account
from qpopper_py.errors import ConfigurationError, MaildropError, QpopperError
from qpopper_py.events import Event, Trouble
from qpopper_py.facts import Facts
from qpopper_py.serve.maildrops import maildrop_of
from qpopper_py.serve.roles import KeptDotlock, as_mail_user
from qpopper_py.settings import Settings
from qpopper_py.store.mbox.store import Mbox
from qpopper_py.store.mbox.upkeep import unfinished
from qpopper_py.store.opening import open_store, parted
from qpopper_py.tools.command import DONE, FAILED, parser, settings_of
from qpopper_py.tools.owner import account_of, as_user, say


def main(argv: Sequence[str]) -> int:
    made = parser("recover", "Finish the changes of mailboxes that a crash cut off.")
    made.add_argument("users", metavar="USER", nargs="*", help="whose mailbox to look at")
    made.add_argument("--all", action="store_true", help="of everybody who has a record of an unfinished change")
    asked = made.parse_args(argv)
    settings = settings_of(asked)
    if bool(asked.users) == asked.all:
        raise ConfigurationError("name users, or say --all")
    users = asked.users or unfinished(settings.state_dir)
    if not users:
        print("nothing is unfinished")
    done = [_told(user, settings) for user in users]
    return DONE if all(done) else FAILED


def _told(user: str, settings: Settings) -> bool:
    """Do it for one user, and say how it went."""
    try:
        account = account_of(user, "", settings)
        place, path = _place(account, settings)
    except QpopperError as why:
        say(f"{user}: {why}")
        return False

    def work(state: str, helper: KeptDotlock | None) -> None:
        count = _finish(place, user, state, settings, say, helper)
        print(f"{user}: {f'{count} finished' if count else 'nothing to finish'}")

    return as_user(account, path, settings, work) == DONE


def at_start(settings: Settings, emit: Callable[[Event], None]) -> None:
    """For everybody; how it went is for the log."""
    facts = Facts("recover")
    for user in unfinished(settings.state_dir):
        try:
            _logged(user, settings, facts, emit)
        except QpopperError as why:
            emit(Trouble(facts, f"{user} has an unfinished change of a mailbox: {why}"))


def _logged(user: str, settings: Settings, facts: Facts, emit: Callable[[Event], None]) -> None:
    account = account_of(user, "", settings)
    place, path = _place(account, settings)

    def work(state: str, helper: KeptDotlock | None) -> None:
        try:
            _finish(place, user, state, settings, lambda what: emit(Trouble(facts, what, "warning")), helper)
        except MaildropError as why:
            emit(Trouble(facts, str(why)))

    as_mail_user(account, path, settings, facts, emit, work)


def _place(account: Account, settings: Settings) -> tuple[str, str]:
    """The name of the maildrop, and the path whose dotlock may be needed."""
    place, why = maildrop_of(account, settings)
    if not place:
        raise QpopperError(why)
    kind, path = parted(place)
    return place, "" if kind == "maildir" else path


def _finish(
    place: str,
    user: str,
    state: str,
    settings: Settings,
    report: Callable[[str], None],
    helper: KeptDotlock | None,
) -> int:
    """How many changes were finished.  MaildropError: one cannot be."""
    store = open_store(place, user, state, settings, report, helper)
    return store.finish_changes() if isinstance(store, Mbox) else 0
