"""Virtual time: what of a recorded set a live collector would have given out, and when.

    second s begins --1 s--> counts, metrics, logs --1 s more--> self-times, gaps --4 s more--> flows

Many seconds are folded at once, each span with the moment at which it was known, so that nothing is joined which
live would have come too late; then the rows are cut into batches of `every_s` by the moment at which they are given.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from paramedic_collector.facts import COLUMNS, Facts, facts_of, set_callee
from paramedic_collector.flows import WAIT_S, Flows, Said
from paramedic_collector.fold import fold_family, fold_spans
from paramedic_collector.join import Join
from paramedic_collector.logs import fold_told
from paramedic_collector.parts import Part, whole
from paramedic_collector.recorded.logs import Logs
from paramedic_collector.recorded.metrics import Metrics
from paramedic_collector.recorded.spans import EARLY_S, LATE_S, Spans
from paramedic_collector.sketch import Ints
from paramedic_collector.tables import Tables
from paramedic_collector.windows import WindowBatch

COLLECTOR: Final = "recorded"
GAP_S: Final = 900  # longer gaps end with one step
_TOGETHER_S: Final = 60  # folded at once
_TOGETHER_SPANS: Final = 200_000
_LIMIT: Final = 1_000_000  # series a family
_JOIN_BYTES: Final = 1 << 30
TAIL_S: Final = int(WAIT_S)  # after the last item the join and the flows still have something to say


class Stepping:
    """One walk through a recorded set.

    Args:
        every_s: Seconds of one batch.

    Raises:
        ValueError: `every_s` is less than 1.
    """

    def __init__(self, spans: Spans | None, metrics: Metrics | None, logs: Logs | None, every_s: int) -> None:
        if every_s < 1:
            raise ValueError(f"every_s must be at least 1 second, got {every_s!r}")
        self._spans, self._metrics, self._logs, self._every_s = spans, metrics, logs, every_s
        self._tables = Tables(limit=_LIMIT, keep_s=np.inf, clock=float)
        self._join = Join(self._tables, wait_s=float(LATE_S), keep_s=float(EARLY_S), limit_bytes=_JOIN_BYTES)
        if spans is not None:
            self._join.lose(spans.lost)
        self._flows = Flows(self._tables, limit_bytes=_JOIN_BYTES)
        nothing = np.empty(0, np.int64)
        self._known = [  # when everything is known: of spans, of points, of lines
            nothing if spans is None else spans.known_at,
            nothing if metrics is None else metrics.ts + 1,
            nothing if logs is None else logs.known_at,
        ]
        self._services = nothing if spans is None else self._tables.names.intern(spans.services)
        self._series = np.empty(0, np.int64) if metrics is None else metrics.series(self._tables)
        self._lines = (nothing, nothing, nothing) if logs is None else logs.numbers(self._tables)
        self._joined: list[Part] = []
        self._sequence, self._last = 0, 0

    def batches(self, start: float | None, end: float | None) -> Iterator[WindowBatch]:
        """Every batch; see `Recorded.batches`."""
        known = [one for one in self._known if len(one)]
        if not known:
            return
        at = min(int(one[0]) for one in known) - 1 if start is None else int(np.floor(start))
        self._last = max(int(one[-1]) for one in known) if end is None else int(np.floor(end))
        while at < self._last:
            steps = self._steps(at)
            yield from self._step(at, steps)
            at += steps * self._every_s
            gap_ends = self._gap_ends(at)
            if gap_ends > at:
                at = gap_ends
                yield self._batch(at, {})
        yield from self._step(at, -(-TAIL_S // self._every_s))

    def _gap_ends(self, at: int) -> int:
        """The last moment of the grid before something is known, when nothing was and will be for long; else `at`."""
        before = [int(one[place - 1]) for one in self._known if (place := np.searchsorted(one, at, "right"))]
        after = [int(one[place]) for one in self._known if (place := np.searchsorted(one, at, "right")) < len(one)]
        if not before or not after or at - max(before) < GAP_S:
            return at
        return at + max(0, min(*after, self._last) - 1 - at) // self._every_s * self._every_s

    def _steps(self, at: int) -> int:
        """How many batches to fold at once."""
        most = max(1, min(_TOGETHER_S // self._every_s, -(-(self._last - at) // self._every_s)))
        ends = np.searchsorted(self._known[0], at + self._every_s * np.arange(most + 1), "right")
        return max(1, int(np.searchsorted(ends - ends[0], _TOGETHER_SPANS, "right")) - 1)

    def _step(self, at: int, steps: int) -> Iterator[WindowBatch]:
        """The batches of some steps from `at` on."""
        until = at + steps * self._every_s
        parts = {  # by the seconds after which they are given
            1: [*self._count(at, until), *self._points(at, until), *self._records(at, until)],
            1 + LATE_S: self._joined,
            1 + int(self._flows.wait_s): self._flows.close(float(until)),
        }
        if steps == 1:
            yield self._batch(until, _tables(chain.from_iterable(parts.values()), self._tables))
            return
        moments = at + self._every_s * np.arange(1, steps + 1)
        given: list[dict[str, list[pa.RecordBatch]]] = [defaultdict(list) for _ in moments]
        for after_s, some in parts.items():
            for step, family, rows in self._cut(some, after_s, at, moments):
                given[step][family].append(rows)
        for moment, tables in zip(moments.tolist(), given, strict=True):
            yield self._batch(moment, {family: pa.concat_batches(rows) for family, rows in tables.items()})

    def _cut(
        self, parts: Sequence[Part], after_s: int, at: int, moments: Ints
    ) -> Iterator[tuple[int, str, pa.RecordBatch]]:
        """The rows of parts by the step in which they are given, `after_s` seconds after their second began."""
        for family, table in _tables(parts, self._tables).items():
            given = np.asarray(table["ts"]) + after_s
            begins = np.searchsorted(given, np.append(at, moments), "right").tolist()
            for step in np.flatnonzero(np.diff(begins)).tolist():
                yield step, family, table.slice(begins[step], begins[step + 1] - begins[step])

    def _batch(self, moment: int, tables: dict[str, pa.RecordBatch]) -> WindowBatch:
        self._sequence += 1
        return WindowBatch(COLLECTOR, self._sequence, moment, tables)

    def _count(self, at: int, until: int) -> list[Part]:
        """The windows of spans; what the join finds is put into `_joined`."""
        counted, self._joined = [], []
        for a, b, now in self._shares(at, until):
            counted += self._spans_from(a, b)
            self._joined += self._join.close(now)
        return counted

    def _points(self, at: int, until: int) -> list[Part]:
        a, b = self._between(1, at, until)
        return [] if self._metrics is None else [self._metrics.part(a, b, self._series)]

    def _records(self, at: int, until: int) -> list[Part]:
        """The windows of log lines, which from now on wait for what follows them."""
        a, b = self._between(2, at, until)
        if self._logs is None or a == b:
            return []
        told = self._logs.told(a, b, self._lines)
        said = told.said()
        for first, end, now in _seconds(self._known[2][a:b]):
            part = (getattr(said, name)[first:end] for name in ("span", "ns", "service", "template"))
            self._flows.add(Said(*part), now)
        return [fold_told(told, self._tables)]

    def _between(self, which: int, at: int, until: int) -> tuple[int, int]:
        """From and to which item something is known after `at` and until `until`."""
        a, b = np.searchsorted(self._known[which], [at, min(until, self._last)], "right").tolist()
        return a, b

    def _shares(self, at: int, until: int) -> Iterator[tuple[int, int, float]]:
        """From and to which span, and until when, so that few enough are folded at once."""
        known = self._known[0]
        a, last = self._between(0, at, until)
        while last - a > _TOGETHER_SPANS:
            second = int(known[a + _TOGETHER_SPANS])
            b = int(np.searchsorted(known, second, "left"))
            b = b if b > a else int(np.searchsorted(known, second, "right"))
            yield a, b, float(known[b - 1])
            a = b
        yield a, last, float(until)

    def _spans_from(self, a: int, b: int) -> list[Part]:
        """The windows of spans a to b, which from now on wait for their trace."""
        spans = self._spans
        if spans is None or a == b:
            return []
        facts = facts_of(spans.rows(a, b), self._tables)
        found = fold_spans(facts, self._tables) + self._hops(facts, spans.hop_from[a:b])
        if spans.is_tree:
            for first, end, now in _seconds(spans.known_at[a:b]):
                self._join.add(_slice(facts, first, end), now)
        return found

    def _hops(self, facts: Facts, hop_from: NDArray[np.int32]) -> list[Part]:
        """Calls that no client's span tells of: the edge from the service of the parent to that of the span."""
        which = np.flatnonzero(hop_from >= 0)
        if not len(which):
            return []
        calls = _slice(facts, which)
        peer, calls["service"] = calls["service"].copy(), self._services[hop_from[which]]
        set_callee(calls, peer, self._tables)
        return [fold_family(family, calls, self._tables) for family in ("edge", "callee")]


def _seconds(known_at: Ints) -> Iterator[tuple[int, int, float]]:
    """From and to where items are known in the same second, and which; there is at least one item."""
    begins = np.flatnonzero(np.diff(known_at, prepend=known_at[0] - 1)).tolist()
    for first, end in zip(begins, [*begins[1:], len(known_at)], strict=True):
        yield first, end, float(known_at[first])


def _slice(facts: Facts, *which: Any) -> Facts:
    """The spans from one place to another, or at some places."""
    at = slice(*which) if len(which) == 2 else which[0]
    return Facts({name: facts[name][at] for name in COLUMNS})


def _tables(parts: Iterable[Part], tables: Tables) -> dict[str, pa.RecordBatch]:
    by_family: dict[str, list[Part]] = defaultdict(list)
    for part in parts:
        if len(part):
            by_family[part.family].append(part)
    return {family: whole(group, tables) for family, group in by_family.items()}
