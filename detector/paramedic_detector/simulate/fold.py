"""Simulated spans to windows: rows of the production schema, in the second in which a collector would give them out.

    spans that ended --> counts, errors, durations of their second         given out when the second is over
                     --> self-times and gaps of the same second            a second later, as the join waits
    calls in flight  --> in_flight, oldest_s of each edge and callee       each second

A family's rows of a whole stretch are made at once and then cut into seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from paramedic_collector.windows import KEYS, SCHEMAS
from paramedic_detector.simulate import columns
from paramedic_detector.simulate.spans import NONE, Spans, Table

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
JOIN_S: Final = 1  # how much later self-times and gaps come
SAID_AT: Final = 0.6  # of each second: when guards say how many calls are in flight
_SHIFT: Final = 40


@dataclass(slots=True)
class Levels:
    """Calls in flight: of which edge and zone, in which second, how many, and the age of the oldest."""

    ts: Ints
    series: Ints
    in_flight: Ints
    oldest_s: Floats


@dataclass(slots=True)
class Cut:
    """Rows of one family, sorted by the second in which they are given out."""

    given: Ints
    rows: pa.RecordBatch

    def of(self, second: int) -> pa.RecordBatch:
        first, last = np.searchsorted(self.given, (second, second + 1))
        return self.rows.slice(int(first), int(last - first))


class Fold:
    """Makes windows of spans; keeps those whose self-times are not due yet."""

    def __init__(self, spans: Spans) -> None:
        self._spans = spans
        self._late: Table | None = None
        self._series: dict[str, dict[int, tuple[str, ...]]] = {"op": {}, "edge": {}, "callee": {}}

    def windows(self, ended: Table, levels: Levels, end: int) -> dict[str, Cut]:
        """The rows of a stretch that ends at `end`.

        Args:
            ended: Spans that ended in it.
            levels: Of edges, by `edge * zones + zone`.
        """
        waiting = ended if self._late is None else np.concatenate([self._late, ended])
        due = np.floor(waiting["end"]) + JOIN_S < end
        self._late = waiting[~due]
        made = waiting[due & (waiting["refused"] == 0)]
        found = {"op": self._family("op", ended, made, None)}
        for family in ("edge", "callee"):
            outward, theirs = ended[ended["edge"] != NONE], made[~np.isnan(made["gap"])]
            found[family] = self._family(family, outward, theirs, self._of_family(family, levels))
        return found

    def _of_family(self, family: str, levels: Levels) -> Levels:
        if family == "edge":
            return levels
        zones = len(self._spans.zones)
        callees = [self._callee(edge) for edge in range(len(self._spans.edges))]
        series = np.array(callees, np.int64)[levels.series // zones] * zones + levels.series % zones
        return Levels(levels.ts, series, levels.in_flight, levels.oldest_s)

    def _callee(self, edge: int) -> int:
        """A number for the callee of an edge: that of the first edge to it."""
        name = self._spans.edges.names[edge][1]
        return next(number for number, (_, callee) in enumerate(self._spans.edges.names) if callee == name)

    def _numbers(self, family: str, table: Table) -> Ints:
        zones = len(self._spans.zones)
        if family == "op":
            place = table["base"].astype(np.int64) * zones + table["zone"]
            return np.asarray(place * 4096 + table["version"])
        edge = table["edge"].astype(np.int64)
        if family == "callee":
            callees = np.array([self._callee(number) for number in range(len(self._spans.edges))] or [0], np.int64)
            edge = callees[edge]
        return np.asarray(edge * zones + table["callee_zone"])

    def _name(self, family: str, number: int) -> tuple[str, ...]:
        known = self._series[family].get(number)
        if known is None:
            known = self._series[family][number] = self._named(family, number)
        return known

    def _named(self, family: str, number: int) -> tuple[str, ...]:
        spans, zones = self._spans, len(self._spans.zones)
        if family == "op":
            place, version = divmod(number, 4096)
            service, operation, kind, peer, model = spans.bases.names[place // zones]
            zone = spans.zones.names[place % zones]
            return (service, operation, kind, peer, zone, model, spans.versions.names[version])
        caller, callee = spans.edges.names[number // zones]
        zone = spans.zones.names[number % zones]
        return (caller, callee, zone) if family == "edge" else (callee, zone)

    def _family(self, family: str, ended: Table, joined: Table, levels: Levels | None) -> Cut:
        ts, late_ts = np.floor(ended["end"]).astype(np.int64), np.floor(joined["end"]).astype(np.int64)
        series, late_series = self._numbers(family, ended), self._numbers(family, joined)
        given = [ts, late_ts + JOIN_S]
        keys = [(ts, series), (late_ts, late_series)]
        if levels is not None:
            given.append(levels.ts)
            keys.append((levels.ts, levels.series))
        base = int(min((part.min() for part in given if len(part)), default=0)) - 2 * JOIN_S
        packed = [
            ((when - base) * 4 + (when - second)) << _SHIFT | number
            for when, (second, number) in zip(given, keys, strict=True)
        ]
        places, row = np.unique(np.concatenate(packed), return_inverse=True)
        row = row.reshape(-1).astype(np.int64)
        at, late_at = row[: len(ts)], row[len(ts) : len(ts) + len(late_ts)]
        when, second = (places >> _SHIFT) // 4 + base, np.empty(len(places), np.int64)
        second = when - (places >> _SHIFT) % 4
        values = self._values(family, ended, at, joined, late_at, len(places))
        if levels is not None:
            values |= _levels(levels, row[len(ts) + len(late_ts) :], len(places))
        rows = self._rows(family, second, places & ((1 << _SHIFT) - 1), values)
        return Cut(when, rows)

    def _values(
        self, family: str, ended: Table, at: Ints, joined: Table, late_at: Ints, rows: int
    ) -> dict[str, pa.Array]:
        words = self._spans.words.names
        made = ended["refused"] == 0
        theirs = ended[made]
        duration, own_at = theirs["end"] - theirs["begin"], at[made]
        found = {
            "count": pa.array(np.bincount(own_at, minlength=rows).astype(np.int64)),
            "errors": columns.counts(own_at, theirs["error"], words, rows),
            "refused": columns.counts(at, ended["refused"], words, rows),
            "useless": columns.counts(own_at, np.where(theirs["error"] == 0, theirs["useless"], 0), words, rows),
            "duration": columns.histograms(own_at, duration, rows, null_when_empty=True),
            "exemplars": self._exemplars(theirs, duration, own_at, rows),
        }
        if family != "op":
            gap = np.maximum(0.0, joined["gap"])
            return found | {"gap": columns.histograms(late_at, gap, rows, null_when_empty=True)}
        streamed = ~np.isnan(theirs["first"])
        total: Callable[[str], Any] = lambda name: np.bincount(own_at, theirs[name], minlength=rows)  # noqa: E731
        return found | {
            "self_time": columns.histograms(late_at, joined["own"], rows, null_when_empty=True),
            "first_token": columns.histograms(own_at[streamed], theirs["first"][streamed], rows, null_when_empty=True),
            "input_tokens": pa.array(total("tokens_in").astype(np.int64)),
            "output_tokens": pa.array(total("tokens_out").astype(np.int64)),
            "cost_usd": pa.array(total("cost").astype(np.float64)),
        }

    def _exemplars(self, spans: Table, duration: Floats, row: Ints, rows: int) -> pa.ListArray:
        """The worst span of each row: failed before useless before slow."""
        if not len(spans):
            return columns.nothing(SCHEMAS["op"].field("exemplars"), rows)
        rank = np.where(spans["error"] > 0, 2, np.where(spans["useless"] > 0, 1, 0)).astype(np.int8)
        order = np.lexsort((duration, rank, row))
        last = order[np.r_[np.flatnonzero(np.diff(row[order])), len(order) - 1]]
        note = np.where(spans["error"][last] > 0, spans["error"][last], spans["useless"][last])
        texts = [self._spans.words.names[number] for number in note.tolist()]
        return columns.exemplars(row[last], rank[last], spans["trace"][last], duration[last], texts, rows)

    def _rows(self, family: str, second: Ints, series: Ints, values: dict[str, pa.Array]) -> pa.RecordBatch:
        distinct, place = np.unique(series, return_inverse=True)
        names = list(zip(*(self._name(family, number) for number in distinct.tolist()), strict=True))
        found: dict[str, pa.Array] = {"ts": pa.array(second), **values}
        index = pa.array(place.reshape(-1))
        for key, texts in zip(KEYS[family], names or [()] * len(KEYS[family]), strict=True):
            found[key] = pa.array(texts, pa.string()).take(index)
        schema = SCHEMAS[family]
        arrays = [found[field.name] if field.name in found else columns.nothing(field, len(second)) for field in schema]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _levels(levels: Levels, row: Ints, rows: int) -> dict[str, pa.Array]:
    """in_flight adds up, and of the ages the highest stays."""
    said = np.bincount(row, minlength=rows) > 0
    flying = np.bincount(row, levels.in_flight, minlength=rows).astype(np.int64)
    oldest = np.zeros(rows)
    np.maximum.at(oldest, row, levels.oldest_s)
    return {"in_flight": pa.array(flying, mask=~said), "oldest_s": pa.array(oldest, mask=~said)}
