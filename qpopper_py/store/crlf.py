"""Line ends as RETR sends them."""

from qpopper_py.kernel import to_crlf

__all__ = ["to_crlf"]
