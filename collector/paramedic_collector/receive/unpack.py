"""Undo the compression of a body, step by step, so that a bomb costs no more memory than the limit.

The encodings are those the OpenTelemetry Collector takes by default and that need no further library:
gzip, zstd, and zlib under both of its names.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import zstandard

_STEP: Final = 1 << 16  # bytes unpacked at a time
_PARTS: Final = 64  # each costs a copy of all that follows it
_ZSTD_STEP: Final = 256  # bytes of input at a time: 4 of them may stand for 128 KiB, so this is 8 MiB at most
_ZSTD_WINDOW: Final = 8 << 20  # what a decoder has to offer at most by the standard's advice


class Broken(ValueError):
    """The body is not what its content-encoding says."""


class _Stream(Protocol):
    """What decompressors of zlib have."""

    @property
    def eof(self) -> bool: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


def unpack(encoding: str, body: bytes, take: Callable[[int], None]) -> bytes:
    """The body without its compression.

    Args:
        encoding: One of `ENCODINGS`.
        take: Called with the size of each piece before it is kept; what it raises ends the work.

    Raises:
        Broken: The body is cut short or no such thing.
    """
    if not body:
        return b""  # an empty request is one however it is packed
    parts = []
    try:
        for part in ENCODINGS[encoding](body):
            take(len(part))
            parts.append(part)
    except (zlib.error, zstandard.ZstdError) as error:
        raise Broken(f"the body is not {encoding} as its content-encoding says: {error}") from None
    return b"".join(parts)


def _gzip(body: bytes) -> Iterator[bytes]:
    left = body
    for _ in range(_PARTS):  # gzip files may follow each other
        stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)  # gzip alone, no bare zlib
        yield from _inflate(stream, left, "gzip")
        left = stream.unused_data.lstrip(b"\0")
        if not left:
            return
    raise Broken(f"the gzip body has more than {_PARTS} parts")


def _zlib(body: bytes) -> Iterator[bytes]:
    yield from _inflate(zlib.decompressobj(), body, "zlib")


def _inflate(stream: _Stream, left: bytes, name: str) -> Iterator[bytes]:
    while not stream.eof:
        part = stream.decompress(left, _STEP)
        left = stream.unconsumed_tail
        if not part and not left and not stream.eof:
            raise Broken(f"the {name} body is cut short")
        yield part


def _zstd(body: bytes) -> Iterator[bytes]:
    left = body
    for _ in range(_PARTS):  # frames may follow each other
        frame = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
        for at in range(0, len(left), _ZSTD_STEP):
            yield frame.decompress(left[at : at + _ZSTD_STEP])
            if frame.eof:
                break
        if not frame.eof:
            raise Broken("the zstd body is cut short")
        left = frame.unused_data + left[at + _ZSTD_STEP :]
        if not left:
            return
    raise Broken(f"the zstd body has more than {_PARTS} parts")


ENCODINGS: Final[dict[str, Callable[[bytes], Iterator[bytes]]]] = {
    "gzip": _gzip,
    "zstd": _zstd,
    "deflate": _zlib,
    "zlib": _zlib,
}
