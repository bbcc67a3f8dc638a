"""After a restart: what the consumer of the windows has not applied is folded again, from the flight recorder.

    segments of earlier runs --since--> counted already: refill the join and running totals
                                        not yet: fold, as if just received --> batches marked as replayed

Exactly once: the consumer keeps with its own state how far it has come (`Resume`), and this begins behind it. Time is
that of the frames, so that watermarks tell how far the past has been told. One piece of a segment is in memory at once.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

from paramedic_collector.otlp import Signal
from paramedic_collector.record.committed import Segment
from paramedic_collector.record.scan import read_frames
from paramedic_collector.record.segments import Frame, Place, Position, begun_at
from paramedic_collector.windows import Resume, WindowBatch

log = logging.getLogger(__name__)

_STEP_S: Final = 2.0  # of the frames' time between two batches: few enough that no bus overflows
_PIECE_BYTES: Final = 1 << 20  # of a segment in memory at once
_TOGETHER: Final = 64  # frames that are folded together


Taken = TypeVar("Taken", contravariant=True)


@dataclass(frozen=True, slots=True)
class Past:
    """What is replayed.

    Args:
        folder: Where the segments lie.
        segments: Of earlier runs, oldest first.
        resume: Where the consumer stopped; None when it knows nothing.
        since: Unix seconds; for a consumer that knows nothing, the oldest that is folded.
        refill_s: How long before `resume` running totals are taken up.
        join_s: How long before `resume` children are taken up.
    """

    folder: Path
    segments: Sequence[Segment]
    resume: Resume | None
    since: float
    refill_s: float
    join_s: float

    @property
    def folded(self) -> Position:
        return self.resume.folded if self.resume else ("", 0)

    @property
    def _told(self) -> Position:
        """Up to here the consumer has everything."""
        resume = self.resume or Resume()
        return min(resume.folded, resume.joined, resume.flowed)

    def frames(self) -> Iterator[tuple[Place, Frame]]:
        """Those that matter, in order."""
        oldest = self._oldest(self.refill_s)
        for segment in self.segments:
            if segment.newest < oldest and not (self.resume and (segment.name, segment.end) > self.folded):
                continue
            part = Place(segment.name, 0, segment.end)
            while part.start < part.end:
                piece, at = read_frames(self.folder / segment.name, part, _PIECE_BYTES)
                yield from ((place, frame) for place, frame in piece if self._matters(place, frame))
                part = Place(segment.name, at, part.end)

    def _matters(self, place: Place, frame: Frame) -> bool:
        if self.resume is None:
            return frame.at >= self.since
        if (place.segment, place.end) > self._told:
            return True
        kept_s = {Signal.TRACES: self.join_s, Signal.METRICS: self.refill_s, Signal.LOGS: 0.0}[frame.signal]
        return kept_s > 0 and frame.at >= self._oldest(kept_s)

    def _oldest(self, before_s: float) -> float:
        if self.resume is None:
            return self.since
        return begun_at(self._told[0]) - before_s


class Fold(Protocol[Taken]):
    """The windower."""

    def take(self, taken: Iterable[Taken], now: float, *, replayed: bool) -> list[WindowBatch]: ...

    def refill(self, taken: Iterable[Taken], now: float) -> None: ...

    def give(self, now: float, *, replayed: bool) -> list[WindowBatch]: ...


class Replay(Generic[Taken]):
    """Replays once.

    Args:
        fold: Where frames go.
        ready: Makes a frame ready for the fold, given the time; None when it goes into no window.
        publish: Where batches go.
        latest: Unix seconds; no frame counts as later.
    """

    def __init__(
        self,
        past: Past,
        fold: Fold[Taken],
        ready: Callable[[Place, Frame, float], Taken | None],
        publish: Callable[[WindowBatch], None],
        latest: float,
    ) -> None:
        self.frames = 0  # folded
        self._past, self._fold, self._ready, self._publish, self._latest = past, fold, ready, publish, latest
        self._now, self._step_ends = 0.0, 0.0
        self._waiting: list[Taken] = []
        self._refilling = True

    def run(self, go_on: Callable[[], bool]) -> bool:
        """Replay everything.

        Args:
            go_on: Asked often; False stops it.

        Returns:
            Whether it came to its end: if not, nothing later may be folded.
        """
        for place, frame in self._past.frames():
            if not go_on():
                return False
            self._step(place, min(frame.at, self._latest))
            one = self._ready(place, frame, self._now)
            if one is not None:
                self._waiting.append(one)
        self._flush()
        self._give()
        return True

    def _step(self, place: Place, at: float) -> None:
        refilling = (place.segment, place.end) <= self._past.folded
        step_is_over = at >= self._step_ends
        if step_is_over or refilling != self._refilling or len(self._waiting) >= _TOGETHER:
            self._flush()
        if step_is_over:
            self._give()
            self._step_ends = at + _STEP_S
        self._refilling, self._now = refilling, max(self._now, at)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if self._refilling:
            self._fold.refill(waiting, self._now)
            return
        self.frames += len(waiting)
        self._send(self._fold.take(waiting, self._now, replayed=True))

    def _give(self) -> None:
        if self._now:
            self._send(self._fold.give(self._now, replayed=True))

    def _send(self, batches: Sequence[WindowBatch]) -> None:
        for batch in batches:
            if batch.tables:
                self._publish(batch)
