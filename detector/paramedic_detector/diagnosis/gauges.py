"""What the gauges of a suspect say: memory that grows, a pool that is full, a processor that is busy.

Gauges are sorted by the words in their names, as OpenTelemetry and most exporters use them. What is usual is the
middle of what was said before the onset; a spread is never taken for smaller than a part of the level itself.
"""

import re
from typing import Final

import numpy as np

from paramedic_detector.diagnosis.reading import Numbers, Reading, Stretch, Sums
from paramedic_detector.series.slots import Cell

WORDS: Final[dict[str, frozenset[str]]] = {
    "memory": frozenset({"memory", "mem", "rss", "heap", "swap", "gc"}),
    "handles": frozenset({"fd", "fds", "descriptors", "descriptor", "handle", "handles", "thread", "threads"}),
    "cpu": frozenset({"cpu", "load", "load1", "throttled", "throttling"}),
    "pool": frozenset({"pool", "connection", "connections", "queue", "pending", "workers", "bulkhead", "slots"}),
    "disk": frozenset({"disk", "filesystem", "fs", "io", "inodes", "volume"}),
    "network": frozenset({"network", "net", "packets", "dropped", "retransmits", "tcp", "receive", "transmit"}),
}  # fmt: skip
GROUPS: Final = (*WORDS, "other")
RATIO_WORDS: Final = frozenset({"utilization", "usage_ratio", "ratio", "percent", "saturation"})
FLOOR: Final = 0.1  # of the level: a smaller spread is not believed
FULL_FROM: Final = 0.8  # a share from which a pool is nearly full
RISING: Final = 0.8  # share of later points above earlier ones from which a level rises
LEAST_POINTS: Final = 4
LEAST_LATELY: Final = 3  # since the onset
CEILING: Final = frozenset({"max", "limit", "size", "capacity"})
TAKEN: Final = frozenset({"count", "used", "usage", "active", "in_use"})


def group_of(metric: str) -> str:
    """To which group the words of a metric's name belong."""
    words = set(re.split(r"[^a-z0-9]+", metric.lower()))
    return next((name for name, known in WORDS.items() if words & known), "other")


def gauge_measures(reading: Reading, rows: Numbers) -> dict[str, float]:
    """For each group the farthest of its gauges from usual, -1 to 1; how fast memory and handles grow; what is full.

    Args:
        rows: Gauges of one service.
    """
    found = {f"gauge_{name}": 0.0 for name in GROUPS} | {"grows": 0.0, "full": 0.0}
    edge = reading.long.bin_of(reading.onset)
    for row in rows:
        line = reading.long.levels[:, row]
        metric = reading.key(int(row)).part("metric")
        group = group_of(metric)
        moved = _moved(reading, int(row), line[:edge])
        if abs(moved) > abs(found[f"gauge_{group}"]):
            found[f"gauge_{group}"] = moved
        if group in ("memory", "handles", "disk"):
            found["grows"] = max(found["grows"], _growth(line), _growth(line[max(0, edge - 1) :], LEAST_LATELY))
        if group != "network" and group != "other" and _is_share(metric, line):
            found["full"] = max(found["full"], _nearly(_last(line) / (100 if np.nanmax(line) > 1.5 else 1)))
    found["full"] = max(found["full"], *(_nearly(share) for share in _of_ceilings(reading, rows)), 0.0)
    return found


def _nearly(share: float) -> float:
    """0 to 1 for what is nearly full."""
    return float(np.clip((share - FULL_FROM) / (1 - FULL_FROM), 0, 1))


def _of_ceilings(reading: Reading, rows: Numbers) -> list[float]:
    """What part of its ceiling each level takes up: `pool.used` of `pool.max`, whose other words are the same."""
    last = {
        reading.key(int(row)).part("metric"): _last(line)
        for row in rows
        if not np.isnan(line := reading.long.levels[:, row]).all()
    }
    ceilings = {stem: value for name, value in last.items() if (stem := _stem(name, CEILING)) and value > 0}
    return [value / ceilings[stem] for name, value in last.items() if (stem := _stem(name, TAKEN)) and stem in ceilings]


def _stem(metric: str, endings: frozenset[str]) -> str:
    """The name without its last word, when that is one of `endings`; else empty."""
    stem, _, ending = metric.rpartition(".")
    return stem if ending in endings else ""


def _moved(reading: Reading, row: int, line: Sums) -> float:
    """How far the level since onset is from the usual: 0.5 at ten spreads, the sign says where."""
    before, after = line[~np.isnan(line)], _mean(reading.during, row)
    usual = _mean(reading.usual, row)
    if after is None or (usual is None and not len(before)):
        return 0.0
    middle = float(np.median(before)) if len(before) else float(usual or 0.0)
    spread = (1.4826 * float(np.median(np.abs(before - middle))) if len(before) else 0.0) + FLOOR * abs(middle) + 1e-9
    z = (after - middle) / spread
    return float(z / (abs(z) + 10))


def _mean(stretch: Stretch, row: int) -> float | None:
    said = stretch.cells[row, Cell.COUNT]
    return float(stretch.cells[row, Cell.SECONDS] / said) if said else None


def _growth(line: Sums, least: int = LEAST_POINTS) -> float:
    """0 to 1: how steadily and how far it rose; 1 when it more than doubled without a step back."""
    seen = line[~np.isnan(line)]
    if len(seen) < least or seen[0] <= 0:
        return 0.0
    later, earlier = np.triu_indices(len(seen), 1)
    rising = float((seen[earlier] > seen[later]).mean())
    steady = (rising - RISING) / (1 - RISING)
    return float(np.clip(steady, 0, 1) * np.clip(np.log2(max(seen[-1], 1e-9) / seen[0]), 0, 1))


def _last(line: Sums) -> float:
    return float(line[~np.isnan(line)][-1])


def _is_share(metric: str, line: Sums) -> bool:
    if np.isnan(line).all():
        return False
    return any(word in metric.lower() for word in RATIO_WORDS) or (
        "connection" not in metric and bool(np.nanmin(line) >= 0 and 0 < np.nanmax(line) <= 1)
    )
