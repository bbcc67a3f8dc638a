"""Files of the flight recorder: one segment is a run of frames, each whole or ignored.

    frame = MAGIC, sizes, CRC-32 | unix time, signal, items, digest | trace keys | zstd(payload)

What a frame holds is told in front of the compressed payload, so that indexes can be rebuilt by reading heads alone.
The CRC covers everything after itself: a frame that a crash cut short fails it. A damaged frame is skipped,
and the next whole one is found by its magic.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from paramedic_collector.otlp import Signal

MAGIC: Final = b"PMf2"  # the digit is the version of the format
DIGEST_BYTES: Final = 16
_SIZES: Final = struct.Struct("<4sIII")  # magic, number of trace keys, bytes of the body, CRC of what follows
_STAMP: Final = struct.Struct(f"<dBI{DIGEST_BYTES}s")  # unix time, signal, items, digest
_HEAD_BYTES: Final = _SIZES.size + _STAMP.size
_SIGNALS: Final = tuple(Signal)
_SUFFIX: Final = ".frames"
_LARGEST_BODY: Final = 1 << 30  # bytes; a longer one is a broken length
_NO_DIGEST: Final = bytes(DIGEST_BYTES)

Position = tuple[str, int]  # name of a segment and bytes from its beginning; positions sort as time does


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame lies."""

    segment: str  # name of the file; "" in memory
    start: int  # bytes from its beginning; in memory, a running number
    end: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One accepted payload."""

    at: float  # unix seconds
    signal: Signal
    trace_keys: NDArray[np.uint64]
    body: bytes  # zstd
    digest: bytes = b""  # the same for the same payload; b"" when it does not matter
    items: int = 0  # spans, metrics or log records

    def payload(self) -> bytes:
        """The redacted OTLP request."""
        return zstandard.ZstdDecompressor().decompress(self.body, max_output_size=_LARGEST_BODY)


@dataclass(frozen=True, slots=True)
class Head:
    """What stands in front of a frame's body; not proved by the CRC."""

    at: float
    signal: Signal
    items: int
    digest: bytes
    trace_keys: NDArray[np.uint64]
    start: int
    end: int


def encode(frame: Frame) -> bytes:
    keys = frame.trace_keys.astype("<u8").tobytes()
    stamp = _STAMP.pack(frame.at, _SIGNALS.index(frame.signal), frame.items, frame.digest or _NO_DIGEST)
    crc = zlib.crc32(frame.body, zlib.crc32(keys, zlib.crc32(stamp)))
    return b"".join((_SIZES.pack(MAGIC, len(frame.trace_keys), len(frame.body), crc), stamp, keys, frame.body))


def length_at(data: bytes | memoryview, at: int) -> int | None:
    """Bytes of the frame at `at`, by what its head says; None when no head is there."""
    if len(data) - at < _HEAD_BYTES:
        return None
    magic, keys, body, _ = _SIZES.unpack_from(data, at)
    return _HEAD_BYTES + 8 * keys + body if magic == MAGIC and body <= _LARGEST_BODY else None


def head_at(data: bytes | memoryview, at: int) -> Head | None:
    """The head at `at`; None when the frame is cut short or is none."""
    length = length_at(data, at)
    if length is None or at + length > len(data):
        return None
    moment, signal, items, digest = _STAMP.unpack_from(data, at + _SIZES.size)
    if signal >= len(_SIGNALS):
        return None
    (_, keys, _, _) = _SIZES.unpack_from(data, at)
    trace_keys = np.frombuffer(data, "<u8", keys, at + _HEAD_BYTES).astype(np.uint64)
    return Head(moment, _SIGNALS[signal], items, _or_none(digest), trace_keys, at, at + length)


def decode(data: bytes | memoryview, at: int = 0) -> tuple[Frame, int] | None:
    """The frame at `at` and where the next one begins; None when there is no whole and right one."""
    head = head_at(data, at)
    if head is None:
        return None
    _, _, body, crc = _SIZES.unpack_from(data, at)
    view = memoryview(data)[at + _SIZES.size : head.end]
    if zlib.crc32(view) != crc:
        return None
    kept = bytes(data[head.end - body : head.end])
    return Frame(head.at, head.signal, head.trace_keys, kept, head.digest, head.items), head.end


def frames_in(data: bytes, at: int = 0) -> Iterator[tuple[int, int, Frame]]:
    """Every whole frame from `at` on, with where it begins and ends; what is damaged is skipped."""
    while at >= 0:
        if (found := decode(data, at)) is not None:
            frame, end = found
            yield at, end, frame
            at = end
        else:
            at = data.find(MAGIC, at + 1)


def heads_in(data: bytes | memoryview) -> Iterator[Head]:
    """The heads of a segment, up to the first that is none."""
    at = 0
    while (head := head_at(data, at)) is not None:
        yield head
        at = head.end


def segment_paths(folder: Path) -> list[Path]:
    """Oldest first: names begin with the time of making."""
    return sorted(folder.glob(f"*{_SUFFIX}"))


def next_segment(at: float, last: str) -> str:
    """A name for a segment that begins now; it sorts behind `last`, whatever the clock does.

    Args:
        at: Unix seconds.
        last: Name of the newest segment so far; "" for none.
    """
    moment, number = int(at * 1000), 1
    if last:
        before, _, count = last.removesuffix(_SUFFIX).partition("-")
        moment, number = max(moment, int(before)), int(count) % 99_999 + 1
        moment += int(before) == moment and number <= int(count)
    return f"{moment:015d}-{number:05d}{_SUFFIX}"


def begun_at(segment: str) -> float:
    """Unix seconds at which a segment was begun, by its name; 0 for a name of none."""
    moment = segment.partition("-")[0]
    return int(moment) / 1000 if moment.isdigit() else 0.0


def frames_of(path: Path) -> Iterator[tuple[int, int, Frame]]:
    """The whole frames of a segment, each with where it begins and ends."""
    return frames_in(path.read_bytes())


def _or_none(digest: bytes) -> bytes:
    return b"" if digest == _NO_DIGEST else digest
