"""Calls of services whose spans do not come here, from what a Collector's span_metrics connector counted of them.

    traces.span.metrics.calls     {service.name, span.name, span.kind, status.code, ...}  --> count, errors
    traces.span.metrics.duration  (ms or s, as its unit says)                              --> duration

into the families op, and edge and callee when a dimension says who was called. The connector's namespace may be
another one, so its metrics are known by their dimensions. `calls` counts; `duration` gives nothing but the histogram.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa

from paramedic.contract import attributes as contract
from paramedic_collector.columns.keys import MODELS, PEERS, SERVICE, STATUS_CODES, VERSION
from paramedic_collector.facts import KINDS
from paramedic_collector.metrics_points import SECONDS_OF, Point
from paramedic_collector.parts import Part
from paramedic_collector.tables import Tables
from paramedic_collector.windows import COUNTS, HISTOGRAM, SCALE

CALLS: Final = ("calls", "calls_total")
DURATIONS: Final = ("duration", "latency")
_OPERATIONS: Final = ("span.name", "operation")
_SECONDS: Final = frozenset((*SECONDS_OF, "s"))
_LONGEST_NAME: Final = 200
_EMPTY: Final = {"scale": SCALE, "zero": 0, "sum": 0.0, "index": [], "count": []}


def is_of_spans(point: Point) -> bool:
    """Whether a span_metrics connector made it."""
    last = point.metric.rpartition(".")[2]
    return last in CALLS + DURATIONS and "span.kind" in point.attributes and bool(_first(point.attributes, _OPERATIONS))


def service_of(point: Point) -> str:
    """The service whose spans were counted; the connector's own resource may be another."""
    return str(point.attributes.get(SERVICE) or point.source.service)


def fold_span_metrics(points: Iterable[Point], tables: Tables) -> list[Part]:
    """Windows of what came since the last points; one row a point, for the merge to add up."""
    rows: dict[str, list[tuple[int, tuple[str, ...], int, list[dict[str, Any]], Any]]] = {}
    for point in points:
        count, errors, duration = _calls(point)
        if count or duration is not None:
            for family, key in _series(point).items():
                rows.setdefault(family, []).append((point.ts, key, count, errors, duration or _EMPTY))
    return [_batch(family, found, tables) for family, found in rows.items()]


def _batch(
    family: str, rows: list[tuple[int, tuple[str, ...], int, list[dict[str, Any]], Any]], tables: Tables
) -> Part:
    ts, keys, counts, errors, durations = zip(*rows, strict=True)
    columns = {
        "count": pa.array(counts, pa.int64()),
        "errors": pa.array(errors, COUNTS),
        "duration": pa.array(durations, HISTOGRAM),
    }
    return Part(family, np.array(ts, np.int64), tables.series[family].intern(keys), columns)


def _calls(point: Point) -> tuple[int, list[dict[str, Any]], dict[str, Any] | None]:
    """How many calls, of them failed by type, and their durations."""
    if point.metric.endswith(CALLS):
        count = max(0, round(point.value or 0.0))
        error = _error(point.attributes)
        return count, [{"key": error, "count": count}] if error and count else [], None
    if point.distribution is None or point.unit not in _SECONDS:
        return 0, [], None
    return 0, [], point.distribution.sparse()


def _error(attributes: Mapping[str, Any]) -> str:
    named = str(attributes.get(contract.ERROR_TYPE) or "")
    if named:
        return named[:_LONGEST_NAME]
    if str(attributes.get("status.code")).upper().removeprefix("STATUS_CODE_") != "ERROR":
        return ""
    code = _first(attributes, STATUS_CODES)
    return code if len(code) == 3 and code[0] in "45" else "_OTHER"


def _series(point: Point) -> dict[str, tuple[str, ...]]:
    attributes, service = point.attributes, service_of(point)
    resource = point.source.attributes if point.source.service == service else {}
    operation = _first(attributes, _OPERATIONS)[:_LONGEST_NAME]
    kind = str(attributes["span.kind"]).lower().removeprefix("span_kind_")
    kind = kind if kind in KINDS else KINDS[0]
    peer = _first(attributes, PEERS) if kind == "client" else ""
    zone, version = (str(attributes.get(key) or resource.get(key) or "") for key in (contract.ZONE, VERSION))
    found: dict[str, tuple[str, ...]] = {
        "op": (service, operation, kind, peer, zone, _first(attributes, MODELS), version)
    }
    if peer:
        callee = (peer, str(attributes.get(contract.PEER_ZONE) or ""))
        found |= {"edge": (service, *callee), "callee": callee}
    return found


def _first(attributes: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return str(next((attributes[key] for key in keys if attributes.get(key)), ""))
