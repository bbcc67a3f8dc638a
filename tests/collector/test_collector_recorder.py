"""The flight recorder: what was appended is found again, after kill -9 and on a broken disk too."""

import os
import random
import resource
import signal as os_signal
import subprocess
import sys
import time

import pytest
from collector_kit import Clock, Made, payload

from paramedic_collector.decode import parse
from paramedic_collector.otlp import Signal
from paramedic_collector.record import segments
from paramedic_collector.record.recorder import Limits, Recorder, RecorderBusy


def keep(recorder, *spans):
    body = payload(*spans)
    return recorder.append(recorder.compress(parse(Signal.TRACES, body), body))


def trace(number):
    return random.Random(number).randbytes(16)


def span(number, name="chat"):
    return Made(name=name, trace=trace(number), span=number.to_bytes(8, "big"))


@pytest.fixture
def clock():
    """Now, since files carry the system's time."""
    return Clock(time.time())


def test_a_trace_is_found_whole_across_payloads_and_nothing_else_comes_along(tmp_path, clock):
    recorder = Recorder(tmp_path, clock=clock)
    for number in range(300):
        keep(recorder, span(number), Made(trace=trace(7), span=(1000 + number).to_bytes(8, "big"), start_ns=number))
    found = recorder.traces([trace(7).hex(), "ff" * 16, "nonsense"])
    assert list(found) == [trace(7).hex()]
    assert len(found[trace(7).hex()]) == 301
    starts = [one.start_unix_ns for one in found[trace(7).hex()]]
    assert starts == sorted(starts)


def test_a_span_reads_back_as_it_was_sent(tmp_path, clock):
    recorder = Recorder(tmp_path, clock=clock)
    sent = Made(parent=b"\x05" * 8, failed=True, attributes={"error.type": "503", "n": 3, "x": 1.5, "ok": True},
                resource={"service.instance.id": "bot-1"})  # fmt: skip
    keep(recorder, sent)
    ((got,),) = recorder.traces([sent.trace.hex()]).values()
    assert (got.trace_id, got.span_id, got.parent_id) == (sent.trace.hex(), sent.span.hex(), "05" * 8)
    assert (got.service, got.instance, got.name, got.kind) == ("support-bot", "bot-1", "llm.primary", "client")
    assert (got.start_unix_ns, got.duration_ns, got.status, got.error_type) == (
        sent.start_ns, sent.duration_ns, "error", "503")  # fmt: skip
    assert got.attributes == {"error.type": "503", "n": 3, "x": 1.5, "ok": True}


def test_a_restart_finds_what_was_there(tmp_path, clock):
    first = Recorder(tmp_path, clock=clock)
    keep(first, span(1))
    first.close()
    second = Recorder(tmp_path, clock=clock)
    keep(second, span(2))
    assert set(second.traces([trace(1).hex(), trace(2).hex()])) == {trace(1).hex(), trace(2).hex()}


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_last_record_is_skipped_and_counted(tmp_path, clock, cut):
    recorder = Recorder(tmp_path, clock=clock)
    keep(recorder, span(1))
    keep(recorder, span(2))
    recorder.close()
    (path,) = segments.segment_paths(tmp_path)
    os.truncate(path, path.stat().st_size - cut)
    again = Recorder(tmp_path, clock=clock)
    assert list(again.traces([trace(1).hex(), trace(2).hex()])) == [trace(1).hex()]
    assert again.torn_bytes > 0


def test_a_flipped_bit_is_never_given_out(tmp_path, clock):
    recorder = Recorder(tmp_path, clock=clock)
    keep(recorder, span(1))
    (path,) = segments.segment_paths(tmp_path)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    assert recorder.traces([trace(1).hex()]) == {}


