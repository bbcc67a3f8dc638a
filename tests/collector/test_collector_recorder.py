"""The flight recorder: what was appended is found again, after kill -9 and on a broken disk too."""

import os
import random
import resource
import signal as os_signal
import subprocess
import sys
import threading
import time
from functools import partial

import numpy as np
import pytest
from collector_kit import T0, Clock, Made, payload

from paramedic_collector.decode import parse
from paramedic_collector.otlp import Signal
from paramedic_collector.record import segments
from paramedic_collector.record.commit import Committer, Digests, RecorderClosed
from paramedic_collector.record.recorder import Limits, Recorder, RecorderBusy
from paramedic_collector.record.segments import Place


def frame_of(recorder, *spans):
    body = payload(*spans)
    return recorder.compress(parse(Signal.TRACES, body), body)


def keep(recorder, *spans):
    return recorder.append(frame_of(recorder, *spans))


def until(seen):
    ends = time.monotonic() + 20
    while not seen():
        assert time.monotonic() < ends
        time.sleep(0.001)


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


def test_an_append_returns_once_its_frame_is_on_disk_and_calls_back_in_the_order_of_places(tmp_path, clock):
    recorder, places, threads = Recorder(tmp_path, Limits(segment_bytes=3000), clock=clock), [], []
    for number in range(24):
        frames = [frame_of(recorder, span(number * 10 + one)) for one in range(10)]
        work = partial(lambda frames: [recorder.append(frame, places.append) for frame in frames], frames)
        threads.append(threading.Thread(target=work))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(places) == 240
    assert places == sorted(places, key=lambda place: (place.segment, place.start))
    whole = {(path.name, start, end) for path in segments.segment_paths(tmp_path) for start, end, _ in read(path)}
    assert whole == {(place.segment, place.start, place.end) for place in places}
    assert recorder.commits <= 240


def read(path):
    return segments.frames_in(path.read_bytes())


def test_frames_that_come_while_the_disk_is_busy_are_written_together():
    busy, kept = threading.Event(), []

    def keep(frames):
        kept.append(len(frames))
        busy.wait(20)
        return [Place("s", number, number + 1) for number in range(len(frames))]

    committer = Committer(keep, Digests())
    threads = [threading.Thread(target=committer.append, args=(blank(bytes([n])),)) for n in range(9)]
    threads[0].start()
    until(lambda: kept)
    for thread in threads[1:]:
        thread.start()
    until(lambda: len(committer._waiting) == 8)
    busy.set()
    for thread in threads:
        thread.join(20)
    committer.close()
    assert kept == [1, 8]


def test_a_request_that_comes_again_is_not_kept_again_and_is_answered_when_the_first_is_on_disk():
    on_disk, kept, answers = threading.Event(), [], []

    def keep(frames):
        on_disk.wait(20)
        kept.extend(frames)
        return [Place("s", 0, 1)]

    committer = Committer(keep, Digests())
    threads = [threading.Thread(target=lambda: answers.append(committer.append(blank(b"same")))) for _ in range(5)]
    for thread in threads:
        thread.start()
    until(lambda: committer.duplicates == 4)
    assert answers == []  # none is acknowledged before it is on disk
    on_disk.set()
    for thread in threads:
        thread.join(20)
    assert sorted(answers) == [False] * 4 + [True]
    assert not committer.append(blank(b"same"))
    committer.close()
    assert len(kept) == 1


def blank(digest):
    return segments.Frame(T0, Signal.TRACES, np.empty(0, np.uint64), b"body", digest.ljust(16, b"\0"))


def test_what_was_kept_before_a_restart_is_known_again_for_ten_minutes(tmp_path, clock):
    first = Recorder(tmp_path, clock=clock)
    assert keep(first, span(1))
    first.close()
    second = Recorder(tmp_path, clock=clock)
    assert not keep(second, span(1))
    assert keep(second, span(2))
    assert second.duplicates == 1
    second.close()
    clock.now += 601
    assert keep(Recorder(tmp_path, clock=clock), span(1))


def test_a_closed_recorder_says_so_and_keeps_nothing(tmp_path, clock):
    recorder = Recorder(tmp_path, clock=clock)
    frame = frame_of(recorder, span(1))
    recorder.close()
    with pytest.raises(RecorderClosed):
        recorder.append(frame)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "paramedic-test", folder], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a file system cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_costs_no_request_and_is_used_again_once_there_is_room(small_disk, clock, caplog):
    recorder = Recorder(small_disk / "recorder", Limits(segment_bytes=200_000, age_s=60.0), clock=clock)
    dice, sent = random.Random(5), 0
    while not recorder.degraded:
        sent += 1
        assert keep(recorder, Made(trace=trace(sent), attributes={"noise": dice.randbytes(20_000).hex()}))
    on_disk = {start for path in segments.segment_paths(recorder.folder) for start, _, _ in read(path)}
    assert recorder.degraded_frames == 1
    assert len(on_disk) > 5
    assert caplog.text.count("No space left on device") == 1
    assert keep(recorder, span(5000))
    clock.now += 61  # what is old goes, and there is room again
    recorder.sweep()
    assert keep(recorder, span(5001))
    assert not recorder.degraded
    found = recorder.traces([trace(sent).hex(), trace(5000).hex(), trace(5001).hex()])
    assert len(found) == 3
    recorder.close()
    again = Recorder(recorder.folder, clock=clock)
    assert again.torn_bytes == 0  # what was cut short by the full disk was cut off at once
    again.close()


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
