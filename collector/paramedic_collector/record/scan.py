"""Reading segments: a piece of one for readers and replay, all of them at the start.

A missing file reads as an empty one: retention may have taken it meanwhile.
"""

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paramedic_collector.record.segments import Frame, Head, Place, decode, frames_in, heads_in, length_at

_HEAD_BYTES = 64  # enough for what tells the length of a frame


def read_frames(path: Path, part: Place, most_bytes: int) -> tuple[list[tuple[Place, Frame]], int]:
    """Whole frames from the beginning of a part of a segment, at least one if there is any; and where to go on.

    Args:
        path: The segment.
        part: From the beginning of a frame to the end of one.
        most_bytes: Read about so much; a larger first frame is read whole.
    """
    try:
        with open(path, "rb") as file:
            return _read(file.fileno(), part, most_bytes)
    except OSError:
        return [], part.end


def _read(fd: int, part: Place, most_bytes: int) -> tuple[list[tuple[Place, Frame]], int]:
    first = length_at(os.pread(fd, _HEAD_BYTES, part.start), 0) or 0
    data = os.pread(fd, min(max(most_bytes, first), part.end - part.start), part.start)
    found, at = list[tuple[Place, Frame]](), 0
    while (one := decode(data, at)) is not None:
        frame, end = one
        found.append((Place(part.segment, part.start + at, part.start + end), frame))
        at = end
    if found:
        return found, part.start + at
    return _read_damaged(fd, part)


def _read_damaged(fd: int, part: Place) -> tuple[list[tuple[Place, Frame]], int]:
    """The first whole frame behind a damaged one."""
    data = os.pread(fd, part.end - part.start, part.start)
    for start, end, frame in frames_in(data):
        return [(Place(part.segment, part.start + start, part.start + end), frame)], part.start + end
    return [], part.end


@dataclass(frozen=True, slots=True)
class Found:
    """A segment of an earlier run."""

    name: str
    heads: list[Head]
    end: int  # of the last whole frame
    torn_bytes: int  # behind it


def scan(path: Path, *, prove: bool) -> Found | None:
    """What a segment holds; None when it is gone or empty.

    Args:
        prove: Check every CRC, instead of believing the heads: for a segment that a crash may have cut.
    """
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            heads = list(_proved(data) if prove else _believed(data))
            end = heads[-1].end if heads else 0
            return Found(path.name, heads, end, len(data) - end)
    except (OSError, ValueError):  # an empty file cannot be mapped
        return None


def _believed(data: mmap.mmap) -> Iterator[Head]:
    with memoryview(data) as view:
        heads = list(heads_in(view))
    whole = bool(heads) and heads[-1].end == len(data)
    return iter(heads) if whole else _proved(data)  # damaged somewhere: look closer


def _proved(data: mmap.mmap) -> Iterator[Head]:
    for start, end, frame in frames_in(data[:]):
        yield Head(frame.at, frame.signal, frame.items, frame.digest, frame.trace_keys, start, end)
