"""What happened lately, second by second, for every series: merged from the batches of all collectors.

    WindowBatch --add--> slots by second --> sums, reference (all series at once) | dense (a few) | totals, line (one)

The newest seconds are kept as they are; older ones are folded (see `history`), so that memory has a bound that does
not depend on traffic. Series are numbered in the order of their first row and never renumbered.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_collector.windows import Resume, SeriesKey, WindowBatch
from paramedic_detector.series import closeups
from paramedic_detector.series.decoding import SEPARATOR, before_new, slots_of
from paramedic_detector.series.history import Arrivals, History
from paramedic_detector.series.lines import line
from paramedic_detector.series.packing import pack, unpack
from paramedic_detector.series.reference import Reference, Span, reference_of
from paramedic_detector.series.slots import (
    BUCKETS,
    CELLS,
    DURATION,
    FIRST_TOKEN,
    KINDS_FROM,
    Cell,
    Kinds,
    Slot,
    Triples,
    joined,
    triples,
    upper_edge_s,
)
from paramedic_detector.values import Exemplar

CALL_FAMILIES: Final = ("op", "edge", "callee")
LEAST_HISTORY_S: Final = 90
LEVELS_BACK: Final = 10  # slots in which a level that was said still counts as the last
STALE_COLLECTOR_S: Final = 10  # a collector this far behind the others no longer holds the watermark back
AHEAD: Final = 60  # batches that are decoded together


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over some series and seconds; None where nobody said, never 0."""

    count: int = 0
    errors: dict[str, int] = field(default_factory=dict)  # by error.type
    refused: dict[str, int] = field(default_factory=dict)  # by who refused; not in `count`
    useless: dict[str, int] = field(default_factory=dict)
    probes: int = 0
    probe_errors: int = 0
    seconds: float = 0.0  # sum of durations
    tokens: int = 0
    cost_usd: float = 0.0
    in_flight: float | None = None  # at the last second that said so
    oldest_s: float | None = None  # at the last second that said so
    buckets: NDArray[np.float64] = field(default_factory=lambda: np.zeros(BUCKETS))  # of duration
    first_token: NDArray[np.float64] = field(default_factory=lambda: np.zeros(BUCKETS))

    @property
    def failed(self) -> int:
        return sum(self.errors.values())

    @property
    def bad(self) -> int:
        """Calls that helped nobody: failed or useless."""
        return self.failed + sum(self.useless.values())

    @property
    def good(self) -> int:
        return max(0, self.count - self.bad)

    def quantile_s(self, q: float) -> float | None:
        """Duration below which a share `q` of the calls ended; None without calls."""
        return _quantile(self.buckets, q)


