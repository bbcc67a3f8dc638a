"""What of the log may be read: each segment up to its committed end, and frames that the disk refused.

    segment 1 | segment 2 | memory frames 0..7 (came when the disk was full) | segment 3 ...

One committer adds to it; readers, replay and retention look at it. Memory frames only lie between two
segments: a disk that refuses ends the segment.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from paramedic_collector.record.segments import Frame, Place, Position

_MEMORY_BYTES: Final = 32 << 20  # frames kept while the disk will not have them


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of which all bytes before `end` are on disk for good."""

    name: str
    end: int
    newest: float  # unix seconds of its newest frame


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a reader has come."""

    position: Position
    number: int  # of the next frame in memory


class Committed:
    """Safe to share between threads."""

    def __init__(self) -> None:
        self.memory_frames = 0  # ever kept in memory
        self.changed = threading.Condition()
        self._segments: dict[str, Segment] = {}
        self._memory: OrderedDict[int, tuple[Position, Frame]] = OrderedDict()
        self._memory_bytes = 0

    @property
    def end(self) -> Cursor:
        """Behind everything that there is."""
        with self.changed:
            return Cursor(self._last(), self.memory_frames)

    def segments(self) -> list[Segment]:
        """Oldest first."""
        with self.changed:
            return list(self._segments.values())

    def extend(self, name: str, end: int, newest: float) -> None:
        """A segment has grown, or was found at the start; in order."""
        with self.changed:
            before = self._segments.get(name)
            self._segments[name] = Segment(name, end, max(newest, before.newest if before else newest))
            self.changed.notify_all()

    def remember(self, frames: Sequence[Frame]) -> list[Place]:
        """Keep frames in memory; the oldest make room."""
        with self.changed:
            places = [self._remember(frame) for frame in frames]
            self.changed.notify_all()
            return places

    def forget(self, name: str) -> None:
        """The segment is gone."""
        with self.changed:
            self._segments.pop(name, None)

    def in_memory(self, number: int) -> Frame | None:
        with self.changed:
            found = self._memory.get(number)
            return found[1] if found else None

    def memory_after(self, cursor: Cursor) -> tuple[list[tuple[Place, Frame]], int]:
        """The memory frames that come before anything on disk behind the cursor; and how many are lost before them."""
        with self.changed:
            oldest = next(iter(self._memory), self.memory_frames)
            found = [
                (Place("", number, number + 1), frame)
                for number, (after, frame) in self._memory.items()
                if number >= cursor.number and after <= cursor.position
            ]
            return found, max(0, oldest - cursor.number)

    def range_after(self, position: Position) -> Place | None:
        """The next bytes on disk: the rest of the position's segment, or the whole of the one behind it."""
        with self.changed:
            for segment in self._segments.values():
                start = position[1] if segment.name == position[0] else 0
                if segment.name >= position[0] and segment.end > start:
                    return Place(segment.name, start, segment.end)
            return None

    def bytes_after(self, cursor: Cursor) -> int:
        """Bytes on disk and in memory behind the cursor."""
        name, at = cursor.position
        with self.changed:
            disk = sum(s.end - (at if s.name == name else 0) for s in self._segments.values() if s.name >= name)
            return disk + sum(len(frame.body) for n, (_, frame) in self._memory.items() if n >= cursor.number)

    def _last(self) -> Position:
        newest = next(reversed(self._segments.values()), None)
        return (newest.name, newest.end) if newest else ("", 0)

    def _remember(self, frame: Frame) -> Place:
        number, self.memory_frames = self.memory_frames, self.memory_frames + 1
        self._memory[number] = (self._last(), frame)
        self._memory_bytes += len(frame.body)
        while self._memory_bytes > _MEMORY_BYTES and len(self._memory) > 1:
            _, (_, oldest) = self._memory.popitem(last=False)
            self._memory_bytes -= len(oldest.body)
        return Place("", number, number + 1)
