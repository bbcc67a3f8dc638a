"""The production engine in virtual time: what it opens, when it closes, and what it would have sent."""

import pyarrow as pa
import pytest

from paramedic_collector.windows import SCHEMAS, WindowBatch
from paramedic_detector.evaluate.virtual import GAP_S, VirtualDesk

START = 1_800_000_000
USERS = {"service": "shop", "operation": "GET /", "kind": "server", "peer": "", "zone": "", "model": "", "version": ""}


def row(family: str, ts: int, calls: int, failed: int, **keys: str) -> pa.RecordBatch:
    one = dict.fromkeys(SCHEMAS[family].names) | {"ts": ts, "count": calls, "probes": 0, "probe_errors": 0} | keys
    one |= {"errors": [{"key": "503", "count": failed}] if failed else [], "refused": [], "useless": []}
    one |= {"duration": {"scale": 3, "zero": 0, "sum": 0.05 * calls, "index": [-35], "count": [calls]}}
    return pa.RecordBatch.from_pylist([one], schema=SCHEMAS[family])


def second(at: int, failing: bool = False) -> WindowBatch:
    ts, failed = START + at, 6 if failing else 0
    tables = {
        "op": row("op", ts, 10, failed, **USERS),
        "edge": row("edge", ts, 10, failed, caller="shop", callee="stock", zone=""),
    }
    return WindowBatch(collector="c", sequence=at, watermark=ts + 1, tables=tables)


@pytest.fixture
def desk():
    with VirtualDesk(START) as desk:
        yield desk


def live(desk: VirtualDesk, seconds: range, failing: bool = False) -> None:
    for at in seconds:
        desk.advance(second(at, failing))


def test_a_fault_becomes_one_incident_that_ends(desk):
    live(desk, range(60))
    assert desk.incidents == {}
    live(desk, range(60, 80), failing=True)
    live(desk, range(80, 130))
    (incident,) = desk.incidents.values()
    assert START + 60 < incident.opened_at <= START + 64
    assert abs(incident.onset - (START + 60)) <= 1
    assert incident.diagnosis is not None
    assert incident.diagnosis.suspects[0].target.peer == "stock"
    assert incident.resolved_at is not None
    assert START + 80 < incident.resolved_at <= START + 120


def test_what_would_have_been_sent_is_counted_and_nothing_is_treated(desk):
    live(desk, range(60))
    live(desk, range(60, 150), failing=True)
    assert desk.notifications >= 1
    assert desk.raw_alerts >= 1
    assert {at for at, _, _ in desk.alerts_log} <= {float(START + at + 1) for at in range(60, 150)}
    assert desk.parts.hub.live() == {}


def test_hours_without_windows_are_no_hours_of_ticks(desk):
    live(desk, range(30))
    before = desk.engine.health().ticked_at
    ticks = []
    desk.engine.tick = lambda batches=(), tick=desk.engine.tick: ticks.append(desk.now) or tick(batches)
    desk.advance(second(86_400))
    assert before is not None
    assert len(ticks) <= GAP_S + 2
    assert desk.now == START + 86_401


def test_a_step_that_is_no_step_is_refused():
    with pytest.raises(ValueError, match="judge_every_s must be above 0 seconds, got 0"):
        VirtualDesk(START, judge_every_s=0)
