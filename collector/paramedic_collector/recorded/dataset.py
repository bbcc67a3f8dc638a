"""A recorded data set: a folder in the normalised form, read and checked.

    read(folder) -> Recorded -> .batches(every_s=60) -> WindowBatch, WindowBatch, ... in virtual time

    spans*.parquet metrics*.parquet logs*.parquet alerts.parquet updates.parquet faults.csv graph.json

Every file is optional but `faults.csv`. Nothing is written beside the data and nothing kept: reading is fast.
`docs/reference/recorded-data.md` describes the form.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from paramedic_collector.recorded.columns import Columns
from paramedic_collector.recorded.faults import RecordedFault, read_faults
from paramedic_collector.recorded.logs import Logs, read_logs
from paramedic_collector.recorded.metrics import Metrics, read_metrics
from paramedic_collector.recorded.mistakes import RecordedMistakes
from paramedic_collector.recorded.spans import Spans, read_spans
from paramedic_collector.recorded.stepping import Stepping
from paramedic_collector.sketch import Ints
from paramedic_collector.windows import WindowBatch

KINDS: Final = ("spans", "metrics", "logs", "alerts", "updates", "graph")
Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was recorded of a system, and which faults it had.

    Made by `read`. It is held in memory, about 150 bytes a span, and for a while what the files hold too.
    """

    name: str  # of the folder
    faults: tuple[RecordedFault, ...]
    spans: Spans | None
    metrics: Metrics | None
    logs: Logs | None
    alerts: pa.Table | None  # as it was recorded
    updates: pa.Table | None  # as it was recorded
    graph: Mapping[str, Any] | None

    def has(self, kind: str) -> bool:
        """Whether the set has "spans", "metrics", "logs", "alerts", "updates" or "graph", and something in it."""
        if kind not in KINDS:
            raise ValueError(f"a recorded set has {', '.join(KINDS)}, not {kind!r}")
        found = getattr(self, kind)
        return found is not None and len(found) > 0

    @property
    def seconds(self) -> Ints:
        """The unix seconds in which at least one span ended, ascending."""
        return self.moments("spans")

    def moments(self, kind: str) -> Ints:
        """The unix seconds in which there is something of "spans", "metrics" or "logs", ascending."""
        known = {
            "spans": None if self.spans is None else self.spans.known_at,
            "metrics": None if self.metrics is None else self.metrics.ts + 1,
            "logs": None if self.logs is None else self.logs.known_at,
        }
        if kind not in known:
            raise ValueError(f"there are moments of {', '.join(known)}, not of {kind!r}")
        found = known[kind]
        return np.empty(0, np.int64) if found is None else np.unique(found) - 1

    @property
    def granularity_s(self) -> float | None:
        """The usual seconds between two points of one metric; None without metrics."""
        return None if self.metrics is None else self.metrics.granularity_s()

    def batches(self, start: float | None = None, end: float | None = None, every_s: int = 1) -> Iterator[WindowBatch]:
        """The windows, in the order in which a live collector would have given them.

        Args:
            start: Unix seconds; what ended before is left out. The first moment of the set when None.
            end: Unix seconds; what ended later is left out. The last moment of the set when None.
            every_s: Seconds of one batch.

        Yields:
            Batches whose `watermark` is the moment at which they are given: everything that ended before it is in
            them or in earlier ones. Self-times and gaps come a second after the counts of their second, flows five.
            Seconds without data give batches without tables; `stepping.GAP_S` of them end with one long step.

        Raises:
            ValueError: `every_s` is less than 1.
        """
        return Stepping(self.spans, self.metrics, self.logs, every_s).batches(start, end)


def read(folder: Path) -> Recorded:
    """Read and check a folder.

    Raises:
        RecordedMistakes: Something is wrong with it; one sentence a mistake.
    """
    mistakes: list[str] = []
    path = folder / "faults.csv"
    if not path.is_file():
        raise RecordedMistakes([f"{folder}: there is no faults.csv; it is the one file that a recorded set needs"])
    recorded = Recorded(
        folder.resolve().name,
        read_faults(path, mistakes),
        _all(folder, "spans", read_spans, mistakes),
        _all(folder, "metrics", read_metrics, mistakes),
        _all(folder, "logs", read_logs, mistakes),
        _one(folder, "alerts", ("case", "component"), mistakes),
        _one(folder, "updates", ("case", "ts", "text"), mistakes),
        _graph(folder / "graph.json", mistakes),
    )
    if mistakes:
        raise RecordedMistakes(mistakes)
    return recorded


def _all(folder: Path, kind: str, of: Callable[[list[Columns]], Read | None], mistakes: list[str]) -> Read | None:
    """What all files of a kind hold together; None when there are none."""
    tables = [(path.name, _table(path, mistakes)) for path in sorted(folder.glob(f"{kind}*.parquet"))]
    columns = [Columns(name, table, mistakes) for name, table in tables if table is not None]
    return of(columns) if columns else None


def _one(folder: Path, kind: str, needed: tuple[str, ...], mistakes: list[str]) -> pa.Table | None:
    path = folder / f"{kind}.parquet"
    table = _table(path, mistakes) if path.is_file() else None
    if table is not None:
        columns = Columns(path.name, table, mistakes)
        for name in needed:
            columns.lacks([name], f"every row of {kind} needs it")
    return table


def _table(path: Path, mistakes: list[str]) -> pa.Table | None:
    try:
        return pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        mistakes.append(f"{path.name}: it cannot be read as Parquet: {error}")
        return None


def _graph(path: Path, mistakes: list[str]) -> Mapping[str, Any] | None:
    if not path.is_file():
        return None
    try:
        graph = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        mistakes.append(f"{path.name}: it cannot be read as JSON: {error}")
        return None
    if not isinstance(graph, dict):
        mistakes.append(f"{path.name}: it should be an object with nodes and edges, it is {type(graph).__name__}")
        return None
    return graph
