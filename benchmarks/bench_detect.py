"""How long one step of scoring takes over many live series, and what it weighs.

    python benchmarks/bench_detect.py [--series 94000] [--json build/bench/detect.json]

Each second a tenth of the series has calls (a live series is one that is active in at least a tenth of the seconds), in
traffic of two strengths, so that the table shows what follows the series and what follows the calls. One process; the
figure is wall time of `Scorer.score` on this machine, with `SeriesTable.add` beside it.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from paramedic_collector.windows import HISTOGRAM, SCALE, SCHEMAS, WindowBatch
from paramedic_detector.scores.scorer import Scorer
from paramedic_detector.series.table import SeriesTable

T0 = 1_700_000_000
ACTIVE = 0.1


class Traffic:
    """Edges in numbers: each second another random tenth of them has calls."""

    def __init__(self, series: int, calls: int, seed: int = 1) -> None:
        self._rng, self._series, self._calls = np.random.default_rng(seed), series, calls
        names = np.arange(series)
        self._caller = pa.array([f"service-{n // 40}" for n in names])
        self._callee = pa.array([f"callee-{n}" for n in names])
        self._zone = pa.array(["eu-1a" if n % 2 else "eu-1b" for n in names])

    def second(self, ts: int) -> WindowBatch:
        """The windows of one second."""
        chosen = np.sort(self._rng.choice(self._series, max(1, int(self._series * ACTIVE)), replace=False))
        rows, take = len(chosen), pa.array(chosen)
        count = self._rng.poisson(self._calls, rows) + 1
        columns = {
            "ts": pa.array(np.full(rows, ts)),
            "caller": self._caller.take(take),
            "callee": self._callee.take(take),
            "zone": self._zone.take(take),
            "count": pa.array(count),
            "duration": _histograms(count),
            "gap": _histograms(count, first=-60),
        }
        schema = SCHEMAS["edge"]
        arrays = [columns[field.name] if field.name in columns else _nothing(field, rows) for field in schema]
        return WindowBatch("bench", ts, ts - 1, {"edge": pa.RecordBatch.from_arrays(arrays, schema=schema)})


def _nothing(field: pa.Field, rows: int) -> pa.Array:
    if pa.types.is_integer(field.type) and field.name != "in_flight":
        return pa.array(np.zeros(rows, np.int64))
    return pa.nulls(rows, field.type)


def _histograms(count: np.ndarray, first: int = -14) -> pa.StructArray:
    """Three neighbouring buckets a row, the same for all: calls of healthy series."""
    rows = len(count)
    index = np.tile(first + np.arange(3), rows).astype(np.int32)
    parts = np.stack([count // 2, count - count // 2 - count // 4, count // 4], axis=1).ravel()
    offsets = pa.array(np.arange(0, 3 * rows + 1, 3, dtype=np.int32))
    arrays = [
        pa.array(np.full(rows, SCALE, np.int8)),
        pa.array(np.zeros(rows, np.int64)),
        pa.array(count * 0.3),
        pa.ListArray.from_arrays(offsets, pa.array(index)),
        pa.ListArray.from_arrays(offsets, pa.array(parts.astype(np.int64))),
    ]
    return pa.StructArray.from_arrays(arrays, fields=list(HISTOGRAM))


def measured(series: int, calls: int, warm_s: int, steps: int) -> dict[str, float]:
    """Milliseconds of one step, after `warm_s` seconds of history."""
    traffic, table, scorer = Traffic(series, calls), SeriesTable(), Scorer()
    for second in range(warm_s):
        table.add(traffic.second(T0 + second))
        if second % 10 == 9:
            scorer.score(table, T0 + second + 1, frozenset())
    adding, scoring, alerts = [], [], 0
    for second in range(warm_s, warm_s + steps):
        batch = traffic.second(T0 + second)
        began = time.perf_counter()
        table.add(batch)
        added = time.perf_counter()
        alerts += len(scorer.score(table, T0 + second + 1, frozenset()))
        adding.append(added - began)
        scoring.append(time.perf_counter() - added)
    return {
        "score_ms_p50": 1e3 * statistics.median(scoring),
        "score_ms_max": 1e3 * max(scoring),
        "add_ms_p50": 1e3 * statistics.median(adding),
        "alerts": alerts,
        "warm_share": float(scorer.baselines.warm[: table.size].mean()),
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


UNITS = {
    "score_ms_p50": "ms",
    "score_ms_max": "ms",
    "add_ms_p50": "ms",
    "alerts": "1",
    "warm_share": "1",
    "rss_mib": "MiB",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--series", type=int, default=94_000)
    parser.add_argument("--warm", type=int, default=240, help="seconds of history before the clock starts")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--json", type=Path, default=Path("build/bench/detect.json"))
    chosen = parser.parse_args()
    rows = []
    for series, calls in ((500, 3), (chosen.series // 10, 3), (chosen.series, 3), (chosen.series, 300)):
        case = f"{series} live series, {series * ACTIVE * (calls + 1):,.0f} calls/s"
        found = measured(series, calls, chosen.warm, chosen.steps)
        rows += [
            {"case": case, "metric": name, "value": value, "unit": UNITS[name], "peer": False}
            for name, value in found.items()
        ]
        print(f"{case:<44}" + "  ".join(f"{name} {value:,.1f}" for name, value in found.items()), flush=True)  # noqa: T201
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
