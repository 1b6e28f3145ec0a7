"""What is known of a connection: who, where, which session."""

# What a listener may say of its own, beside its address.
OPTIONS = ("tls", "cleartext", "stamp", "minimum", "proxy", "kpop", "access")


class Listener:
    """One address that is listened on, and how those are met who connect to it.

    ``address`` is HOST:PORT, empty for a connection that somebody else accepted (inetd).  Of ``tls``, ``cleartext``,
    ``stamp`` and ``minimum``, empty stands for the setting that holds for all (tls.mode, auth.cleartext, apop.stamp,
    tls.minimum).  ``access``: rules beside those of the setting access.
    """

    __slots__ = ("access", "address", "cleartext", "kpop", "minimum", "proxy", "stamp", "tls")

    def __init__(
        self,
        address: str = "",
        tls: str = "",
        cleartext: str = "",
        proxy: bool = False,
        stamp: str = "",
        minimum: str = "",
        kpop: bool = False,
        access: "tuple[str, ...]" = (),
    ) -> None:
        self.address = address
        self.tls = tls
        self.cleartext = cleartext
        self.proxy = proxy
        self.stamp = stamp
        self.minimum = minimum
        self.kpop = kpop
        self.access = access

    @property
    def options(self) -> "dict[str, object]":
        """What was said beside the address."""
        return {name: value for name in OPTIONS if (value := getattr(self, name))}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Listener) and (self.address, self.options) == (other.address, other.options)

    def __hash__(self) -> int:
        return hash(self.address)

    def __repr__(self) -> str:
        return f"Listener({self.address!r}, **{self.options!r})"


class Tls:
    """The TLS layer of a connection, as plain values: they cross to other processes."""

    __slots__ = ("bits", "certificate", "cipher", "end_point", "server_name", "unique", "version")

    def __init__(
        self,
        version: str,
        cipher: str = "",
        bits: int = 0,
        server_name: str = "",
        unique: bytes = b"",
        end_point: bytes = b"",
        certificate: str = "",
    ) -> None:
        self.version = version  # "TLSv1.3"
        self.cipher = cipher
        self.bits = bits
        self.server_name = server_name  # which the client asked for (SNI), or empty
        self.unique = unique  # tls-unique, RFC 5929 section 3; empty where the version has none
        self.end_point = end_point  # tls-server-end-point, RFC 5929 section 4
        self.certificate = certificate  # the user whom the client's verified certificate names, or empty


class Facts:
    """What is known of one connection from its first moment: who, where, which session."""

    __slots__ = (
        "host",
        "listener",
        "local",
        "local_port",
        "peer",
        "peer_name",
        "peer_port",
        "proxy",
        "quiet",
        "secure",
        "session",
        "stamp",
        "tls",
    )

    def __init__(
        self,
        session: str,
        peer: str = "",
        peer_port: int = 0,
        local: str = "",
        local_port: int = 0,
        peer_name: str = "",
        host: str = "localhost",
        stamp: str = "",
        secure: bool = False,
        tls: Tls | None = None,
        proxy: str = "",
        listener: Listener | None = None,
        quiet: bool = False,
    ) -> None:
        self.session = session  # id of the session, unique on this host for years
        self.peer = peer  # the client's address; empty when descriptor 0 is no socket
        self.peer_port = peer_port
        self.local = local
        self.local_port = local_port
        self.peer_name = peer_name  # by reverse look-up, only if that was asked for
        self.host = host  # our own name, in greeting and stamp
        self.stamp = stamp  # the APOP stamp with its angle brackets, or empty
        self.secure = secure  # an outer layer encrypts
        self.tls = tls  # ours
        self.proxy = proxy  # the address that passed the connection on (PROXY protocol), or empty
        self.listener = listener or Listener()  # how who connects there is met
        self.quiet = quiet  # one of so many that the log leaves it out until it logs in

    @property
    def client(self) -> str:
        """The client as popper's records name it: name, else address, else localhost."""
        return self.peer_name or self.peer or "localhost"

    @property
    def same_host(self) -> bool:
        """Client and server are this host.  Never through a proxy: who is behind it is anywhere."""
        if self.proxy or not self.peer:
            return False
        return self.peer == self.local or self.peer == "::1" or self.peer.startswith("127.")

    @property
    def private(self) -> bool:
        """Nobody on the way can read along."""
        return self.secure or self.tls is not None
