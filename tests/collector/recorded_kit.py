"""Recorded data sets made by hand, and a naive reading of their spans to compare with."""

import random
from collections import Counter, defaultdict

import pyarrow as pa
import pyarrow.parquet as pq

from paramedic_collector.merge import merge_all
from paramedic_collector.recorded.dataset import read
from paramedic_collector.windows import KEYS

T0 = 1_700_000_000
NANO = 1_000_000_000
MS = 1_000_000
FAULTS = f"case,start,end,root_cause_service,fault_type\na,{T0 + 10},{T0 + 20},orders,slow\n"


def folder_of(tmp_path, faults=FAULTS, **tables):
    """A folder with `faults.csv` and a Parquet file for each table: its rows, or columns, or a table."""
    (tmp_path / "faults.csv").write_text(faults)
    for name, rows in tables.items():
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows)
        pq.write_table(table, tmp_path / f"{name}.parquet")
    return tmp_path


def recorded(tmp_path, **tables):
    return read(folder_of(tmp_path, **tables))


def span(trace=1, span=1, parent=-1, service="shop", name="GET /", kind="SERVER", at=0.0, ms=100, **more):
    """A span that begins `at` seconds after T0."""
    start = T0 * NANO + round(at * NANO)
    return {"trace_id": trace, "span_id": span, "parent_id": parent, "service": service, "name": name, "kind": kind,
            "start_unix_ns": start, "duration_ns": round(ms * MS), "status": "UNSET", **more}  # fmt: skip


def merged(batches, family):
    """All windows of a family as one table, or None."""
    tables = [batch.tables[family] for batch in batches if family in batch.tables]
    return merge_all(tables) if tables else None


def windows(batches, family):
    """The windows of a family by (ts, key)."""
    table = merged(batches, family)
    rows = [] if table is None else table.to_pylist()
    return {(row["ts"], *(row[key] for key in KEYS[family])): row for row in rows}


def random_traces(seed, traces=60, seconds=90, services=("shop", "orders", "stock", "mail")):
    """Traces of client and server spans down to depth 4, some children overlapping, late or sticking out."""
    dice = random.Random(seed)
    return [one for trace in range(1, traces + 1) for one in _trace(dice, trace, seconds, services)]


def _trace(dice, trace, seconds, services):
    numbers, spans = iter(range(100)), []

    def call(parent, service, kind, at, ms, depth):
        number = next(numbers)
        spans.append(span(trace, number, parent, service, f"op{depth}", kind, at, ms,
                          status=dice.choice(["OK", "UNSET", "ERROR"])))  # fmt: skip
        for _ in range(dice.randrange(3) if depth < 4 else 0):
            share = dice.random() * 1.2
            inner = (number, at + dice.random() * ms / 1000, ms * share + dice.choice([0, 0, 0, 1500]))
            if kind == "CLIENT":
                call(inner[0], dice.choice(services), "SERVER", at + ms / 4000, ms * dice.random(), depth + 1)
                break
            call(inner[0], service, dice.choice(["CLIENT", "INTERNAL"]), *inner[1:], depth + 1)

    call(-1, services[0], "SERVER", dice.random() * seconds, dice.choice([1, 50, 400, 3000]), 0)
    return spans


def naive_self_times(spans):
    """{(ts, service, name): (nanoseconds, calls)} of self-time: one interval after the other."""
    return _summed(spans, lambda one, children: one["duration_ns"] - _covered(one, children))


def naive_gaps(spans):
    """{(ts, caller, callee): (nanoseconds, calls)}: of clients' spans, less the duration of whom served them."""
    by_trace = _children(spans)
    out = defaultdict(lambda: [0, 0])
    for one in spans:
        served = [child for child in _in_time(one, by_trace) if child["kind"] == "SERVER"]
        if one["kind"] == "CLIENT" and served and served[-1]["service"] != one["service"]:
            gap = one["duration_ns"] - sum(child["duration_ns"] for child in served)
            _add(out, (_ts(one), one["service"], served[-1]["service"]), max(0, gap))
    return {key: tuple(value) for key, value in out.items()}


def naive_counts(spans):
    """{(ts, service, name, kind): (calls, errors)}"""
    calls = Counter((_ts(one), one["service"], one["name"], one["kind"].lower()) for one in spans)
    failed = Counter(
        (_ts(one), one["service"], one["name"], one["kind"].lower()) for one in spans if one["status"] == "ERROR"
    )
    return {key: (count, failed[key]) for key, count in calls.items()}


def _summed(spans, value):
    by_trace, out = _children(spans), defaultdict(lambda: [0, 0])
    for one in spans:
        _add(out, (_ts(one), one["service"], one["name"], one["kind"].lower()), value(one, _in_time(one, by_trace)))
    return {key: tuple(value) for key, value in out.items()}


def _add(out, key, value):
    out[key][0] += value
    out[key][1] += 1


def _children(spans):
    children = defaultdict(list)
    for one in spans:
        children[one["trace_id"], one["parent_id"]].append(one)
    return children


def _in_time(parent, children):
    """Children that ended in the parent's second, before it, or in the next one."""
    own = children[parent["trace_id"], parent["span_id"]]
    return [child for child in own if _ts(child) <= _ts(parent) + 1]


def _ts(one):
    return (one["start_unix_ns"] + one["duration_ns"]) // NANO


def _covered(parent, children):
    start, end = parent["start_unix_ns"], parent["start_unix_ns"] + parent["duration_ns"]
    covered, reached = 0, start
    for a, b in sorted((one["start_unix_ns"], one["start_unix_ns"] + one["duration_ns"]) for one in children):
        a, b = max(a, reached), min(b, end)
        covered, reached = covered + max(0, b - a), max(reached, b)
    return covered


def log(text="asked", at=0.0, trace="1", span="1", service="shop", severity="INFO", **more):
    """A line `at` seconds after T0."""
    return {"ts_unix_ns": T0 * NANO + round(at * NANO), "service": service, "trace_id": trace, "span_id": span,
            "severity": severity, "template": text, "body": f"{text} 1", **more}  # fmt: skip


def point(value, at=0, metric="cpu", pod="shop-1", service="shop"):
    return {"ts": T0 + at, "service": service, "pod": pod, "metric": metric, "value": value}


def random_logs(seed, lines=300, seconds=60):
    """Lines of a few spans, some without one, at moments of their own."""
    dice = random.Random(seed)
    return [
        log(dice.choice("abc"), at * seconds / lines, f"{dice.randrange(1, 9):032x}", f"{dice.randrange(1, 4):016x}",
            dice.choice(["shop", "orders"]), dice.choice(["INFO", "ERROR"]))
        for at in range(lines)
    ]  # fmt: skip
