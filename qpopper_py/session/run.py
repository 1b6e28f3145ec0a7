"""The mailer as a program that is run: by ``sh``, without a shell, in an environment of our own."""

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import BinaryIO


def run(
    sh: "ModuleType", program: str, arguments: "list[str]", message: "BinaryIO", output: "BinaryIO", seconds: int
) -> int:
    """Run the mailer; its exit status, negative for a signal.

    Raises OSError, sh.ForkException (it could not be run) and sh.TimeoutException (it and what it started are dead).
    Written for sh 1.14 to 2.4: ``_bg`` because only so do all of them return the running command; a callable or
    a pipe for the output would wait for every process that inherited it.
    """
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", **_identity()}
    with _child_status_kept():
        running = sh.Command(program)(
            *arguments, _in=message, _out=output, _err=output, _tty_in=False, _tty_out=False, _new_session=True,
            _cwd="/", _env=environment, _bg=True, _bg_exc=False, _ok_code=list(range(-64, 256)), _timeout=seconds,
            _no_out=True, _no_err=True, _no_pipe=True,
        )  # fmt: skip
        try:
            status = running.wait().exit_code
        except sh.SignalException as why:  # by some versions, whatever _ok_code says
            status = why.exit_code
        except sh.TimeoutException:
            try:
                os.killpg(running.pid, 9)  # a child of the mailer must not send what the client hears was not sent
            except OSError:
                pass  # there is none
            raise
    if not isinstance(status, int):
        raise OSError(errno.ECHILD, "its exit status was lost")  # never the last word of a lie
    return status


class _child_status_kept:  # noqa: N801  # reads as a clause of a with statement
    """While the mailer runs nobody else may reap it: no handler, nor the kernel where SIGCHLD is ignored.

    Raises OSError where that cannot be had.
    """

    def __enter__(self) -> None:
        import signal
        import threading

        self.handler = None
        if threading.current_thread() is threading.main_thread():
            self.handler = signal.getsignal(signal.SIGCHLD)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        elif signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
            raise OSError(errno.ECHILD, "SIGCHLD is ignored, so nobody could tell how it ended")

    def __exit__(self, *_: object) -> None:
        import signal

        if self.handler is not None:
            signal.signal(signal.SIGCHLD, self.handler)


def _identity() -> dict[str, str]:
    """LOGNAME and USER, by which some mailers (qmail's) know their sender: whom we run as, not what a client said."""
    import pwd

    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return {}  # a container's uid without a name
    return {"LOGNAME": name, "USER": name}
