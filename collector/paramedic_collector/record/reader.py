"""A durable consumer of the flight recorder: gives frames in order, and remembers on disk what was delivered.

    read() -> [(Place, Frame), ...] -> the consumer delivers them -> done(the last place)

After a crash it begins behind the last place that was `done`, so a frame may be given twice and is never left out,
save what retention took: a reader holds segments back up to `limit_bytes`, and what it loses beyond is counted.
"""

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote

from paramedic_collector.otlp import Signal
from paramedic_collector.record.committed import Committed, Cursor, Segment
from paramedic_collector.record.scan import read_frames
from paramedic_collector.record.segments import Frame, Place, Position, head_at

log = logging.getLogger(__name__)

_SAVE_S: Final = 0.25  # between two writes of the offset
Piece = list[tuple[Place, Frame]]


class Log(Protocol):
    """What a reader needs of the recorder."""

    @property
    def folder(self) -> Path: ...

    @property
    def committed(self) -> Committed: ...

    def add_reader(self, reader: "Reader") -> None: ...

    def remove_reader(self, reader: "Reader") -> None: ...


class Reader:
    """Used by one thread; its figures may be asked by others.

    Args:
        recorder: Whose frames are read.
        name: Names the offset's file, the same after a restart. A new one begins at the end of the log.
        limit_bytes: Segments are kept for this reader until so much waits for it.
        signals: Frames of other signals are skipped.
    """

    def __init__(self, recorder: Log, name: str, *, limit_bytes: int, signals: Collection[Signal]) -> None:
        self.dropped_frames = 0  # that retention took before they were read
        self.name, self._limit_bytes, self._signals = name, limit_bytes, frozenset(signals)
        self._recorder, self._committed = recorder, recorder.committed
        self._path = recorder.folder / f"{quote(name, safe='')}.offset"
        self._lock = threading.Lock()
        end = self._committed.end
        known = self._load()
        self._cursor = end if known is None else Cursor(known, 0)
        self._done = self._cursor  # everything before it is delivered
        self._given: Place | None = None  # the last place that was given out and is not done
        self._saved, self._save_at, self._told_of_loss = known, 0.0, False
        self._save()
        recorder.add_reader(self)

    @property
    def backlog_bytes(self) -> int:
        """Bytes of the log that are not delivered."""
        return self._committed.bytes_after(self._done)

    def read(self, most_bytes: int, timeout_s: float) -> Piece:
        """The next frames behind those that were read before, in order; [] when none came in time.

        Args:
            most_bytes: Of the log; a larger first frame is given alone.
            timeout_s: How long to wait for the first.
        """
        ends = time.monotonic() + timeout_s
        while True:
            with self._lock:
                piece, more = self._next(most_bytes)
            self._save_sometimes()
            if piece:
                return piece
            if not more and not self._wait(ends - time.monotonic()):
                return []

    def done(self, place: Place) -> None:
        """Everything up to this place is delivered, and will not be given again after a restart."""
        with self._lock:
            if place == self._given:  # what was skipped behind it is done with it
                self._done, self._given = self._cursor, None
            elif place.segment:
                self._done = Cursor(max(self._done.position, (place.segment, place.end)), self._done.number)
            else:
                self._done = Cursor(self._done.position, max(self._done.number, place.end))
        self._save_sometimes()

    def close(self) -> None:
        """Write the offset; may be called twice."""
        self._recorder.remove_reader(self)
        self._save()

    def holds(self, segment: Segment) -> bool:
        """Whether retention must leave this segment to the reader."""
        behind = self._done.position < (segment.name, segment.end)
        return behind and self.backlog_bytes <= self._limit_bytes

    def lost(self, segment: Segment) -> None:
        """Retention takes the segment: count what was not read, and go on behind it."""
        with self._lock:
            unread = (segment.name, segment.end)
            if self._cursor.position < unread:
                name, at = self._cursor.position
                self._count_lost(self._frames_in(segment, at if name == segment.name else 0))
                self._cursor = Cursor(unread, self._cursor.number)
            self._done = Cursor(max(self._done.position, unread), self._done.number)

    def _next(self, most_bytes: int) -> tuple[Piece, bool]:
        """Some frames that are wanted; and whether there is more to look at."""
        memory, lost = self._committed.memory_after(self._cursor)
        if lost:
            self._count_lost(lost)
            self._cursor = Cursor(self._cursor.position, self._cursor.number + lost)
        piece, more = memory, bool(memory)
        if memory:
            piece = _first_bytes(memory, most_bytes)
            self._cursor = Cursor(self._cursor.position, piece[-1][0].end)
        elif (rest := self._committed.range_after(self._cursor.position)) is not None:
            piece, end = read_frames(self._recorder.folder / rest.segment, rest, most_bytes)
            self._cursor, more = Cursor((rest.segment, end), self._cursor.number), True
        wanted = [one for one in piece if one[1].signal in self._signals]
        if wanted:
            self._given = wanted[-1][0]
        elif self._given is None:
            self._done = self._cursor  # nothing is under way, and what was skipped is nobody's
        return wanted, more

    def _wait(self, timeout_s: float) -> bool:
        """Whether something may have come."""
        if timeout_s <= 0:
            return False
        with self._committed.changed:
            if self._committed.bytes_after(self._cursor) > 0:
                return True
            return self._committed.changed.wait(timeout_s)

    def _frames_in(self, segment: Segment, at: int) -> int:
        with contextlib.suppress(OSError):
            data, found = (self._recorder.folder / segment.name).read_bytes(), 0
            while (head := head_at(data, at)) is not None:
                found, at = found + (head.signal in self._signals), head.end
            return found
        return 0

    def _count_lost(self, frames: int) -> None:
        self.dropped_frames += frames
        if frames and not self._told_of_loss:
            self._told_of_loss = True
            log.error("%s is more than %d bytes behind: what it has not sent is dropped, oldest first",
                      self.name, self._limit_bytes)  # fmt: skip

    def _load(self) -> Position | None:
        try:
            segment, end = json.loads(self._path.read_text())
            return str(segment), int(end)
        except (OSError, ValueError, TypeError):
            return None

    def _save_sometimes(self) -> None:
        if time.monotonic() >= self._save_at:
            self._save()

    def _save(self) -> None:
        with self._lock:
            position = self._done.position
        if position == self._saved:
            return
        self._save_at = time.monotonic() + _SAVE_S
        written = self._path.with_suffix(".new")
        try:
            with open(written, "w") as file:
                json.dump(position, file)
                file.flush()
                os.fdatasync(file.fileno())
            written.replace(self._path)
            self._saved = position
        except OSError as error:
            log.debug("the offset of %s could not be written: %s", self.name, error)


def _first_bytes(frames: Piece, most_bytes: int) -> Piece:
    """As many of the first frames as fit; at least one."""
    total, count = 0, 0
    for _, frame in frames:
        total += len(frame.body)
        if count and total > most_bytes:
            break
        count += 1
    return frames[:count]
