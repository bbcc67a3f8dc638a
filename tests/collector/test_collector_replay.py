"""A collector that died and came back: wherever its consumer's checkpoint was, everything is counted once."""

import random
import time
from dataclasses import dataclass, field

import pytest
from collector_kit import NANO, T0, Clock, Made, config_of, pairs, payload, rows
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from paramedic_collector.bus import InProcessBus
from paramedic_collector.config.model import Pipeline
from paramedic_collector.counted import Counted
from paramedic_collector.counters import Counters
from paramedic_collector.decode import parse
from paramedic_collector.intake import Reply, Taken
from paramedic_collector.join import Join
from paramedic_collector.main import Collector
from paramedic_collector.merge import merge_all
from paramedic_collector.otlp import Signal
from paramedic_collector.record import segments
from paramedic_collector.record.recorder import Limits, Recorder
from paramedic_collector.record.replay import Past, Replay
from paramedic_collector.tables import Tables
from paramedic_collector.windower import Windower
from paramedic_collector.windows import Resume, WindowBatch

STEP_S = 0.4
PIPELINES = tuple(Pipeline(signal, signal, windows=True) for signal in Signal)


def new_windower():
    counters, tables = Counters(), Tables(limit=1000, keep_s=600.0, clock=Clock())
    return Windower("one", tables, Join(tables, wait_s=1.0), counters, wait_s=1.0), counters


def running_total(number, at):
    """A counter that only grows; what matters is by how much."""
    message = ExportMetricsServiceRequest()
    resource = message.resource_metrics.add()
    resource.resource.attributes.extend(pairs({"service.name": "support-bot", "service.instance.id": "1"}))
    metric = resource.scope_metrics.add().metrics.add(name="tickets")
    metric.sum.aggregation_temporality, metric.sum.is_monotonic = 2, True
    metric.sum.data_points.add(time_unix_nano=int(at * NANO), as_int=number * number, start_time_unix_nano=T0 * NANO)
    return message.SerializeToString()


def line(text, trace, span, at):
    """A line of a log, of a span."""
    message = ExportLogsServiceRequest()
    resource = message.resource_logs.add()
    resource.resource.attributes.extend(pairs({"service.name": "orders"}))
    record = resource.scope_logs.add().log_records.add(time_unix_nano=int(at * NANO), trace_id=trace, span_id=span)
    record.body.string_value = text
    return message.SerializeToString()


def story(seed, seconds=14):
    """(when, signal, payload): children come before their parent, from another service, lines, and totals."""
    dice, told = random.Random(seed), []
    for number in range(int(seconds / STEP_S)):
        at = T0 + number * STEP_S
        trace, asks, start = dice.randbytes(16), dice.randbytes(8), int(at * NANO)
        outer, inner = dice.randrange(10**8, 9 * 10**8), dice.randrange(10**7, 10**8)
        serves = Made("orders", "serve", "server", trace, dice.randbytes(8), asks, start + 1000, inner)
        calls = Made("support-bot", "ask", "client", trace, asks, b"", start, outer, attributes={"peer.service": "o"})
        told.append((at, Signal.TRACES, payload(serves)))
        told.append((at + dice.choice([0.0, STEP_S, 3 * STEP_S]), Signal.TRACES, payload(calls)))
        for text, later in (("asked", 0), ("looked up", dice.choice([1, 2, 5]))):
            came = at + later * STEP_S
            told.append((came, Signal.LOGS, line(text, trace, asks, came)))
        if number % 4 == 0:
            told.append((at, Signal.METRICS, running_total(number, at)))
    return sorted(told, key=lambda one: one[0])


@dataclass
class Life:
    """One run of recorder and windower over a story; `batches` is what its consumer got."""

    folder: object
    told: list
    batches: list[WindowBatch] = field(default_factory=list)
    ends_at: float = 0.0

    def live(self):
        clock = Clock()
        recorder = Recorder(self.folder, Limits(segment_s=3.0), clock=clock)
        windower, _ = new_windower()
        for clock.now, signal, body in self.told:
            parsed, taken = parse(signal, body), []
            frame = recorder.compress(parsed, body)
            recorder.append(frame, lambda place, p=parsed, f=frame, t=taken: t.append(Taken(p, place, 0, f)))
            self.batches += windower.take(taken, clock.now) + windower.give(clock.now)
        self.past = recorder.committed.segments()
        recorder.close()
        self.ends_at = clock.now
        self.rest = windower.give(clock.now + 60)
        return self


def after(batches):
    resume = None
    for batch in batches:
        resume = (resume or Resume()).after(batch)
    return resume


def replayed(life, resume, *, go_on=lambda: True, since=0.0):
    windower, counters = new_windower()
    windower.resume(resume or Resume())
    past = Past(life.folder, life.past, resume, since=since, refill_s=300.0, join_s=120.0)
    given = []
    replay = Replay(past, windower, Counted(PIPELINES).of_frame, given.append, life.ends_at + 5)
    whole = replay.run(go_on)
    last = windower.give(life.ends_at + 60) if whole else []
    assert counters.as_dict()["paramedic_fold_failures"] == 0
    return given, last


