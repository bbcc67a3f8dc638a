"""From accepted payloads to window batches: the pipeline of the fold thread, in one place.

    take([Taken, ...]) --by signal--> decode -> facts -> fold, join, flows --> partial windows, kept
    give(now)          -----------> what the join and the flows found --> merged --> WindowBatch
    refill([Taken, ...])             after a restart: only join, flows and running totals, for what is counted already

Nothing waits for lateness: the rows of one second may go out in several batches, and add up. A batch says how far
the flight recorder is folded, how far it is joined too, and how far flowed. No clock and no thread in here.
"""

import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import groupby
from typing import Final

import numpy as np

from paramedic_collector import counters as count
from paramedic_collector.counters import Counters
from paramedic_collector.decode import Parsed, joined
from paramedic_collector.facts import Facts, facts_of
from paramedic_collector.flows import Flows
from paramedic_collector.fold import fold_spans
from paramedic_collector.hints import Hints
from paramedic_collector.intake import Taken
from paramedic_collector.join import Join
from paramedic_collector.logs import Told, fold_told, seconds_of, told
from paramedic_collector.metrics import MetricFold, points_of
from paramedic_collector.otlp import Signal
from paramedic_collector.parts import Part, whole
from paramedic_collector.record.segments import Place
from paramedic_collector.tables import Tables
from paramedic_collector.windows import Position, Resume, WindowBatch

log = logging.getLogger(__name__)

OLDEST_S = 900  # items that ended longer ago are in no window
NEWEST_S = 60  # nor those that will end later than this: their sender's clock is wrong
SETTLED_S = 2  # a second is believed complete this long after it began
_GATHER_ITEMS: Final = 20_000  # payloads wait for the next batch, or until there are so many spans, to be folded
_GATHER_BYTES: Final = 24 << 20  # or until they take so much memory


