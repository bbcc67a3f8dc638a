"""A collector that comes back tells what its flight recorder holds: counted once, and never judged as news."""

from dataclasses import replace

import pytest
from desk_parts import Clock, Room, windows

from paramedic_collector.bus import InProcessBus
from paramedic_collector.windows import Resume, SeriesKey
from paramedic_detector.engine.engine import Engine
from paramedic_detector.engine.parts import Judges
from paramedic_detector.evidence import CATCH_UP_S
from paramedic_detector.main import Detector
from paramedic_detector.scores.scorer import Scorer
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.settings import Address, Settings
from paramedic_detector.store.incidents import case_of

T0 = 1_700_000_000
EDGE = SeriesKey("edge", ("support-bot", "aurora", ""))


def placed(ts, end, *, joined=0, segment="0001.frames", **options):
    batch = windows(ts, **options)
    return replace(batch, segment=segment, offsets=(end - 10, end), joined=(segment, joined))


def counted(table):
    return table.totals(EDGE, T0 - 10, T0 + 1000).count


def test_a_batch_that_comes_again_is_counted_once_also_after_a_restart():
    table = SeriesTable()
    table.add(placed(T0, 10))
    table.add(placed(T0, 10))
    assert counted(table) == 10
    table = SeriesTable.restore(table.checkpoint())
    table.add(placed(T0, 10))
    assert counted(table) == 10
    assert table.applied("c1") == Resume(("0001.frames", 10), ("0001.frames", 0))
    table.add(placed(T0 + 1, 20, joined=10))
    assert counted(table) == 20
    assert table.applied("c1") == Resume(("0001.frames", 20), ("0001.frames", 10))
    assert table.applied("another") is None


def test_batches_without_a_place_are_all_counted():
    """They come from a disk that refused, or from a collector without one."""
    table = SeriesTable()
    table.add(windows(T0))
    table.add(windows(T0))
    assert counted(table) == 20


def test_another_collector_is_another_recorder():
    table = SeriesTable()
    table.add(placed(T0, 10))
    table.add(replace(placed(T0, 10), collector="c2"))
    assert counted(table) == 20


def test_what_was_counted_is_told_by_the_next_detector_of_the_same_store(tmp_path):
    settings = Settings(data_dir=tmp_path, api=Address("localhost", 0))
    recorder = Room(tmp_path / "other.db", Clock()).recorder
    first = Detector(settings, InProcessBus(), recorder)
    assert first.applied("c1") is None
    first.engine.tick((placed(T0, 10),))
    first.engine.checkpoint()
    first.engine.tick((placed(T0 + 1, 20),))  # and it dies before the next checkpoint
    first.store.close()
    second = Detector(settings, InProcessBus(), recorder)
    assert second.applied("c1") == Resume(("0001.frames", 10), ("0001.frames", 0))
    second.store.close()


def test_nothing_is_judged_while_the_past_is_told(tmp_path):
    room = Room(tmp_path / "p.db", Clock())
    room.tick()
    rounds = room.scorer.rounds
    room.engine.tick((replace(windows(int(room.clock.now) - 60), replayed=True),))
    room.engine.tick()
    assert room.scorer.rounds == rounds
    room.tick()  # a live batch: the past is told
    assert room.scorer.rounds == rounds + 1


def test_a_collector_that_falls_silent_in_its_replay_is_not_waited_for(tmp_path):
    room = Room(tmp_path / "p.db", Clock())
    room.engine.tick((replace(windows(int(room.clock.now) - 60), replayed=True),))
    room.clock.sleep(CATCH_UP_S + 1)
    rounds = room.scorer.rounds
    room.engine.tick()
    assert room.scorer.rounds == rounds + 1


@pytest.mark.parametrize(("marked", "opens"), [(True, False), (False, True)])
def test_a_fault_that_is_over_is_no_news_when_it_is_replayed(tmp_path, marked, opens):
    """The decoy: the same batches without the mark open an incident, since half of the past looks like now."""
    room = Room(tmp_path / "p.db", Clock())
    old = room.parts.judges
    room.parts.judges = Judges(Scorer(), old.rules, old.grouper, old.diagnoser, old.policy, old.verdict)
    room.engine = Engine(room.parts, room.clock)
    room.tick(times=60)
    died = int(room.clock.now)
    room.clock.sleep(5)  # in which the collector did not fold what it took: bad calls, then good ones again
    past = [windows(died + at, hurt=8 * (at < 3), failing=8 * (at < 3)) for at in range(5)]
    past = [replace(batch, replayed=marked) for batch in past]
    room.engine.tick(tuple(past[:3]))
    room.engine.tick(tuple(past[3:]))
    room.tick(times=3)
    with room.store.reading() as session:
        assert (case_of(session, 1) is not None) == opens
