"""The four strangers, introduced: settings and dialect, connections, sessions, logs."""

import os

from qpopper_py.doorstep import last_resort
from qpopper_py.sessions import Sessions

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Sequence

    from qpopper_py.auth.gate import Gate
    from qpopper_py.facts import Facts, Listener
    from qpopper_py.serve.background import Presence
    from qpopper_py.serve.teller import Teller
    from qpopper_py.settings import Settings
    from qpopper_py.stream import Stream


class House(Sessions):
    """What every role has from here: sessions, and the service that they are sessions of."""

    presence: "Presence"

    def listen(self, sockets: "Sequence[_socket.socket]" = (), idle: int = 0) -> int:
        """Serve until a signal, or ``idle`` seconds without work, end it.

        Whoever gave us ``sockets`` waits for this very process: there is no background then.
        """
        from qpopper_py.serve.background import Presence
        from qpopper_py.serve.standalone import Service, Standalone

        self.presence = Presence(self.settings)
        if self.settings.serve_background and not sockets:
            self.presence.detach()
        self.recover()
        import qpopper_py.serve.porter  # noqa: F401

        self.furnish()
        self.ready_front()
        self.ready_mail()
        self.secure()
        service: Service
        if os.geteuid() == 0:
            from qpopper_py.serve.keeper import Keeper

            service = Keeper(self, idle)
        else:
            self.gate = self.make_gate()
            service = Standalone(self, idle)
        try:
            service.run(self.presence, sockets)
        finally:
            self.presence.over()
        return 0

    def recover(self) -> None:
        """Finish what a crash cut off, in a process of its own: whoever logs in meanwhile does so for themselves."""
        from qpopper_py.store.mbox.upkeep import unfinished

        if self.settings.read_only or not unfinished(self.settings.state_dir) or os.fork():
            return
        try:
            self.presence.apart()
            from qpopper_py.tools.recover import at_start

            at_start(self.settings, self.emit)
        except Exception as why:  # noqa: BLE001  # the service goes on
            last_resort(why)
        finally:
            os._exit(0)

    def secure(self) -> None:
        """Get ready to speak TLS with many clients.  Raises ConfigurationError."""
        from qpopper_py.personality.exposure import dangers

        for what in dangers(self.settings):
            self.warn(what)
        securing = self.tls()
        if securing:
            import qpopper_py.serve.relay
            import qpopper_py.tls.stream  # noqa: F401

            securing.listen()

    def reread(self) -> "Settings":
        """The configuration as it is now; raises ConfigurationError."""
        if not self.read:
            return self.settings
        with self.presence.at_home():
            return self.read().settings

    def adopt(self, settings: "Settings") -> None:
        """Go by ``settings`` from here on: log and trace are opened anew, and who forks has a new gate made."""
        self.settings = settings
        self._delays = None
        self.reopen_log()
        for descriptor in self.descriptors():
            os.close(descriptor)
        del self.taps
        self.furnish()
        if hasattr(self, "gate"):
            self.gate = self.make_gate()
        self.secure_again()

    def secure_again(self) -> None:
        """Certificates and keys as they are now, or as they were, where they are not good."""
        from qpopper_py.errors import ConfigurationError

        if self.securing and self.settings.tls_certificate:
            self.securing.settings = self.settings
            self.securing.reload()
            return
        if self.securing:
            self.securing.files.close()
            self.securing = None
        try:
            self.secure()
        except ConfigurationError as why:
            self.warn(f"{why}; there is no TLS before that is mended, and SIGHUP")

    # ----------------------------------------------------------------------------------------------------------
    # What the roles are made of.  A listening process imports early: it would cost each session milliseconds.

    def make_gate(self) -> "Gate":
        """The gate, ready to judge.  Reads secrets: not for a process that forks mail processes."""
        from qpopper_py.auth.gate import Gate

        gate = Gate(self.settings, self.emit)
        gate.prepare()
        return gate

    def ready_front(self) -> None:
        """Import all that a front needs: afterwards it cannot."""
        import binascii  # noqa: F401
        import ctypes  # noqa: F401
        import resource  # noqa: F401

        import qpopper_py.arrival
        import qpopper_py.auth.cleartext
        import qpopper_py.auth.credentials
        import qpopper_py.logs.records
        import qpopper_py.sandbox
        import qpopper_py.session.session
        import qpopper_py.stamp
        import qpopper_py.tls.report
        from qpopper_py.facts import Listener

        if self.settings.trace_addresses:
            import ipaddress  # noqa: F401
        if any(self.settings.listener(one).kpop for one in (*self.settings.listen, Listener())):
            import qpopper_py.serve.kpop  # noqa: F401

    def ready_mail(self) -> None:
        """Import what mail processes need."""
        import array  # noqa: F401
        import hashlib  # noqa: F401
        import signal  # noqa: F401

        import qpopper_py.serve.delays
        import qpopper_py.serve.maildrops
        import qpopper_py.serve.slots
        import qpopper_py.session.mailer
        import qpopper_py.session.session
        import qpopper_py.store.mbox.compact
        import qpopper_py.store.mbox.fast
        import qpopper_py.store.opening
        import qpopper_py.store.paths  # noqa: F401
        from qpopper_py.store.mbox.from_line import rule

        rule(self.settings.mbox_separator).judge()  # compiled once

    # ----------------------------------------------------------------------------------------------------------
    # A connection

    def converse(self, stream: "Stream", teller: "Teller", by: "Listener") -> None:
        """Serve one connection that came ``by`` a listener, from greeting to sign-off, and close it."""
        self.meet(stream, by, teller, self.serve)

    def serve(self, stream: "Stream", facts: "Facts", greeted: int, teller: "Teller | None") -> None:
        """Serve one connection whose greeting, of so many octets, was sent."""
        if os.geteuid() == 0:
            from qpopper_py.serve.keeper import Keeper

            Keeper(self).attend(stream, facts, greeted)
            return
        if facts.listener.tls == "implicit":
            secured = self.secured(stream, facts)
            if secured is None:
                return
            stream = secured
        stream = self.serve_alone(stream, facts, greeted, teller)
        if stream.is_open():
            stream.close()