def everything(batches, family):
    found = [batch.tables[family] for batch in batches if family in batch.tables]
    return merge_all(found).to_pylist()


@pytest.fixture(scope="module")
def life(tmp_path_factory):
    life = Life(tmp_path_factory.mktemp("recorder"), story(7)).live()
    assert len(segments.segment_paths(life.folder)) > 3
    return life


def test_wherever_the_checkpoint_was_everything_is_counted_once(life):
    families = ("op", "edge", "callee", "gauge", "log", "flow")
    oracle = {family: everything(life.batches + life.rest, family) for family in families}
    assert sum(row["count"] for row in oracle["op"]) == 70
    assert all(row["self_time"] for row in oracle["op"])
    assert sum(row["count"] for row in oracle["flow"]) == sum(row["count"] for row in oracle["log"]) == 70
    assert {(row["template"], row["next"]) for row in oracle["flow"]} == {("asked", "looked up"), ("looked up", "")}
    for cut in random.Random(1).sample(range(1, len(life.batches) + 1), 8):
        kept = life.batches[:cut]
        given, last = replayed(life, after(kept))
        for family, rows_ in oracle.items():
            assert everything(kept + given + last, family) == rows_, (cut, family)


def test_a_consumer_that_knows_nothing_gets_what_is_not_too_old(life):
    given, last = replayed(life, None, since=T0 + 6.0)
    counted = sum(row["count"] for row in rows(given + last, "op"))
    assert counted == sum(at >= T0 + 6.0 and signal is Signal.TRACES for at, signal, _ in life.told)
    assert counted < 70


def test_batches_of_the_past_say_so_and_their_watermark_follows_the_past(life):
    given, last = replayed(life, None)
    assert given
    assert all(batch.replayed for batch in given)
    assert not any(batch.replayed for batch in last)
    marks = [batch.watermark for batch in given]
    assert marks == sorted(marks)
    assert marks[0] < T0 + 3
    assert marks[-1] <= life.ends_at
    assert len(given) < 14  # few, so that no bus overflows


def test_a_replay_that_is_stopped_says_that_it_did_not_come_to_its_end(life):
    asked = iter([True] * 10)
    given, last = replayed(life, None, go_on=lambda: next(asked, False))
    assert last == []
    assert sum(row["count"] for row in rows(given, "op")) < 70


def test_what_was_applied_is_known_again():
    first = WindowBatch("one", 1, T0, {}, "a", (0, 10), joined=("a", 5))
    later = WindowBatch("one", 2, T0, {}, "a", (10, 30), joined=("a", 10))
    joined_only = WindowBatch("one", 3, T0, {}, "", (0, 0), joined=("a", 30))
    in_memory = WindowBatch("one", 4, T0, {}, "", (0, 1), joined=("a", 30))
    known = Resume().after(first).after(later)
    assert known == Resume(("a", 30), ("a", 10))
    assert known.has(first)
    assert known.has(later)
    assert not known.has(joined_only)
    assert known.after(joined_only).has(joined_only)
    assert not known.after(joined_only).has(in_memory)
    assert not known.has(WindowBatch("one", 1, T0, {}, "b", (0, 1)))


def live_collector(folder, bus, resume):
    return Collector(config_of(), bus, folder, name="one", resume=resume)


def test_a_collector_takes_up_what_its_consumer_did_not_get_while_it_accepts_more(tmp_path):
    bus = InProcessBus()
    first = live_collector(tmp_path, bus, None)
    first.start()
    now = time.time_ns()
    for number in range(20):
        assert accepted(first, Made(trace=random.Random(number).randbytes(16), start_ns=now, duration_ns=10**6))
    first.stop()
    got = list(bus.batches(0.1))[:1]  # the rest is lost with the consumer

    bus = InProcessBus()
    second = live_collector(tmp_path, bus, after(got))
    second.start()
    assert accepted(second, Made(trace=b"\x77" * 16, start_ns=now, duration_ns=10**6))
    assert accepted(second, Made(trace=random.Random(3).randbytes(16), start_ns=now, duration_ns=10**6))  # a repeat
    ends = time.monotonic() + 30
    while sum(sum(row["self_time"]["count"]) for row in rows(got, "op") if row["self_time"]) < 21:
        assert time.monotonic() < ends
        got += bus.batches(0.5)
    second.stop()
    got += bus.batches(0.1)
    assert sum(row["count"] for row in rows(got, "op")) == 21
    assert second.counters["paramedic_duplicate_requests"] == 1


def accepted(collector, made):
    return collector.intake.accept(Signal.TRACES, payload(made), "test").reply is Reply.ACCEPTED