class SeriesTable:
    """The last `history_s` seconds of every series.

    Args:
        history_s: Seconds kept: the last 15 minutes one by one, what is older by tens, while there is room.
        capacity: Entries (10 bytes each) of old seconds from which the oldest are folded further.
        most_series: Series from which new ones are counted in `dropped_series` and left out.
    """

    def __init__(self, history_s: int = 3600, *, capacity: int = 12_000_000, most_series: int = 250_000) -> None:
        if history_s < LEAST_HISTORY_S:
            raise ValueError(f"history_s must be at least {LEAST_HISTORY_S} seconds, got {history_s!r}")
        self.history_s, self.most_series = history_s, most_series
        self.keys: list[SeriesKey] = []
        self.dropped_series = 0  # rows of series that had no room
        self.dropped_rows = 0  # older than the history
        self._numbers: dict[str, int] = {}
        self._kinds = Kinds()
        self._history = History(history_s, capacity)
        self._watermarks: dict[str, int] = {}
        self._applied: dict[str, Resume] = {}  # by collector
        self._ahead: dict[tuple[str, int], list[Slot]] = {}  # by collector and sequence: decoded, not yet read
        self._matches: dict[SeriesKey, tuple[int, NDArray[np.int32]]] = {}

    # What comes in

    @property
    def watermark(self) -> int | None:
        """Seconds before this one are believed complete; None before the first batch."""
        if not self._watermarks:
            return None
        newest = max(self._watermarks.values())
        return min(mark for mark in self._watermarks.values() if mark >= newest - STALE_COLLECTOR_S)

    def applied(self, collector: str) -> Resume | None:
        """How far the batches of a collector are merged; None when there were none."""
        return self._applied.get(collector)

    def add(self, batch: WindowBatch) -> None:
        """Merge the rows of a batch, whatever seconds they are about; not a second time after a restart."""
        self._say(batch.collector, batch.watermark)
        for slot in self.read(batch):
            self.take(slot)
        self.advance(batch.collector, batch.watermark)

    def read(self, batch: WindowBatch) -> list[Slot]:
        """The rows of a batch decoded, a slot a second, in the order of time; nothing is merged yet.

        With `take` and `advance` a batch of many seconds can be decoded once and lived through second by second.
        A batch that was read before gives nothing.
        """
        before = self._applied.get(batch.collector, Resume())
        ahead = self._ahead.pop((batch.collector, batch.sequence), None)
        if before.has(batch):
            return []
        self._applied[batch.collector] = before.after(batch)
        found = self._slots_of([batch])[0] if ahead is None else ahead
        return sorted(found, key=lambda slot: slot.ts)

    def ahead(self, batches: Iterable[WindowBatch]) -> Iterator[WindowBatch]:
        """The same batches, decoded some at a time; each must be added or read before the next is asked for."""
        waiting, come = deque[WindowBatch](), iter(batches)
        while waiting or (waiting := deque(islice(come, AHEAD))):
            for _ in range(max(1, self.read_ahead(tuple(waiting)))):
                yield waiting.popleft()

    def read_ahead(self, batches: Sequence[WindowBatch]) -> int:
        """Decode batches of the future together, for a fraction of what one at a time costs; `read` finds them.

        Returns:
            How many: those before the first one with a new series, which is not to be known before its time.
        """
        known = before_new(batches, self._numbers.__contains__)
        for batch, slots in zip(batches[:known], self._slots_of(batches[:known]), strict=True):
            self._ahead[batch.collector, batch.sequence] = slots
        return known

    def take(self, slot: Slot) -> None:
        """Merge one slot of `read`."""
        newest = self.watermark
        if not self._history.merge(slot, slot.ts if newest is None else newest):
            self.dropped_rows += int(len(slot.cells.idx) > 0)

    def advance(self, collector: str, watermark: int) -> None:
        """Believe the seconds of a collector before this one complete; what is too old goes."""
        self._say(collector, watermark)
        self._history.prune(self.watermark or 0)

    def _say(self, collector: str, watermark: int) -> None:
        self._watermarks[collector] = max(watermark, self._watermarks.get(collector, watermark))

    def _slots_of(self, batches: Sequence[WindowBatch]) -> list[list[Slot]]:
        """The slots of each batch; new series get the next number."""
        return slots_of(batches, lambda names: np.array([self._number_of(one) for one in names], np.int32), self._kinds)

    def _number_of(self, name: str) -> int:
        number = self._numbers.get(name)
        if number is None:
            if len(self.keys) >= self.most_series:
                self.dropped_series += 1
                return -1
            number = self._numbers[name] = len(self.keys)
            family, *parts = name.split(SEPARATOR)
            self.keys.append(SeriesKey(family, tuple(parts)))
        return number

    # What goes out

    @property
    def size(self) -> int:
        return len(self.keys)

    def number(self, key: SeriesKey) -> int | None:
        """The number of a series, its row in every array over all series."""
        return self._numbers.get(SEPARATOR.join((key.family, *key.parts)))

    def matching(self, key: SeriesKey) -> NDArray[np.int32]:
        """Numbers of the series that a key with "*" parts stands for."""
        known = self._matches.get(key)
        start, found = known if known else (0, np.empty(0, np.int32))
        if start < self.size:
            more = [number for number in range(start, self.size) if _stands_for(key, self.keys[number])]
            found = np.concatenate([found, np.array(more, np.int32)])
            if len(self._matches) > 2000:
                self._matches.clear()
            self._matches[key] = (self.size, found)
        return found

    def slots(self, t0: float, t1: float) -> list[Slot]:
        """The slots that touch [t0, t1), oldest first."""
        return self._history.between(t0, t1)

    def arrivals(self, place: int) -> Arrivals:
        """What was merged since a place in the journal, 0 at first: for running sums."""
        return self._history.arrivals(place)

    def reference(self, t0: float, t1: float, past: Sequence[Span] = ()) -> Reference:
        """Everything in [t0, t1), less whatever touches one of the spans of `past` (earlier incidents)."""
        return reference_of(self.slots(t0, t1), past, self.size)

    def cells(self, t0: float, t1: float) -> Triples:
        return joined([part for slot in self.slots(t0, t1) for part in slot.cell_parts])

    def details(self, t0: float, t1: float) -> Triples:
        return joined([part for slot in self.slots(t0, t1) for part in slot.detail_parts])

    def sums(self, t0: float, t1: float) -> NDArray[np.float32]:
        """(size, CELLS) every cell of every series, summed over the seconds [t0, t1)."""
        cells = self.cells(t0, t1)
        place = cells.idx.astype(np.int64) * CELLS + cells.code
        flat = np.bincount(place, weights=cells.amount, minlength=self.size * CELLS)
        return flat.reshape(self.size, CELLS).astype(np.float32)

    def levels(self, now: float, within_s: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(size,) calls in flight and age of the oldest, as last said in the seconds before `now`; NaN when unsaid."""
        in_flight = np.full(self.size, np.nan, np.float32)
        oldest = np.full(self.size, np.nan, np.float32)
        for slot in self.slots(now - within_s, now + 1):
            idx, age = slot.oldest
            oldest[idx] = 0
            np.maximum.at(oldest, idx, age)
            cells = slot.cells
            level = cells.pick(cells.code == Cell.IN_FLIGHT)
            said = cells.idx[cells.code == Cell.IN_FLIGHT_SAID]
            in_flight[said] = 0
            np.add.at(in_flight, level.idx, level.amount / slot.span_s)
        return in_flight, oldest

    def dense(self, numbers: Sequence[int], t0: int, seconds: int) -> NDArray[np.float32]:
        """(series, seconds, CELLS) the seconds from t0 on, of a few series."""
        return closeups.dense(self.slots(t0, t0 + seconds), self.size, numbers, t0, seconds)

    def timed(self, wanted: Sequence[tuple[int, int, int]], t0: int, seconds: int) -> list[closeups.Timed]:
        """Second by second, the calls of each (series, channel, bucket); slow are those in a higher bucket."""
        return closeups.timed(self.slots(t0, t0 + seconds), self.size, wanted, t0, seconds) if wanted else []

    def long_calls(self, numbers: Sequence[int], limit: int, t0: int, seconds: int) -> list[tuple[int, float, float]]:
        """Calls slower than a duration bucket: in which second (from t0) they ended, how long they took, how many."""
        return closeups.long_calls(self.slots(t0, t0 + seconds), self.size, numbers, limit, t0, seconds)

    def errors_since(self, since: Mapping[int, float]) -> dict[int, dict[str, int]]:
        """Failed calls by error.type, for each series since a moment of its own."""
        if not since:
            return {}
        slots = self.slots(min(since.values()), float("inf"))
        return closeups.errors_since(slots, self.size, since, self._kinds)

    def examples(self, numbers: Sequence[int], most: int = 4) -> dict[int, tuple[Exemplar, ...]]:
        """The most telling recent spans of some series: failed before useless before the rest, the newest first."""
        return closeups.examples(self._history.fresh(), self.size, numbers, most)

    def exemplars(self, number: int, most: int = 4) -> tuple[Exemplar, ...]:
        """The same for one series."""
        return self.examples([number], most).get(number, ())

    def totals(self, key: SeriesKey, t0: float, t1: float) -> Totals:
        """Everything counted for a series in the seconds [t0, t1); parts that are "*" match anything and are summed."""
        numbers = self.matching(key)
        mine = np.zeros(self.size + 1, bool)
        mine[numbers] = True
        slots = self.slots(t0, t1)
        cells, details = _of(mine, [slot.cells for slot in slots]), _of(mine, [slot.details for slot in slots])
        sums = np.bincount(cells.code, weights=cells.amount, minlength=CELLS)
        kinds = self._named(details)
        in_flight, oldest = self._last_levels(mine, slots)
        return Totals(
            count=round(sums[Cell.COUNT]),
            errors=kinds["errors"],
            refused=kinds["refused"],
            useless=kinds["useless"],
            probes=round(sums[Cell.PROBES]),
            probe_errors=round(sums[Cell.PROBE_ERRORS]),
            seconds=float(sums[Cell.SECONDS]),
            tokens=round(sums[Cell.TOKENS]),
            cost_usd=float(sums[Cell.COST]),
            in_flight=in_flight,
            oldest_s=oldest,
            buckets=_channel(details, DURATION),
            first_token=_channel(details, FIRST_TOKEN),
        )

    def _named(self, details: Triples) -> dict[str, dict[str, int]]:
        named: dict[str, dict[str, int]] = {"errors": {}, "refused": {}, "useless": {}}
        kinds = details.pick(details.code >= KINDS_FROM)
        amounts = np.bincount(kinds.code - KINDS_FROM, weights=kinds.amount) if len(kinds.code) else np.empty(0)
        for code in np.flatnonzero(amounts):
            group, key = self._kinds.names[int(code)]
            named[group][key] = round(amounts[code])
        return named

    @staticmethod
    def _last_levels(mine: NDArray[np.bool_], slots: list[Slot]) -> tuple[float | None, float | None]:
        for slot in slots[: -LEVELS_BACK - 1 : -1]:
            cells = _of(mine, [slot.cells])
            if (cells.code == Cell.IN_FLIGHT_SAID).any():
                idx, age = slot.oldest
                ages = age[mine[idx]]
                level = float(cells.amount[cells.code == Cell.IN_FLIGHT].sum()) / slot.span_s
                return level, float(ages.max()) if len(ages) else None
        return None, None

    def line(
        self, key: SeriesKey, measure: str, t0: float, t1: float, points: int = 400
    ) -> list[tuple[float, float | None]]:
        """A chart's points: moment (start of the step) and value, None where there is no data.

        Raises:
            ValueError: No such measure.
        """
        return line(self, key, measure, t0, t1, points)

    # Surviving a restart

    def checkpoint(self) -> bytes:
        """Everything but exemplars, in a compact versioned form."""
        slots = self._history.between(0, float("inf"))
        kept = [Slot(s.ts, s.span_s, [s.cells.summed()], [s.details.summed()], [s.oldest]) for s in slots]
        cells, details = joined([s.cells for s in kept]), joined([s.details for s in kept])
        arrays = {
            "ts": np.array([(s.ts, s.span_s) for s in kept], np.int64).reshape(-1, 2),
            "lengths": np.array([(len(s.cells.idx), len(s.details.idx), len(s.oldest[0])) for s in kept], np.int64),
            **{f"cell_{name}": getattr(cells, name) for name in Triples._fields},
            **{f"detail_{name}": getattr(details, name) for name in Triples._fields},
            "oldest_idx": np.concatenate([s.oldest[0] for s in kept] or [np.empty(0, np.int32)]),
            "oldest_s": np.concatenate([s.oldest[1] for s in kept] or [np.empty(0, np.float32)]),
        }
        about = {
            "history_s": self.history_s,
            "series": list(self._numbers),
            "kinds": self._kinds.names,
            "watermarks": self._watermarks,
            "applied": {name: (one.folded, one.joined, one.flowed) for name, one in self._applied.items()},
        }
        return pack("series", arrays, json.dumps(about))

    @classmethod
    def restore(cls, data: bytes) -> "SeriesTable":
        """The table that `checkpoint` wrote.

        Raises:
            ValueError: Not a checkpoint of this version.
        """
        arrays, text = unpack("series", data)
        about = json.loads(text)
        table = cls(about["history_s"])
        for name in about["series"]:
            table._number_of(name)
        table._kinds = Kinds([(group, key) for group, key in about["kinds"]])
        table._watermarks = {name: int(mark) for name, mark in about["watermarks"].items()}
        for name, positions in about.get("applied", {}).items():
            table._applied[name] = Resume(*((segment, at) for segment, at in positions))
        ends = np.cumsum(arrays["lengths"].reshape(-1, 3), axis=0)
        starts = ends - arrays["lengths"].reshape(-1, 3)
        for (ts, span_s), start, end in zip(arrays["ts"], starts, ends, strict=True):
            a, b, c = (slice(int(s), int(e)) for s, e in zip(start, end, strict=True))
            cells = triples(arrays["cell_idx"][a], arrays["cell_code"][a], arrays["cell_amount"][a])
            details = triples(arrays["detail_idx"][b], arrays["detail_code"][b], arrays["detail_amount"][b])
            oldest = (arrays["oldest_idx"][c], arrays["oldest_s"][c])
            slot = Slot(int(ts), int(span_s), [cells], [details], [oldest] if len(oldest[0]) else [])
            table._history.merge(slot, slot.ts)
        table._history.prune(table.watermark or 0)
        return table


def _stands_for(pattern: SeriesKey, key: SeriesKey) -> bool:
    return pattern.family == key.family and all(
        want in ("*", has) for want, has in zip(pattern.parts, key.parts, strict=True)
    )


def _of(mine: NDArray[np.bool_], parts: list[Triples]) -> Triples:
    whole = joined(parts)
    return whole.pick(mine[whole.idx])


def _channel(details: Triples, channel: int) -> NDArray[np.float64]:
    low = channel * BUCKETS
    inside = (details.code >= low) & (details.code < low + BUCKETS)
    return np.bincount(details.code[inside] - low, details.amount[inside], BUCKETS).astype(np.float64)


def _quantile(buckets: NDArray[np.float64], q: float) -> float | None:
    total = buckets.sum()
    if not total:
        return None
    return float(upper_edge_s(int(np.searchsorted(np.cumsum(buckets), q * total - 1e-9))))
