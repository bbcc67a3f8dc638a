"""What waits is bounded in bytes of memory, and the process as a whole too."""

import pytest
from collector_kit import Made, config_of, payload

from paramedic_collector.bus import InProcessBus
from paramedic_collector.counters import Counters
from paramedic_collector.decode import parse
from paramedic_collector.intake import Intake, Reply
from paramedic_collector.main import Collector
from paramedic_collector.memory import Memory, Shares, resident_bytes
from paramedic_collector.otlp import Signal
from paramedic_collector.record.recorder import Recorder
from paramedic_collector.redact import Redactor

MIB = 1 << 20


class Process:
    """One whose size a test sets."""

    def __init__(self, mib):
        self.mib, self.now = mib, 0.0

    def memory(self, limit_mib=500, spike_mib=0):
        return Memory(limit_mib * MIB, spike_mib * MIB, resident=lambda: self.mib * MIB, clock=lambda: self.now)


@pytest.fixture
def recorder(tmp_path):
    one = Recorder(tmp_path / "recorder", clock=lambda: 1_000.0)
    yield one
    one.close()


def intake_of(recorder, **options):
    return Intake(recorder, Redactor(), Counters(), **options)


def traces(number):
    return payload(*(Made(name=f"call {number}", span=bytes([number, one] * 4)) for one in range(1, 9)))


def test_what_is_left_below_the_soft_limit_is_shared_out():
    assert Process(100).memory().shares() == Shares(150 * MIB, 100 * MIB, 50 * MIB)


def test_the_spike_says_how_far_below_the_limit_the_soft_limit_is():
    assert Process(100).memory(spike_mib=250).shares() == Shares(75 * MIB, 50 * MIB, 25 * MIB)


def test_a_limit_below_what_the_process_needs_at_all_is_one_clear_line(caplog):
    assert Process(390).memory().shares().queue == 500 * MIB // 16
    assert caplog.messages == [
        "memory_limiter.limit_mib is 500, and the process takes up 390 MiB before any telemetry comes: "
        "raise it to at least 578, or senders are told to come again most of the time"
    ]
    caplog.clear()
    assert Process(390).memory(limit_mib=578).shares().queue > 0
    assert caplog.messages == []


def test_a_process_above_the_soft_limit_is_full_until_it_is_below_again():
    process = Process(400)
    memory = process.memory()
    assert memory.why_full() == ""
    process.mib, process.now = 401, 0.2
    assert memory.why_full() == "the process takes up 401 MiB, the soft limit is 400 MiB"
    process.mib, process.now = 400, 0.4
    assert memory.why_full() == ""


def test_the_size_of_this_process_is_known():
    assert 10 * MIB < resident_bytes() < 100_000 * MIB


def test_the_queue_counts_all_that_waits_with_a_payload(recorder):
    intake = intake_of(recorder, limit_bytes=MIB)
    body = traces(1)
    assert intake.accept(Signal.TRACES, body, "test").reply is Reply.ACCEPTED
    parsed = parse(Signal.TRACES, body)
    columns = parsed.rows.nbytes + parsed.resources.nbytes + parsed.trace_keys.nbytes
    assert intake.queued_bytes > len(body) + columns
    taken = intake.drain(0.0)
    assert intake.queued_bytes == sum(one.held_bytes for one in taken) > 0  # it is being folded
    assert intake.drain(0.0) == []
    assert intake.queued_bytes == 0


@pytest.mark.parametrize("body", [b"", b"no protobuf"])
def test_what_does_not_wait_holds_nothing(recorder, body):
    intake = intake_of(recorder, limit_bytes=MIB)
    intake.accept(Signal.TRACES, body, "test")
    assert intake.queued_bytes == 0


def test_a_request_that_came_again_holds_nothing_more(recorder):
    intake = intake_of(recorder, limit_bytes=MIB)
    intake.accept(Signal.TRACES, traces(1), "test")
    held = intake.queued_bytes
    assert intake.accept(Signal.TRACES, traces(1), "test").reply is Reply.ACCEPTED
    assert intake.queued_bytes == held


def test_a_full_memory_refuses_but_leaves_a_part_of_the_queue_open(recorder):
    """The memory may be full of something else: with nothing taken in, nothing would ever be folded."""
    intake = intake_of(recorder, limit_bytes=100_000, memory_full=lambda: "the process takes up too much")
    answers = []
    for number in range(1, 60):
        answers.append(intake.accept(Signal.TRACES, traces(number), "test"))
        if answers[-1].reply is Reply.NO_ROOM:
            break
    assert answers[0].reply is Reply.ACCEPTED
    assert answers[-1].why == "the process takes up too much"
    assert 25_000 < intake.queued_bytes < 50_000
    intake.drain(0.0)
    intake.drain(0.0)
    assert intake.accept(Signal.TRACES, traces(60), "test").reply is Reply.ACCEPTED


def test_a_started_collector_takes_no_more_than_its_limit_leaves(tmp_path):
    collector = Collector(config_of(memory_bytes=100_000 * MIB), InProcessBus(), tmp_path)
    collector.start()
    try:
        assert 10_000 * MIB < collector.counters["otelcol_exporter_queue_capacity"] < 40_000 * MIB
        assert collector.counters["otelcol_process_memory_rss"] > 10 * MIB
    finally:
        collector.stop()
