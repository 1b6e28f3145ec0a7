"""argv -> Settings -> gate, store opener, events, taps -> serve.

The first act under inetd, before anything that could fail is imported, is to move the client away from
descriptors 0 to 2: whatever happens then, nothing but POP3 reaches it.
"""

import posix
import sys

from qpopper_py.doorstep import Doorstep, last_resort, to_syslog
from qpopper_py.stream import claim_descriptors, client_may_be_there

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable, Sequence

    from qpopper_py.house import House
    from qpopper_py.personality.commandline import Invocation
    from qpopper_py.stream import Stream

USAGE, SOFTWARE, CONFIG = 64, 70, 78  # exit statuses of sysexits.h
ESCAPED = "surrogateescape"  # octets that are no text, as os.environ has them
OURS = ("--help", "--version", "--check-config", "--dump-config", "--demo", "--listen")
TALKS_TO_A_PERSON = (*OURS, "--daemon", "--foreground", "--config-lint")  # the latter are mailutils'


def main(argv: "list[str] | None" = None) -> int:
    """The command pop3d(8); the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if any(word.partition("=")[0].replace("--qp-", "--") in TALKS_TO_A_PERSON for word in argv):
        return in_person(argv)
    if not client_may_be_there():
        return in_person(argv)
    return with_client(argv)


def with_client(argv: "list[str]") -> int:
    """Whoever is on descriptor 0 may be a client, whatever the command line turns out to ask for."""
    stream = claim_descriptors()
    try:
        return attached(argv, stream)
    except Exception as why:  # noqa: BLE001  # the client hears nothing, the log everything
        last_resort(why)
        return SOFTWARE


def attached(argv: "list[str]", stream: "Stream") -> int:
    """Serve the connection that we were started with, unless the configuration says to listen."""
    from qpopper_py.errors import ConfigurationError

    try:
        read = reader(argv)
        invocation = read()
        if invocation.action != "serve":
            return aloud(invocation, stream)
        door = Doorstep(invocation, read)
        door.debug(sys.argv[0])
        if not invocation.attached and (master := of_master()):
            stream.let_go()
            return work(door, master)
        if not invocation.inetd:
            stream.close()
            return listen(door)
        sockets, idle = handed_over(stream, invocation.settings.serve_idle)
        if sockets:
            return listen(door, sockets, idle)
    except ConfigurationError as why:
        return misconfigured(why, argv, stream)
    attend(door, stream)
    return 0


def attend(door: Doorstep, stream: "Stream") -> None:
    """Serve one connection."""
    from qpopper_py.facts import Listener

    door.meet(stream, Listener(), None, lambda *greeted: house(door).serve(*greeted))


def of_master() -> "_socket.socket | None":
    """The socket to work for, if Cyrus' master(8) has started us."""
    if b"CYRUS_SERVICE" not in posix.environ:
        return None
    from qpopper_py.serve.master import given

    return given()


def work(door: Doorstep, sock: "_socket.socket") -> int:
    """Serve its clients, one after the other."""
    import _socket

    from qpopper_py.serve.master import Worker
    from qpopper_py.stream import SocketStream

    def serve(client: int) -> None:
        try:
            door.reopen_log()
            attend(door, SocketStream(_socket.socket(fileno=client)))
        except Exception as why:  # noqa: BLE001  # the client hears nothing, the log everything
            last_resort(why)

    if posix.geteuid() != 0:  # root's keeper is to be lean; here one process does all, and clients wait for it
        ready = house(door)
        ready.ready_front()
        ready.ready_mail()
    return Worker(sock, door.settings, sys.argv[0], door.emit, serve).run()


def aloud(invocation: "Invocation", stream: "Stream") -> int:
    """Print what a letter of the old program asks for, where a pipe is on descriptor 0: whoever has the other end.

    A client on a socket has no use for it, and took it for POP3: ConfigurationError.
    """
    from qpopper_py.errors import ConfigurationError
    from qpopper_py.personality import report
    from qpopper_py.stream import SocketStream

    if isinstance(stream, SocketStream):
        raise ConfigurationError(
            f"the command line asks for {invocation.action}, which is for a person, and descriptor 0 is a client;"
            " take that option out of the line that starts the server"
        )
    posix.dup2(stream.writer, 1)
    return report.answer(invocation)


def house(door: Doorstep) -> "House":
    """What is behind the door, which the greeting does not wait for."""
    from qpopper_py.house import House

    return House(door)


def listen(door: Doorstep, sockets: "Sequence[_socket.socket]" = (), idle: int = 0) -> int:
    return house(door).listen(sockets, idle)


def handed_over(stream: "Stream", idle: int) -> "tuple[list[_socket.socket], int]":
    """Listening sockets that we were started with, and after how many idle seconds to end; none: serve ``stream``.

    By systemd (Accept=no) from descriptor 3 on, for good; by inetd (wait) descriptor 0, until there is no more work.
    """
    from qpopper_py.stream import SocketStream

    if b"LISTEN_PID" in posix.environ:
        from qpopper_py.serve.listen import passed_on

        if sockets := passed_on():
            stream.let_go()
            return sockets, 0
    if isinstance(stream, SocketStream) and stream.listens():
        return [stream.sock], idle
    return [], 0


def reader(argv: "list[str]") -> "Callable[[], Invocation]":
    """What reads the command line and the configuration, now and at SIGHUP."""
    from qpopper_py.personality import commandline

    code = sys.getfilesystemencoding()
    environ = {name.decode(code, ESCAPED): value.decode(code, ESCAPED) for name, value in posix.environ.items()}
    return lambda: commandline.read(argv, environ, euid=posix.geteuid(), called=sys.argv[0])


def in_person(argv: "list[str]") -> int:
    """Actions that print, and standalone service; or a session, where it turns out that one was meant."""
    from qpopper_py.errors import ConfigurationError

    try:
        read = reader(argv)
        invocation = read()
        if invocation.action == "serve":
            if invocation.inetd:
                return with_client(argv)
            door = Doorstep(invocation, read)
            door.debug(sys.argv[0])
            return listen(door)
        if invocation.action == "demo":
            from qpopper_py.tools.demo import demo

            return demo(invocation, lambda furnished: listen(Doorstep(furnished)))
        from qpopper_py.personality import report

        return report.answer(invocation)
    except ConfigurationError as why:
        return complain(why, argv)


def misconfigured(why: Exception, argv: "list[str]", stream: "Stream") -> int:
    """One clean -ERR and the reason in the log; to a person at a terminal the reason itself."""
    from qpopper_py.stream import SocketStream

    if isinstance(stream, SocketStream):
        to_syslog(f"configuration error: {why}")
        stream.send(memoryview(b"-ERR [SYS/PERM] The server is not configured; its log says why.\r\n"))
        stream.close()
        return 0  # socat throws the last words of a program away that ends with another status
    return complain(why, argv)


def complain(why: Exception, argv: "list[str]") -> int:
    """What was wrong, and the usage, to a person."""
    from qpopper_py.personality import report

    sys.stderr.write(report.complaint(why, argv, sys.argv[0]))
    return USAGE


if __name__ == "__main__":
    sys.exit(main())
