"""Incidents in the store: idle rounds, merging and splitting, deploys before them, and what is learned of them."""

from dataclasses import replace

import pytest
from desk_parts import START, Clock, Room, alert, rows, windows

from paramedic_collector.windows import WindowBatch
from paramedic_detector.api.schemas import Merge, Split
from paramedic_detector.desk import Conflict, Unknown
from paramedic_detector.incidents.pause import LEAST, class_of
from paramedic_detector.store import context
from paramedic_detector.store.incidents import number_of, save_alerts
from paramedic_detector.store.tables import IncidentRow
from paramedic_detector.values import Mode, Reason, Signal


@pytest.fixture
def room(tmp_path):
    room = Room(tmp_path / "p.db", Clock())
    room.policy.mode, room.policy.reason = Mode.TELL, Reason.NOT_SURE
    room.tick(times=3)
    return room


class Counted:
    """Counts how often a store is opened."""

    def __init__(self, room: Room) -> None:
        self.times, self._reading, self._writing = 0, room.store.reading, room.store.writing
        room.store.reading, room.store.writing = self._read, self._write

    def _read(self):
        self.times += 1
        return self._reading()

    def _write(self, **options):
        self.times += 1
        return self._writing(**options)


def test_a_round_in_which_nothing_happened_touches_no_store(room):
    room.tick()
    counted = Counted(room)
    room.tick(times=20)
    assert counted.times == 0
    room.fault()
    room.tick()
    assert counted.times > 0
    assert room.case().incident.state == "open"


def test_what_a_person_writes_is_seen_by_the_next_round(room):
    room.fault()
    room.tick()
    room.heal()
    room.tick(seconds=3, times=10)
    counted = Counted(room)
    room.tick(times=3)
    assert counted.times == 0
    room.desk.stop(True, "maya")
    room.tick()
    assert counted.times > 1


def test_a_version_that_appears_stands_with_the_incident_that_follows(room):
    room.tick(seconds=2, times=40)
    ts = int(room.clock.now)
    op = [("support-bot", "chat", "server", "", "eu-1a", "", version, 5, 0) for version in ("1.0", "1.1")]
    for second, kept in ((0, op[:1]), (1, op[:1]), (70, op)):
        room.clock.sleep(second)
        batch = WindowBatch("c1", ts + second, ts + second + 1, {"op": rows("op", ts + second, kept)})
        room.engine.tick((batch,))
    room.fault()
    room.tick()
    (change,) = room.case().incident.changes
    assert (change["kind"], change["service"], change["version"]) == ("deploy", "support-bot", "1.1")
    assert "Changed before it: support-bot runs version 1.1, before it 1.0." in room.story()


def two_incidents(room: Room) -> None:
    room.fault(alert(room.clock.now), alert(room.clock.now, callee="orders"))
    room.tick()
    assert [room.case(n).incident.state for n in (1, 2)] == ["open", "open"]


def test_a_person_merges_two_incidents_and_they_stay_one(room):
    two_incidents(room)
    version = room.case(2).incident.version
    assert room.desk.merge(2, 1, Merge(version=version, by="maya", into="INC-1")) == 1
    gone, home = room.case(2).incident, room.case(1)
    assert (gone.state, gone.merged_into) == ("resolved", 1)
    assert len(home.alerts) == 2
    room.tick(times=4)
    assert [room.case(n).incident.state for n in (1, 2)] == ["open", "resolved"]
    assert "Merged by maya into INC-1: one cause." in room.story(2)
    assert "INC-2 was merged by maya into this one: one cause." in room.story(1)


def test_merging_takes_back_what_was_done_for_the_one_that_goes(room):
    room.policy.mode, room.policy.reason = Mode.ASK, Reason.NEEDS_APPROVAL
    two_incidents(room)
    room.tick()
    waiting = [action.state for action in room.case(2).actions]
    assert waiting == ["proposed"]
    room.desk.merge(2, 1, Merge(version=room.case(2).incident.version, by="maya", into="INC-1"))
    assert room.states(2) == ["rejected"]


