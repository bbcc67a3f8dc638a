"""The collector as a whole: from acknowledged payloads to window batches."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from datetime import date

from collector_kit import NANO, T0, Made, config_of, naive_windows, payload, plain_windows, random_spans, rows

from paramedic_collector.bus import InProcessBus
from paramedic_collector.config.load import parse
from paramedic_collector.config.model import Pipeline
from paramedic_collector.counters import LATE, OUT_OF_RANGE
from paramedic_collector.intake import Reply
from paramedic_collector.main import Collector
from paramedic_collector.merge import merge_all
from paramedic_collector.otlp import Signal
from paramedic_collector.prices import Price, Prices, Rates
from paramedic_collector.receive.addresses import Endpoint

QUIET = config_of()  # payloads are handed to the intake


def collected(folder, payloads, now, config=QUIET, **options):
    """Everything a collector gives out for payloads of one moment, and the collector, stopped."""
    bus = InProcessBus()
    collector = Collector(config, bus, folder, clock=lambda: now, **options)
    collector.start()
    for body in payloads:
        assert collector.intake.accept(Signal.TRACES, body, "test").reply is Reply.ACCEPTED
    collector.stop()
    return collector, list(bus.batches(0.1))


def test_all_batches_together_are_the_windows_of_all_spans(tmp_path):
    spans = random_spans(11, 300)
    bodies = [payload(*spans[at : at + 30]) for at in range(0, 300, 30)]
    _, batches = collected(tmp_path, bodies, T0 + 5.0)
    merged = merge_all([batch.tables["op"] for batch in batches if "op" in batch.tables])
    assert plain_windows("op", merged) == naive_windows("op", spans)


def test_batches_are_numbered_and_point_into_the_flight_recorder(tmp_path):
    _, batches = collected(tmp_path, [payload(Made())] * 3, T0 + 1.0)
    assert [batch.sequence for batch in batches] == list(range(1, len(batches) + 1))
    ranges = [(batch.segment, *batch.offsets) for batch in batches if batch.segment]
    assert len({segment for segment, _, _ in ranges}) == 1
    ends = [0, *(end for _, _, end in ranges)]
    assert [start for _, start, _ in ranges] == ends[:-1]  # one begins where the one before it ended
    assert ends[-1] == (tmp_path / "recorder" / ranges[0][0]).stat().st_size
    assert batches[-1].watermark == T0 - 1


def test_calls_that_do_not_say_what_they_cost_have_the_prices_that_it_was_given(tmp_path):
    own = Prices([Price(("openai",), "house-1", date.min, Rates(3.0, 5.0, 3.0, 3.0))])
    attributes = {
        "gen_ai.request.model": "house-1",
        "gen_ai.usage.input_tokens": 1_000_000,
        "gen_ai.usage.output_tokens": 1_000_000,
    }
    body = payload(Made(attributes=attributes))
    for name, prices, cost in (("own", own, 8.0), ("usual", None, 0.0)):
        _, batches = collected(tmp_path / name, [body], T0 + 5.0, prices=prices)
        tables = [batch.tables["op"] for batch in batches if "op" in batch.tables]
        assert sum(row["cost_usd"] for table in tables for row in table.to_pylist()) == cost


SAMPLED = """
receivers: {otlp: {protocols: {http: {endpoint: "localhost:0"}}}}
processors:
  filter: {trace_conditions: ['span.name == "filtered"']}
  tail_sampling:
    decision_wait: 10ms
    policies: [{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}]
exporters:
  file: {path: "PATH"}
service:
  pipelines:
    traces: {receivers: [otlp], processors: [filter, tail_sampling], exporters: [file]}
