"""Recorded metrics as windows of the family gauge.

    metrics*.parquet (ts, service, pod, metric, value) --> one row a second and (service, pod, metric)

Values of one series in one second add up as the windows of live gauges do: sum, least, largest and how many.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from paramedic_collector.parts import Part
from paramedic_collector.recorded.columns import Columns, Texts, joined_texts
from paramedic_collector.sketch import NANO, Floats, Ints, group
from paramedic_collector.tables import Tables

_INSTANCES: Final = ("pod", "instance", "container", "host")


@dataclass(frozen=True, slots=True)
class Metrics:
    """Recorded metrics in time order."""

    ts: Ints  # unix seconds
    value: Floats  # finite
    key: Ints  # (n,) place in `_keys`
    _keys: list[tuple[str, str, str]]  # service, instance, metric

    def __len__(self) -> int:
        return len(self.ts)

    def granularity_s(self) -> float | None:
        """The usual seconds between two points of a series; None when no series has two."""
        order = np.lexsort((self.ts, self.key))
        steps = np.diff(self.ts[order])[np.diff(self.key[order]) == 0]
        steps = steps[steps > 0]
        return float(np.median(steps)) if len(steps) else None

    def series(self, tables: Tables) -> Ints:
        """The number of each key's series."""
        return tables.series["gauge"].intern(self._keys)

    def part(self, a: int, b: int, series: Ints) -> Part:
        """The windows of points a to b."""
        ts, value, number = self.ts[a:b], self.value[a:b], series[self.key[a:b]]
        order = np.lexsort((number, ts))
        ts, value, number = ts[order], value[order], number[order]
        begins = np.flatnonzero(np.append(True, (np.diff(ts) != 0) | (np.diff(number) != 0))) if len(ts) else order
        if not len(begins):
            return Part("gauge", ts, number, {})
        columns = {
            "count": pa.array(np.diff(np.append(begins, len(ts)))),
            "sum": pa.array(np.add.reduceat(value, begins)),
            "min": pa.array(np.minimum.reduceat(value, begins)),
            "max": pa.array(np.maximum.reduceat(value, begins)),
        }
        return Part("gauge", ts[begins], number[begins], columns)


def read_metrics(files: Sequence[Columns]) -> Metrics | None:
    """The points of all files; None when one of them cannot be read, and the mistakes say why."""
    good = [_read(columns) for columns in files]
    read = [one for one in good if one is not None]
    if len(read) < len(good):
        return None
    ts, value = (np.concatenate([one[place] for one in read]) for place in (0, 1))
    texts = [joined_texts([one[2][place] for one in read]) for place in range(3)]
    finite = np.flatnonzero(np.isfinite(value))
    order = finite[np.argsort(ts[finite], kind="stable")]
    key, first = group(*(one.codes[order] for one in texts))
    rows = order[first].tolist()
    service, instance, metric = texts
    keys = [tuple(one.values[one.codes[row]] for one in (service, instance, metric)) for row in rows]
    return Metrics(ts[order], value[order], key, keys)


def _read(columns: Columns) -> tuple[Ints, Floats, list[Texts]] | None:
    wanted = [
        (["ts", "ts_s", "ts_ms", "ts_us", "ts_ns"], "it says when a value was measured"),
        (["service"], "every value belongs to a service"),
        (["metric"], "it says what was measured"),
        (["value"], "it is what was measured"),
    ]
    if sum(columns.lacks(names, why) for names, why in wanted):
        return None
    instance = columns.first(_INSTANCES)
    pods = columns.texts(instance) if instance else columns.texts("")
    ts = columns.moments("ts") // NANO
    return ts, columns.numbers("value"), [columns.texts("service"), pods, columns.texts("metric")]
