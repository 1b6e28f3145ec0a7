from array import array
from collections.abc import Callable

def to_crlf(data: bytes, /) -> bytes: ...
def stuffed(data: bytes, /) -> bytes: ...
def survey(
    window: bytes,
    low: int,
    pos: int,
    stop: int,
    end: int,
    longest: int,
    flags: int,
    judge: Callable[[bytes], object],
    fetch: Callable[[int, int], bytes],
    message: array[int],
    rows: bytearray,
    seen: bytearray,
    digests: bytearray,
    /,
) -> bool: ...
def boundaries(fd: int, starts: array[int], texts: array[int], /) -> bytes: ...
