"""How long refusals take here of late, whosever they are: by this the moment of the next one is chosen.

A refused login is answered at a multiple of auth.refusal_delay.  If each took the next multiple after its own work, the
multiple would tell how long the work took wherever that is near one: with PAM on a busy machine, which user it was.
So all refusals go by the longest one of late, with a margin, and one that exceeds it moves those that follow, too.

``<state_dir>/pace`` holds that longest time and when it was, so that it is known in every mode.  It is not written
while work is short beside the delay, and what cannot be read or written counts as nothing: then a refusal still has the
next multiple (:mod:`qpopper_py.session.authorization`).
"""

import os
import struct
import time

from qpopper_py.auth.statefile import locked
from qpopper_py.errors import CredentialStoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.settings import Settings

NAME = "pace"
RECORD = struct.Struct("<dd")  # seconds that it took, seconds since 1970 when that was
MARGIN = 1.5  # for what is not measured here: messages between processes, and the next one's bad luck
HALVED = 60.0  # seconds in which what is remembered comes to count half
MOST = 8  # multiples of the delay: one source that hung must not hold up everybody for as long


class Pace:
    """``clock``: seconds since 1970."""

    __slots__ = ("_clock", "_delay", "_folder")

    def __init__(self, settings: "Settings", clock: "Callable[[], float]" = time.time) -> None:
        self._clock = clock
        self._delay = settings.auth_refusal_delay
        self._folder = settings.state_dir

    def moment(self, spent: float) -> float:
        """When to answer a refusal that took ``spent`` seconds until now, in seconds after it was asked; or 0."""
        if not self._delay or not self._folder:
            return 0.0
        longest = self._remembered()
        if spent > longest and spent * MARGIN >= self._delay:
            self._remember(spent)
        return self._delay * min(int(max(spent, longest) * MARGIN / self._delay) + 1, MOST)

    def _remembered(self) -> float:
        """Seconds, 0 for nothing."""
        try:
            descriptor = os.open(f"{self._folder}/{NAME}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return 0.0
        try:
            took, when = RECORD.unpack(os.read(descriptor, RECORD.size))
            age = self._clock() - when
            # NaN, and what a clock that was set since wrote, fail these comparisons
            return took * 0.5 ** (age / HALVED) if 0 <= took <= MOST * self._delay and 0 <= age < 30 * HALVED else 0.0
        except (OSError, struct.error):
            return 0.0
        finally:
            os.close(descriptor)

    def _remember(self, took: float) -> None:
        """Others may do the same: whoever comes too late for the lock leaves it to them."""
        try:
            descriptor = locked(self._folder, NAME, "", patience=0)
        except CredentialStoreError:
            return
        try:
            os.pwrite(descriptor, RECORD.pack(min(took, MOST * self._delay), self._clock()), 0)
        except OSError:
            pass
        finally:
            os.close(descriptor)