def test_segments_roll_and_old_ones_go_by_bytes(tmp_path, clock):
    limits = Limits(segment_bytes=2_000, total_bytes=10_000)
    recorder = Recorder(tmp_path, limits, clock=clock)
    for number in range(100):
        keep(recorder, *(span(number * 10 + n) for n in range(10)))
    recorder.sweep()
    sizes = [path.stat().st_size for path in segments.segment_paths(tmp_path)]
    assert len(sizes) > 1
    assert sum(sizes) <= 10_000
    assert recorder.traces([trace(0).hex()]) == {}
    assert recorder.traces([trace(999).hex()])


def test_old_segments_go_by_age(tmp_path, clock):
    recorder = Recorder(tmp_path, Limits(age_s=60.0, segment_s=5.0), clock=clock)
    keep(recorder, span(1))
    clock.now += 10
    keep(recorder, span(2))
    clock.now += 100
    recorder.sweep()
    assert len(segments.segment_paths(tmp_path)) == 1  # the one that is open
    assert recorder.traces([trace(1).hex()]) == {}


def test_a_disk_that_refuses_degrades_to_memory_and_says_so(tmp_path, clock, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    recorder = Recorder(blocked / "recorder", clock=clock)
    keep(recorder, span(1))
    assert recorder.degraded
    assert recorder.degraded_frames == 1
    assert list(recorder.traces([trace(1).hex()])) == [trace(1).hex()]
    assert "cannot be written" in caplog.text
    assert str(blocked) in caplog.text


def test_it_goes_back_to_the_disk_when_that_takes_writes_again(tmp_path, clock):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    recorder = Recorder(blocked / "recorder", clock=clock)
    keep(recorder, span(1))
    blocked.unlink()
    clock.now += 11
    keep(recorder, span(2))
    assert not recorder.degraded
    assert len(recorder.traces([trace(1).hex(), trace(2).hex()])) == 2


def test_a_disk_that_fills_up_in_the_middle_of_a_frame_degrades_to_memory(tmp_path, clock):
    """A limit on the size of files stands for a full disk: the write that crosses it is cut short."""
    recorder = Recorder(tmp_path, clock=clock)
    keep(recorder, *(span(n) for n in range(1, 10)))
    (path,) = segments.segment_paths(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 50, before[1]))
    try:
        keep(recorder, span(20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert recorder.degraded
    clock.now += 11
    keep(recorder, span(30))
    assert not recorder.degraded
    assert len(recorder.traces([trace(number).hex() for number in (1, 20, 30)])) == 3


def test_two_collectors_cannot_record_to_one_folder(tmp_path, clock):
    first = Recorder(tmp_path, clock=clock)
    with pytest.raises(RecorderBusy, match="PARAMEDIC_DATA_DIR"):
        Recorder(tmp_path, clock=clock)
    first.close()
    Recorder(tmp_path, clock=clock).close()


CHILD = """
import sys, time
from pathlib import Path
from paramedic_collector.decode import parse
from paramedic_collector.otlp import Signal
from paramedic_collector.record.recorder import Recorder
folder, body = Path(sys.argv[1]), bytes.fromhex(sys.argv[2])
recorder = Recorder(folder, clock=time.time)
for number in range(1, 1_000_000):
    mine = body.replace(b"T" * 16, number.to_bytes(16, "big"))
    recorder.append(recorder.compress(parse(Signal.TRACES, mine), mine))
    print(number, flush=True)
"""


def test_kill_9_in_the_middle_of_writing_loses_nothing_that_was_appended(tmp_path, clock):
    body = payload(*(Made(trace=b"T" * 16, span=n.to_bytes(8, "big")) for n in range(1, 40)))
    command = [sys.executable, "-c", CHILD, str(tmp_path), body.hex()]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    appended = [int(child.stdout.readline()) for _ in range(60)]
    child.send_signal(os_signal.SIGKILL)
    appended += [int(line) for line in child.stdout.read().split("\n")[:-1]]
    child.wait()
    child.stdout.close()
    recorder = Recorder(tmp_path, clock=clock)
    wanted = [number.to_bytes(16, "big").hex() for number in appended]
    found = recorder.traces(wanted)
    assert set(wanted) <= set(found)
    assert {len(spans) for spans in found.values()} == {39}