"""


def test_traces_that_must_be_kept_are_forwarded_whatever_samples_them(tmp_path):
    forwarded = tmp_path / "forwarded"
    collector = Collector(parse(SAMPLED.replace("PATH", str(forwarded)), {}), InProcessBus(), tmp_path)
    collector.start()
    try:
        collector.keep_traces(["02" * 16, "no trace id"])
        for name, trace in (("dropped", 1), ("kept", 2), ("filtered", 2)):
            body = payload(Made(name=name, trace=bytes([trace]) * 16, span=os.urandom(8)))
            assert collector.intake.accept(Signal.TRACES, body, "test").reply is Reply.ACCEPTED
        deadline = time.monotonic() + 20
        while not (forwarded.exists() and "kept" in forwarded.read_text()) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert "kept" in forwarded.read_text()
        assert "dropped" not in forwarded.read_text()
        shown = collector.counters
        for name in ("tail_sampling_decided_early", "tail_sampling_too_large", "filter_failed"):
            assert shown[f"paramedic_{name}"] == 0
    finally:
        collector.stop()


def test_late_spans_are_counted_and_still_given_out(tmp_path):
    bus = InProcessBus()
    now = [T0 + 10.0]
    collector = Collector(QUIET, bus, tmp_path, clock=lambda: now[0])
    collector.start()
    batches = []
    while not batches:
        batches += bus.batches(0.5)  # the watermark is out: T0 + 8
    collector.intake.accept(Signal.TRACES, payload(Made(), Made(start_ns=(T0 + 9) * NANO, span=b"\x09" * 8)), "test")
    collector.stop()
    batches += bus.batches(0.1)
    assert sum(batch.late for batch in batches) == 1
    assert collector.counters[LATE] == 1
    assert sum(row["count"] for row in rows(batches, "op")) == 2


def test_spans_of_a_wrong_clock_are_recorded_and_counted_but_in_no_window(tmp_path):
    strange = [Made(start_ns=0), Made(start_ns=(T0 + 9000) * NANO, span=b"\x09" * 8), Made(span=b"\x0a" * 8)]
    collector, batches = collected(tmp_path, [payload(*strange)], T0 + 1.0)
    assert sum(row["count"] for row in rows(batches, "op")) == 1
    assert collector.counters[OUT_OF_RANGE] == 2


def test_after_stop_senders_are_told_to_come_again(tmp_path):
    collector, _ = collected(tmp_path, [], T0)
    assert collector.intake.accept(Signal.TRACES, payload(Made()), "test").reply is Reply.CLOSING


def test_a_signal_that_goes_to_the_debug_exporter_only_makes_no_windows(tmp_path, caplog):
    caplog.set_level("INFO")
    config = config_of(windows=(), debug=(Signal.TRACES,))
    _, batches = collected(tmp_path, [payload(Made(), Made(span=b"\x09" * 8))], T0 + 1.0, config)
    assert not any(batch.tables for batch in batches)
    assert "traces: 2 spans" in caplog.text


def test_nothing_personal_reaches_the_disk_or_a_window(tmp_path):
    body = payload(Made(name="mail to ann@example.com", attributes={"to": "ann@example.com"}))
    collector, batches = collected(tmp_path, [body], T0 + 1.0)
    assert [row["operation"] for row in rows(batches, "op") if row["count"]] == ["mail to ***************"]
    with_disk = Collector(QUIET, InProcessBus(), tmp_path, clock=lambda: T0 + 1.0)
    ((span,),) = with_disk.recorder.traces([Made().trace.hex()]).values()
    assert span.attributes == {"to": "*" * len("ann@example.com")}
    with_disk.stop()
    assert collector.counters["paramedic_redacted_values"] == 2


class WithoutDecoys:
    """A processor as a pipeline has them: spans called "decoy" go no further."""

    name = "filter/test"

    def process(self, signal, request, now):
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                kept = [span for span in scope.spans if span.name != "decoy"]
                del scope.spans[:]
                scope.spans.extend(kept)
        return [request]

    def due(self, now):
        return []

    def alone(self):
        return self


class Broken(WithoutDecoys):
    def process(self, signal, request, now):
        if any(span.name == "bad" for span in request.resource_spans[0].scope_spans[0].spans):
            raise RuntimeError("on purpose")
        return [request]


def with_processor(processor):
    return replace(config_of(), pipelines=(Pipeline("traces", Signal.TRACES, (processor,), windows=True),))


def test_processors_change_what_is_counted_and_not_what_is_recorded(tmp_path):
    spans = Made(), Made(name="decoy", span=b"\x09" * 8)
    collector, batches = collected(tmp_path, [payload(*spans)], T0 + 1.0, with_processor(WithoutDecoys()))
    assert [row["operation"] for row in rows(batches, "op") if row["count"]] == ["llm.primary"]
    (recorded,) = collector.recorder.traces([Made().trace.hex()]).values()
    assert {span.name for span in recorded} == {"llm.primary", "decoy"}


def test_a_payload_that_a_processor_fails_on_takes_no_other_along(tmp_path):
    bodies = [payload(Made(name=name, trace=name.encode().ljust(16, b"t"))) for name in ("good", "bad", "also")]
    _, batches = collected(tmp_path, bodies, T0 + 1.0, with_processor(Broken()))
    assert {row["operation"] for row in rows(batches, "op") if row["count"]} == {"good", "also"}


def test_the_health_endpoint_speaks_as_the_collectors_health_check_does(tmp_path):
    config = replace(config_of(http=Endpoint("localhost", 0)), health=Endpoint("localhost", 0), health_path="/up")
    collector = Collector(config, InProcessBus(), tmp_path)
    collector.start()
    try:
        url = f"http://localhost:{collector.addresses['health'].port}/up"
        with urllib.request.urlopen(url, timeout=10) as answer:
            said = json.load(answer)
    finally:
        collector.stop()
    assert said["status"] == "Server available"
    assert said["upSince"].endswith("Z")
    assert said["uptime"].endswith("s")


def test_a_collector_keeps_its_name_when_the_host_gets_another(tmp_path, monkeypatch):
    first = Collector(config_of(), InProcessBus(), tmp_path)
    first.stop()
    monkeypatch.setattr("socket.gethostname", lambda: "another-host")
    second = Collector(config_of(), InProcessBus(), tmp_path)
    second.stop()
    assert second.name == first.name != "another-host"


CHILD = """
import sys, time
from pathlib import Path
from paramedic_collector.receive.addresses import Endpoint
from paramedic_collector.bus import InProcessBus
from paramedic_collector.config.model import CollectorConfig, Pipeline, Receiver, Server
from paramedic_collector.main import Collector
from paramedic_collector.otlp import Signal
receiver = Receiver("otlp", http=Server(Endpoint("localhost", 0), 20 << 20))
config = CollectorConfig((receiver,), tuple(Pipeline(one, one, windows=True) for one in Signal))
collector = Collector(config, InProcessBus(), Path(sys.argv[1]))
collector.start()
print(collector.addresses["http"].port, flush=True)
time.sleep(60)
"""


def test_what_was_acknowledged_before_kill_9_is_in_the_recorder_after_a_restart(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    port = int(child.stdout.readline())
    sent = [Made(trace=os.urandom(16), start_ns=time.time_ns()) for _ in range(30)]
    for made in sent:
        asked = urllib.request.Request(f"http://localhost:{port}/v1/traces", payload(made))
        asked.add_header("content-type", "application/x-protobuf")
        with urllib.request.urlopen(asked, timeout=10) as answer:
            assert answer.status == 200
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    collector = Collector(QUIET, InProcessBus(), tmp_path)
    found = collector.recorder.traces([made.trace.hex() for made in sent])
    collector.stop()
    assert set(found) == {made.trace.hex() for made in sent}
