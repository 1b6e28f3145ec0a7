"""login_hook: a program of the administrator's, run as the mail user once a maildrop is open, in DRAC's place.

It hears of the login in its environment and nowhere else: USER, IP, LOGNAME, PATH.  The session neither waits for it
nor ends it; its exit status goes nowhere.  How it is run: :mod:`qpopper_py.programs`.
"""

from qpopper_py import programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 30


def run_hook(program: str, user: str, peer: str, warn: "Callable[[str], None]", seconds: int = SECONDS) -> None:
    """Start ``program`` and go on.  ``peer``: the client's address, empty if it has none."""
    if programs.objection(program):
        warn(f"login_hook: {program} is not a program that {user} may run")
        return
    try:
        programs.leave([program], {"USER": user, "LOGNAME": user, "IP": peer}, seconds)
    except OSError as why:
        warn(f"login_hook: {program}: {why.strerror}")
