"""Files of the flight recorder: one segment is a run of frames, each whole or ignored.

    frame = MAGIC, sizes, CRC-32 | unix time, signal | trace keys | zstd(payload)

A frame names the traces that it holds in front of the compressed payload, so that an index can be rebuilt
by reading heads alone. The CRC covers everything after itself: a frame that a crash cut short fails it.
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

MAGIC: Final = b"PMf1"
_HEAD: Final = struct.Struct("<4sIII")  # magic, number of trace keys, bytes of the body, CRC of what follows
_STAMP: Final = struct.Struct("<dB")  # unix time, signal
_SIGNALS: Final = tuple(Signal)
_SUFFIX: Final = ".frames"
_LARGEST_BODY: Final = 1 << 30  # bytes; a longer one is a broken length


@dataclass(frozen=True, slots=True)
class Frame:
    """One accepted payload."""

    at: float  # unix seconds
    signal: Signal
    trace_keys: NDArray[np.uint64]
    body: bytes  # zstd

    def payload(self) -> bytes:
        return zstandard.ZstdDecompressor().decompress(self.body, max_output_size=_LARGEST_BODY)


def encode(frame: Frame) -> bytes:
    keys = frame.trace_keys.astype("<u8").tobytes()
    rest = _STAMP.pack(frame.at, _SIGNALS.index(frame.signal)) + keys + frame.body
    return _HEAD.pack(MAGIC, len(frame.trace_keys), len(frame.body), zlib.crc32(rest)) + rest


def decode(data: bytes, at: int = 0) -> tuple[Frame, int] | None:
    """The frame at `at` and where the next one begins; None when there is no whole and right one."""
    if len(data) - at < _HEAD.size:
        return None
    magic, keys, body, crc = _HEAD.unpack_from(data, at)
    start = at + _HEAD.size
    end = start + _STAMP.size + 8 * keys + body
    if magic != MAGIC or body > _LARGEST_BODY or end > len(data) or zlib.crc32(data[start:end]) != crc:
        return None
    moment, signal = _STAMP.unpack_from(data, start)
    first_key = start + _STAMP.size
    trace_keys = np.frombuffer(data, "<u8", keys, first_key).astype(np.uint64)
    return Frame(moment, _SIGNALS[signal], trace_keys, bytes(data[first_key + 8 * keys : end])), end


def segment_paths(folder: Path) -> list[Path]:
    """Oldest first: names begin with the time of making."""
    return sorted(folder.glob(f"*{_SUFFIX}"))


def segment_path(folder: Path, at: float, number: int) -> Path:
    return folder / f"{int(at * 1000):015d}-{number:05d}{_SUFFIX}"


def frames_of(path: Path) -> Iterator[tuple[int, int, Frame]]:
    """The frames of a segment, each with where it begins and ends, up to the first that is torn."""
    data, at = path.read_bytes(), 0
    while (found := decode(data, at)) is not None:
        frame, end = found
        yield at, end, frame
        at = end
