"""What a session tells the process that counts sessions (:mod:`~qpopper_py.serve.limits`).

Over a sequenced-packet socket pair: ``C`` and the address of the client behind a proxy, answered ``Y`` or ``N``;
``L``, it has logged in, which is not answered.  On the way to the greeting under inetd: it imports nothing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

CLIENT, LOGGED_IN = b"C", b"L"
GRANTED, REFUSED = b"Y", b"N"
MESSAGE = 64  # octets of the longest message


class Teller:
    """A session's end of the conversation with the process that counts it.

    Where the other end is gone (the service is stopping) everything is granted.  ``quiet``: see Limits.
    """

    __slots__ = ("_channel", "quiet")

    def __init__(self, channel: "_socket.socket | None", quiet: bool = False) -> None:
        self._channel = channel
        self.quiet = quiet

    def client(self, address: str) -> bool:
        """Behind the proxy is the client ``address``: whether it may have one more session."""
        if self._channel is None:
            return True
        try:
            self._channel.send(CLIENT + address.encode("ascii"))
            return self._channel.recv(1) != REFUSED
        except OSError:
            return True

    def logged_in(self) -> None:
        """From here on nothing is told: the process that follows belongs to the user."""
        if self._channel is None:
            return
        try:
            self._channel.send(LOGGED_IN)
        except OSError:
            pass  # nobody counts any more
        self._channel.close()
        self._channel = None
