"""Our histograms all the way: recorder, OpenTelemetry's reader, its exporter, HTTP, and what our collector reads."""

import itertools
import math
import random
import time

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from sdk_collector_stub import CollectorStub

from paramedic.telemetry.exporters import LinkedMetrics
from paramedic.telemetry.link import Link
from paramedic.telemetry.meters import add_counters
from paramedic.telemetry.reader import Reader
from paramedic.telemetry.recorder import Recorder
from paramedic_collector.decode import parse
from paramedic_collector.metrics import MetricFold, points_of
from paramedic_collector.otlp import Signal
from paramedic_collector.parts import whole
from paramedic_collector.tables import Tables


class Guard:
    key = name, peer, zone = "llm.primary", "aurora", "eu-1b"


class Call:
    useless_as = span = None
    first_token_s = 0.5
    said = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}  # noqa: RUF012


@pytest.fixture
def stub():
    stub = CollectorStub()
    yield stub
    stub.close()


@pytest.fixture
def pipeline(stub, clock):
    """The recorder, and the reader that sends its metrics when told to."""
    recorder = Recorder()
    exporter = LinkedMetrics(
        OTLPMetricExporter(endpoint=f"{stub.url}/v1/metrics", timeout=5), Link(stub.url, clock=clock)
    )
    reader = Reader(exporter, math.inf, recorder)
    resource = Resource({"service.name": "support-bot", "service.instance.id": "bot-1"})
    provider = MeterProvider([reader], resource, shutdown_on_exit=False)
    add_counters(provider.get_meter("paramedic"))
    yield recorder, reader
    provider.shutdown()


def read_by_the_collector(stub):
    """The rows of the gauge family, by metric."""
    tables = Tables(limit=100_000, keep_s=600.0, clock=time.monotonic)
    fold = MetricFold(tables)
    rows = {}
    for path, body in stub.bodies:
        assert path == "/v1/metrics"
        message = parse(Signal.METRICS, body).message
        parts = [one for one in fold.fold(points_of([message]), time.time()) if one.family == "gauge"]
        for row in whole(parts, tables).to_pylist() if parts else []:
            rows.setdefault(row["metric"], []).append(row)
    return rows


def test_every_call_arrives_once_and_in_the_right_bucket(pipeline, stub):
    recorder, reader = pipeline
    dice, sent = random.Random(7), []
    for _ in range(3):  # exports, each a delta of its own
        for _ in range(200):
            seconds = math.exp(dice.gauss(0, 1.5))
            sent.append(seconds)
            recorder.ended(Guard, Call, "worked", None, seconds)
        assert reader.force_flush()
    reader.force_flush()  # nothing new: no points
    points = [point for name, point, *_ in stub.histograms if name == "paramedic.call.duration"]
    assert [point.count for point in points] == [200, 200, 200]
    assert sum(point.sum for point in points) == pytest.approx(sum(sent))
    assert (min(p.min for p in points), max(p.max for p in points)) == (min(sent), max(sent))
    for before, after in itertools.pairwise(points):
        assert before.time_unix_nano == after.start_time_unix_nano
    (about, process) = next(told for name, _, *told in stub.histograms if name == "paramedic.call.duration")
    assert about["paramedic.guard"] == "llm.primary"
    assert process["service.instance.id"] == "bot-1"

    assert ("paramedic.dropped", "spans") in {(p[0], p[2].get("paramedic.dropped.what")) for p in stub.points}

    rows = read_by_the_collector(stub)
    shapes = [row["distribution"] for row in rows["paramedic.call.duration.count{llm.primary}"]]
    found = {}
    for shape in shapes:
        for index, count in zip(shape["index"], shape["count"], strict=True):
            at = index >> (shape["scale"] - 3)
            found[at] = found.get(at, 0) + count
    expected = {}
    for seconds in sent:
        at = math.ceil(math.log2(seconds) * 8) - 1
        expected[at] = expected.get(at, 0) + 1
    assert found == expected
    model = "gen_ai.client.operation.duration.count{openai/gpt-4o}"
    assert sum(row["sum"] for row in rows[model]) == len(sent)


def test_failed_calls_are_read_by_their_type_of_error(pipeline, stub):
    recorder, reader = pipeline
    for outcome, error_type in (("worked", None), ("failed", "503"), ("failed", "503"), ("failed", "timeout")):
        recorder.ended(Guard, Call, outcome, error_type, 1.0)
    reader.force_flush()
    rows = read_by_the_collector(stub)
    assert rows["paramedic.call.duration.errors{503}"][0]["sum"] == 2
    assert rows["paramedic.call.duration.errors{timeout}"][0]["sum"] == 1


def test_a_dead_collector_loses_what_was_recorded_meanwhile_and_is_asked_once_a_second(pipeline, stub, clock):
    recorder, reader = pipeline
    stub.status = 400
    for seconds in (1.0, 2.0, 4.0):  # the second export comes too early to be tried
        recorder.ended(Guard, Call, "worked", None, seconds)
        reader.force_flush()
        clock.now += 0.6
    assert len(stub.headers) == 2
    stub.status = 200
    clock.now += 1
    recorder.ended(Guard, Call, "worked", None, 8.0)
    reader.force_flush()
    assert [(p.count, p.sum) for name, p, *_ in stub.histograms if name == "paramedic.call.duration"] == [(1, 8.0)]


def test_at_the_end_one_failure_is_enough(clock):
    """Each try may take as long as an export may; there is no time for more."""
    link, tried = Link("nowhere", clock=clock), []
    assert link.send("spans", 1, lambda: True)
    link.closing = True
    for what in ("spans", "metrics", "events"):
        assert not link.send(what, 1, lambda what=what: tried.append(what))
    assert tried == ["spans"]


def test_at_the_end_a_signal_that_never_worked_does_not_keep_the_others(clock):
    """As with a backend that takes no logs."""
    link = Link("backend", clock=clock)
    assert not link.send("events", 1, lambda: False)
    link.closing = True
    assert not link.send("events", 1, lambda: True)
    assert link.send("spans", 1, lambda: True)


def test_feedback_and_money_arrive_as_counters(pipeline, stub):
    class Paid(Call):
        said = {**Call.said, "paramedic.cost": 0.25}  # noqa: RUF012

    recorder, reader = pipeline
    recorder.feedback("thumbs_down")
    recorder.feedback("thumbs_down")
    recorder.ended(Guard, Paid, "worked", None, 1.0)
    reader.force_flush()
    points = {name: (value, about) for name, value, about, _ in stub.points}
    assert points["paramedic.feedback"] == (2, {"paramedic.feedback.kind": "thumbs_down"})
    assert points["paramedic.cost"] == (0.25, {"gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"})
    rows = read_by_the_collector(stub)
    assert rows["paramedic.feedback{thumbs_down}"][0]["sum"] == 2
    assert rows["paramedic.cost{openai/gpt-4o}"][0]["sum"] == 0.25
