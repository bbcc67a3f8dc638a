"""Durable readers of the flight recorder: everything in order, once done never again, and retention waits for them."""

import threading
import time

import numpy as np
import pytest
from collector_kit import Clock
from hypothesis import given
from hypothesis import strategies as st

from paramedic_collector.otlp import Signal
from paramedic_collector.record import segments
from paramedic_collector.record.reader import Reader
from paramedic_collector.record.recorder import Limits, Recorder
from paramedic_collector.record.segments import Frame, next_segment

ALL = frozenset(Signal)


@pytest.fixture
def clock():
    return Clock(time.time())


def frame(number, signal=Signal.TRACES, size=50, at=0.0):
    return Frame(at, signal, np.empty(0, np.uint64), number.to_bytes(4, "big") + bytes(size))


def put(recorder, *numbers, signal=Signal.TRACES, size=50):
    for number in numbers:
        recorder.append(frame(number, signal, size, recorder._clock()))


def reader_of(recorder, name="traces to backend", limit_bytes=1 << 30, signals=ALL):
    return Reader(recorder, name, limit_bytes=limit_bytes, signals=signals)


def numbers(piece):
    return [int.from_bytes(one.body[:4], "big") for _, one in piece]


def read_all(reader, most_bytes=1 << 20):
    found = []
    while piece := reader.read(most_bytes, 0.0):
        found += piece
    return found


def test_a_new_reader_begins_at_the_end_and_then_gets_everything_in_order(tmp_path, clock):
    recorder = Recorder(tmp_path, Limits(segment_bytes=300), clock=clock)
    put(recorder, 1, 2)
    reader = reader_of(recorder)
    put(recorder, *range(3, 50))
    assert len(segments.segment_paths(tmp_path)) > 5
    assert numbers(read_all(reader, most_bytes=200)) == list(range(3, 50))
    assert reader.read(100, 0.0) == []


def test_after_a_restart_it_goes_on_behind_what_was_done(tmp_path, clock):
    recorder = Recorder(tmp_path, Limits(segment_bytes=300), clock=clock)
    reader = reader_of(recorder)
    put(recorder, *range(20))
    given = read_all(reader)
    reader.done(given[11][0])
    reader.close()
    recorder.close()
    again = Recorder(tmp_path, clock=clock)
    put(again, 20)
    assert numbers(read_all(reader_of(again))) == [*range(12, 21)]


def test_what_was_read_and_not_done_comes_again_after_a_kill(tmp_path, clock):
    recorder = Recorder(tmp_path, clock=clock)
    reader = reader_of(recorder)
    put(recorder, *range(5))
    read_all(reader)  # and no done, no close
    recorder.close()
    assert numbers(read_all(reader_of(Recorder(tmp_path, clock=clock)))) == [*range(5)]


def test_it_gets_its_signals_only_and_is_done_with_the_others(tmp_path, clock):
    recorder = Recorder(tmp_path, clock=clock)
    reader = reader_of(recorder, signals={Signal.LOGS})
    put(recorder, 1, 2)
    put(recorder, 3, signal=Signal.LOGS)
    put(recorder, 4, signal=Signal.METRICS)
    found = read_all(reader)
    assert numbers(found) == [3]
    assert reader.backlog_bytes > 0
    reader.done(found[-1][0])
    assert reader.backlog_bytes == 0


def test_a_reader_that_waits_is_woken_by_the_next_frame(tmp_path, clock):
    recorder = Recorder(tmp_path, clock=clock)
    reader, found = reader_of(recorder), []
    thread = threading.Thread(target=lambda: found.extend(reader.read(100, 30.0)))
    thread.start()
    put(recorder, 7)
    thread.join(20)
    assert numbers(found) == [7]


def test_frames_that_the_disk_refused_are_given_in_their_turn(tmp_path, clock):
    folder = tmp_path / "recorder"
    recorder = Recorder(folder, Limits(segment_s=5.0), clock=clock)
    reader = reader_of(recorder)
    put(recorder, 1)
    folder.rename(tmp_path / "away")
    folder.write_text("in the way")
    clock.now += 6  # a new segment is due, and cannot be made
    put(recorder, 2, 3)
    assert recorder.degraded
    folder.unlink()
    (tmp_path / "away").rename(folder)
    clock.now += 11
    put(recorder, 4)
    assert not recorder.degraded
    assert numbers(read_all(reader, most_bytes=1)) == [1, 2, 3, 4]


def test_retention_waits_for_a_reader_and_lets_go_when_it_is_done(tmp_path, clock):
    recorder = Recorder(tmp_path, Limits(age_s=60.0, segment_s=1.0), clock=clock)
    reader = reader_of(recorder)
    for number in range(5):
        put(recorder, number)
        clock.now += 10
    clock.now += 100
    recorder.sweep()
    found = read_all(reader)
    assert numbers(found) == [*range(5)]
    reader.done(found[-1][0])
    recorder.sweep()
    assert len(segments.segment_paths(tmp_path)) == 1  # the one that is open


def test_a_reader_that_is_too_far_behind_loses_the_oldest_frames_counted_and_said_once(tmp_path, clock, caplog):
    recorder = Recorder(tmp_path, Limits(age_s=60.0, segment_s=1.0), clock=clock)
    reader = reader_of(recorder, limit_bytes=250, signals={Signal.TRACES})
    for number in range(6):
        put(recorder, number)
        put(recorder, 100 + number, signal=Signal.LOGS)
        clock.now += 10
    clock.now += 100
    recorder.sweep()
    left = numbers(read_all(reader))
    assert left == [*range(6 - len(left), 6)]
    assert 0 < len(left) < 6
    assert reader.dropped_frames == 6 - len(left)
    recorder.sweep()
    assert caplog.text.count("is dropped, oldest first") == 1


def test_a_damaged_frame_is_skipped_and_the_ones_behind_it_are_given(tmp_path, clock):
    recorder = Recorder(tmp_path, clock=clock)
    reader = reader_of(recorder)
    put(recorder, 1, 2, 3)
    (path,) = segments.segment_paths(tmp_path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert numbers(read_all(reader)) == [1, 3]
    recorder.close()
    again = Recorder(tmp_path, clock=clock)
    assert again.torn_bytes == 0
    assert path.read_bytes() == data


@given(
    times=st.lists(st.floats(0, 2e9), min_size=1, max_size=50),
    count=st.sampled_from([1, 2, 99_998]),
)
def test_names_of_segments_sort_in_the_order_of_their_making_whatever_the_clock_does(times, count):
    names = [f"{int(times[0] * 1000):015d}-{count:05d}.frames"]
    for at in times:
        names.append(next_segment(at, names[-1]))
    assert names == sorted(set(names))