class Windower:
    """Folds payloads; used by one thread.

    Args:
        collector: Name of this collector in its batches.
        join: Finds self-times and gaps.
        wait_s: How long the join waits before it gives out what it knows of a span.
        flows: Finds which line of a log follows which; one of its own when None.
    """

    def __init__(
        self,
        collector: str,
        tables: Tables,
        join: Join,
        counters: Counters,
        *,
        wait_s: float,
        flows: Flows | None = None,
    ) -> None:
        self._collector, self._tables, self._join, self._counters = collector, tables, join, counters
        self._wait_s = wait_s
        self._flows = flows or Flows(tables)
        self._joined: Position = ("", 0)
        self._flowed: Position = ("", 0)
        self._unjoined: deque[tuple[float, Position]] = deque()  # when frames came, and up to where they go
        self._unflowed: deque[tuple[float, Position]] = deque()
        self._metrics, self._hints = MetricFold(tables, counters), Hints()
        self._partial: dict[str, list[Part]] = defaultdict(list)
        self._place: Place | None = None
        self._gathered: list[Parsed] = []  # taken and not folded
        self._gathered_bytes = 0
        self._sequence, self._watermark, self._late = 0, 0, 0
        self._folds: dict[Signal, Callable[[list[Parsed], float], Iterable[Part]]] = {
            Signal.TRACES: self._spans,
            Signal.METRICS: self._points,
            Signal.LOGS: self._records,
        }

    def resume(self, at: Resume) -> None:
        """After a restart: what a consumer of the batches has."""
        self._joined, self._flowed = at.joined, at.flowed

    def take(self, taken: Iterable[Taken], now: float, *, replayed: bool = False) -> list[WindowBatch]:
        """Fold payloads.

        Args:
            replayed: Of the past, and more of it follows.

        Returns:
            The batches that had to be given out because the recorder began a new segment: a batch
            comes from one segment.
        """
        given = []
        for segment, group in groupby(taken, key=lambda one: one.place.segment):
            if self._place is not None and self._place.segment != segment:
                given += self.give(now, replayed=replayed)
            self._gather(list(group), now)
        return given

    def refill(self, taken: Iterable[Taken], now: float) -> None:
        """Remember frames whose windows a consumer has: as children, as parents and lines where it lacks the rest."""
        for one in taken:
            try:
                self._refill(one, now)
            except Exception:
                log.exception("a payload of %s could not be taken up again", one.parsed.signal)
                self._counters.add(count.FOLD_FAILURES, signal=one.parsed.signal)

    def give(self, now: float, *, replayed: bool = False) -> list[WindowBatch]:
        """What has come since the last time, as one batch; none when there is nothing new to say."""
        self._fold(now)
        self._tell_hints(now)
        self._keep([*self._join.close(now), *self._flows.close(now)])
        self._joined = _told_to(self._unjoined, now - self._wait_s, self._joined)
        self._flowed = _told_to(self._unflowed, now - self._flows.wait_s, self._flowed)
        partial, self._partial = self._partial, defaultdict(list)
        tables = {family: whole(parts, self._tables) for family, parts in partial.items()}
        watermark = max(self._watermark, int(now) - SETTLED_S)
        if not tables and watermark == self._watermark:
            return []
        place = self._place or Place("", 0, 0)
        self._sequence += 1
        batch = WindowBatch(
            self._collector,
            self._sequence,
            watermark,
            tables,
            place.segment,
            (place.start, place.end),
            self._late,
            self._joined,
            replayed,
            self._flowed,
        )
        self._place, self._watermark, self._late = None, watermark, 0
        self._counters.add(count.BATCHES)
        self._counters.add(count.ROWS, sum(table.num_rows for table in tables.values()))
        return [batch]

    def _gather(self, taken: list[Taken], now: float) -> None:
        """Keep payloads until folding them is worth its while: it costs as much for one as for a hundred."""
        first, last = taken[0].place, taken[-1].place
        start = self._place.start if self._place is not None else first.start
        self._place = Place(last.segment, start, last.end)
        self._gathered += [one.parsed for one in taken]
        self._gathered_bytes += sum(one.held_bytes for one in taken)
        if self._gathered_bytes >= _GATHER_BYTES or sum(one.items for one in self._gathered) >= _GATHER_ITEMS:
            self._fold(now)

    def _fold(self, now: float) -> None:
        gathered, self._gathered, self._gathered_bytes = self._gathered, [], 0
        by_signal: dict[Signal, list[Parsed]] = defaultdict(list)
        for one in gathered:
            by_signal[one.signal].append(one)
        for signal, parsed in by_signal.items():
            self._fold_signal(signal, parsed, now)
        if gathered and self._place is not None:
            for waiting in (self._unjoined, self._unflowed):
                _will_tell(waiting, self._place, now)

    def _refill(self, one: Taken, now: float) -> None:
        not_joined = (one.place.segment, one.place.end) > self._joined
        not_flowed = (one.place.segment, one.place.end) > self._flowed
        if one.parsed.signal is Signal.METRICS:
            self._points([one.parsed], now)
        elif one.parsed.signal is Signal.TRACES:
            self._join.add(self._facts([one.parsed], now), now, parents=not_joined)
        elif not_flowed:
            self._flows.add(self._told([one.parsed], now).said(), now)
        if not_joined:
            _will_tell(self._unjoined, one.place, now)
        if not_flowed:
            _will_tell(self._unflowed, one.place, now)

    def _fold_signal(self, signal: Signal, parsed: list[Parsed], now: float) -> None:
        """One payload that cannot be folded must not take the others along."""
        try:
            self._keep(self._folds[signal](parsed, now))
        except Exception:
            if len(parsed) > 1:
                middle = len(parsed) // 2
                self._fold_signal(signal, parsed[:middle], now)
                self._fold_signal(signal, parsed[middle:], now)
                return
            log.exception("a payload of %s could not be folded; it is in the flight recorder", signal)
            self._counters.add(count.FOLD_FAILURES, signal=signal)

    def _spans(self, parsed: list[Parsed], now: float) -> Iterable[Part]:
        facts = self._facts(parsed, now)
        found = fold_spans(facts, self._tables)
        self._join.add(facts, now)
        late = int((facts["ts"] < self._watermark).sum())
        self._late += late
        self._counters.add(count.LATE, late)
        return found

    def _facts(self, parsed: list[Parsed], now: float) -> Facts:
        facts: Facts = facts_of(joined(parsed), self._tables)
        self._hints.see_spans(facts["service"], now - facts["end"] / 1e9, self._tables.names.__getitem__, now)
        inside = facts.where(self._in_range(facts["ts"], Signal.TRACES, now))
        self._metrics.saw_spans((self._tables.names[one] for one in np.unique(inside["service"]).tolist()), now)
        return inside

    def _points(self, parsed: list[Parsed], now: float) -> Iterable[Part]:
        points = list(points_of(one.message for one in parsed if one.message is not None))
        self._hints.see_points(points, now)
        inside = self._in_range(np.array([point.ts for point in points], np.int64), Signal.METRICS, now)
        return self._metrics.fold([point for point, good in zip(points, inside, strict=True) if good], now)

    def _records(self, parsed: list[Parsed], now: float) -> Iterable[Part]:
        records = self._told(parsed, now)
        self._flows.add(records.said(), now)
        return [fold_told(records, self._tables)]

    def _told(self, parsed: list[Parsed], now: float) -> Told:
        records = joined(parsed)
        inside = self._in_range(seconds_of(records), Signal.LOGS, now)
        return told(records.select(inside), self._tables)

    def _tell_hints(self, now: float) -> None:
        """What bots should mend: a log line now and then, and a gauge while it holds."""
        for hint in self._hints.due(now):
            log.warning("%s", hint)
            holds = partial(self._hints.holds, hint.service, hint.advice)
            self._counters.gauge(
                count.HINT, "1 while this bot should mend this.", holds, service=hint.service, hint=hint.advice
            )

    def _in_range(
        self, ts: np.ndarray[tuple[int], np.dtype[np.int64]], signal: Signal, now: float
    ) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        inside = (ts >= now - OLDEST_S) & (ts <= now + NEWEST_S)
        self._counters.add(count.OUT_OF_RANGE, int((~inside).sum()), signal=signal)
        return inside

    def _keep(self, parts: Iterable[Part]) -> None:
        for part in parts:
            if len(part):
                self._partial[part.family].append(part)


def _will_tell(waiting: deque[tuple[float, Position]], place: Place, now: float) -> None:
    if place.segment:
        waiting.append((now, (place.segment, place.end)))


def _told_to(waiting: deque[tuple[float, Position]], up_to: float, position: Position) -> Position:
    """Up to where everything has been told that came until `up_to`; those are let go of."""
    while waiting and waiting[0][0] <= up_to:
        position = waiting.popleft()[1]
    return position
