"""A table to count in: users of one service, second by second."""

import pyarrow as pa

from paramedic_collector.windows import KEYS, SCHEMAS, WindowBatch
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.series.table import SeriesTable

START = 1_800_000_000
FAST, SLOW = -35, 20  # buckets of 2^(1/8): 0.05 s and 5.7 s


def second(ts: int, calls: int, failed: int = 0, useless: int = 0, slow: int = 0) -> WindowBatch:
    """One second of what users of `chat` got."""
    row = dict.fromkeys(SCHEMAS["op"].names) | dict.fromkeys(KEYS["op"], "")
    row |= {"ts": ts, "service": "chat", "operation": "POST /chat", "kind": "server", "count": calls}
    row |= {"probes": 0, "probe_errors": 0, "refused": []}
    row |= {"errors": [{"key": "503", "count": failed}] if failed else []}
    row |= {"useless": [{"key": "empty", "count": useless}] if useless else []}
    counts = [(FAST, calls - slow), (SLOW, slow)]
    kept = [(index, count) for index, count in counts if count]
    row |= {"duration": {"scale": 3, "zero": 0, "sum": 0.05 * calls, "index": [i for i, _ in kept],
                         "count": [n for _, n in kept]}}  # fmt: skip
    tables = {"op": pa.RecordBatch.from_pylist([row], schema=SCHEMAS["op"])} if calls else {}
    return WindowBatch(collector="c", sequence=ts, watermark=ts + 1, tables=tables)


class Users:
    """Feeds a table; seconds count from START."""

    def __init__(self) -> None:
        self.table = SeriesTable(3600)
        self.at = 0

    @property
    def now(self) -> float:
        return float(START + self.at)

    @property
    def topology(self) -> Topology:
        return Topology.of(self.table, self.now)

    def come(self, seconds: int, calls: int = 10, **bad: int) -> None:
        for _ in range(seconds):
            self.table.add(second(START + self.at, calls, **bad))
            self.at += 1