def test_what_cannot_be_merged_is_told(room):
    two_incidents(room)
    version = room.case(1).incident.version
    with pytest.raises(Conflict, match="into itself"):
        room.desk.merge(1, 1, Merge(version=version, by="maya", into="INC-1"))
    with pytest.raises(Unknown, match="INC-9"):
        room.desk.merge(1, 9, Merge(version=version, by="maya", into="INC-9"))
    with pytest.raises(Conflict, match="has changed"):
        room.desk.merge(1, 2, Merge(version=version + 5, by="maya", into="INC-2"))


def test_a_person_splits_an_incident_and_its_alerts_go_on_apart(room):
    other = replace(alert(room.clock.now, callee="orders"), explanation="orders fail")
    room.fault(alert(room.clock.now), other)
    room.tick()
    room.desk.merge(2, 1, Merge(version=room.case(2).incident.version, by="maya", into="INC-1"))
    version = room.case(1).incident.version
    number = room.desk.split(1, Split(version=version, by="ben", series=["edge:support-bot/orders/"]))
    fresh = room.case(number)
    assert (fresh.incident.state, [row.explanation for row in fresh.alerts]) == ("open", ["orders fail"])
    room.tick(times=4)
    assert room.case(number).incident.state == "open", "what a person took apart is not merged again"
    assert {row.parts[1] for row in room.case(1).alerts} == {"aurora"}
    with pytest.raises(Conflict, match="not all"):
        room.desk.split(1, Split(version=room.case(1).incident.version, by="ben", series=["edge:support-bot/aurora/"]))


def test_an_incident_that_shows_the_same_cause_is_merged_by_itself(room):
    """Two weak links are seen apart before a third shows whose they are."""
    room.fault(alert(room.clock.now))
    room.tick()
    with room.store.writing() as session:
        row = IncidentRow(
            state="open", onset_at=START, opened_at=room.clock.now, last_alert_at=room.clock.now,
            changed_at=START, peer="aurora", worst_severity=4,
        )  # fmt: skip
        session.add(row)
        session.flush()
        save_alerts(session, number_of(row), [replace(alert(room.clock.now), signal=Signal.HANG)])
    room.tick(times=2)
    assert (room.case(2).incident.state, room.case(2).incident.merged_into) == ("resolved", 1)


def test_an_alert_that_is_told_twice_in_one_round_is_kept_once(room):
    room.fault(alert(room.clock.now))
    room.tick()
    twice = [replace(alert(room.clock.now), signal=Signal.HANG, score=score) for score in (6.0, 9.0)]
    with room.store.writing() as session:
        assert save_alerts(session, 1, twice) == 1
    assert [row.score for row in room.case(1).alerts if row.signal == Signal.HANG] == [9.0]


def test_what_heals_itself_is_remembered_over_a_restart(room):
    weak = replace(alert(START, score=6.0), hurt=0.1)
    for _ in range(LEAST):
        room.fault(weak)
        room.tick(times=4)
        room.heal()
        room.tick(seconds=3, times=10)
    with room.store.reading() as session:
        assert len(context.pauses(session)[class_of([weak])]) == LEAST
    again = room.restarted()
    again.tick(times=3)
    again.fault(weak)
    again.tick(times=4)
    assert again.parts.judges.grouper.pauses.pause_s(class_of([weak]), again.clock.now) > 0
    assert "INC-5" not in [case.incident.id for case in again.engine.tick((windows(int(again.clock.now)),)).cases]


def test_a_diagnosis_is_told_when_there_were_incidents_before(room):
    room.fault()
    room.tick(times=2)
    assert room.diagnoser.past == []
    room.heal()
    room.tick(seconds=4, times=8)
    first = room.case().incident
    room.fault(replace(alert(room.clock.now, callee="orders"), onset=room.clock.now - 3))
    room.tick()
    assert room.diagnoser.past == [(first.onset_at, first.resolved_at)]
    again = room.restarted()
    again.tick(times=2)
    assert again.diagnoser.past == [(first.onset_at, first.resolved_at)]
