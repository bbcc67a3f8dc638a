"""Windows by hand: one row for one second of one series, with only what a test cares about."""

from collections.abc import Iterable, Mapping

import pyarrow as pa
from judge_fleet import _row as empty_row
from judge_fleet import histogram

from paramedic_collector.windows import SCHEMAS, SeriesKey, WindowBatch

T0 = 1_700_000_000


def edge(caller: str = "bot", callee: str = "aurora", zone: str = "") -> SeriesKey:
    return SeriesKey("edge", (caller, callee, zone))


def op(service: str, kind: str = "server", *, peer: str = "", zone: str = "", model: str = "") -> SeriesKey:
    return SeriesKey("op", (service, "POST /chat" if kind == "server" else "call", kind, peer, zone, model, "1"))


def row(key: SeriesKey, ts: int, count: int = 0, *, seconds: float = 0.1, **values: object) -> dict[str, object]:
    """A row of a call family; `errors`, `refused` and `useless` are given as mappings."""
    for name in ("errors", "refused", "useless"):
        if isinstance(counts := values.get(name), Mapping):
            values[name] = [{"key": kind, "count": counts[kind]} for kind in sorted(counts)]
    durations = {"duration": histogram(*[seconds] * count)} if count else {}
    return {"family": key.family, **empty_row(key.family, key.parts), "ts": ts, "count": count, **durations, **values}


def batch(
    rows: Iterable[dict[str, object]], watermark: int, *, collector: str = "one", sequence: int = 0
) -> WindowBatch:
    by_family: dict[str, list[dict[str, object]]] = {}
    for one in rows:
        by_family.setdefault(str(one["family"]), []).append({k: v for k, v in one.items() if k != "family"})
    tables = {name: pa.RecordBatch.from_pylist(found, schema=SCHEMAS[name]) for name, found in by_family.items()}
    return WindowBatch(collector, sequence, watermark, tables)
