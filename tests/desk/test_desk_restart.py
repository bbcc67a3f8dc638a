"""A kill -9 at every step: a new process on the same database goes on, and nothing is lost or done twice."""

import sqlite3

import pytest
from desk_parts import FAILOVER, MASTER, Clock, Room, windows

from paramedic.contract.command import SignedCommand
from paramedic.contract.keys import command_key, service_secret
from paramedic_detector.api.schemas import Write
from paramedic_detector.engine.parts import Tick
from paramedic_detector.store.store import StoreDown
from paramedic_detector.values import Mode, Outcome, Reason

KEY = command_key(service_secret(MASTER, "support-bot"))


@pytest.fixture
def room(tmp_path):
    room = Room(tmp_path / "p.db", Clock(), endpoints=("slack",))
    room.tick()
    return room


def run_until(room: Room, last: str) -> None:
    """One round that dies right after the stage `last`."""
    room.clock.sleep(1)
    tick = Tick(now=room.clock.now)
    for stage in room.engine.stages:
        tick = stage(tick)
        if stage.name == last:
            return


STAGES = ["group", "diagnose", "decide", "act", "verify", "exemplars", "close", "describe", "tell"]


@pytest.mark.parametrize("stage", STAGES)
def test_killed_after_any_stage_of_the_first_round_it_treats_once_and_tells_once(room, stage):
    room.fault()
    run_until(room, stage)
    room = room.restarted()
    room.tick(times=2)
    room.answer()
    room.tick()
    room.verdict.outcome = Outcome.VERIFIED
    room.tick()
    assert room.states() == ["verified"]
    assert len(room.hub.live()) == 1
    assert notifications(room) == ["INC-1/treated/slack"]
    with pytest.raises(AssertionError, match="no INC-2"):
        room.case(2)


@pytest.mark.parametrize("stage", ["group", "act", "verify", "tell"])
def test_killed_after_any_stage_while_a_path_is_handed_back_it_is_handed_back(room, stage):
    room.treat(Outcome.VERIFIED)
    room.heal()
    room.verdict.recovered = True
    room.tick()
    run_until(room, stage)
    room = room.restarted()
    room.tick(times=3)
    assert room.hub.live() == {}
    room.tick(seconds=4, times=5)
    assert room.case().incident.state == "resolved"
    assert notifications(room) == ["INC-1/treated/slack"]


@pytest.mark.parametrize("stage", ["close", "describe", "tell", "put away"])
def test_killed_after_any_stage_of_the_last_round_it_is_closed_told_and_kept_once(room, stage):
    room.policy.mode, room.policy.reason = Mode.TELL, Reason.NOT_SURE
    room.fault()
    room.tick(seconds=3, times=5)
    room.heal()
    while room.case().incident.state != "resolved":
        room.engine.parts.vitals.table.add(windows(int(room.clock.now)))
        run_until(room, stage)
    room = room.restarted()
    room.tick(times=2)
    assert notifications(room) == ["INC-1/needs_you/slack", "INC-1/closed/slack"]
    assert room.case().incident.evidence is not None
    assert sum("is over" in line for line in room.story()) == 1


def test_what_a_person_resolves_is_told_and_kept_too(room):
    room.policy.mode, room.policy.reason = Mode.TELL, Reason.NOT_SURE
    room.fault()
    room.tick(seconds=3, times=5)
    room.heal()
    room.desk.resolve(1, Write(version=room.case().incident.version, by="maya"))
    room.tick()
    assert notifications(room) == ["INC-1/needs_you/slack", "INC-1/closed/slack"]
    assert room.case().incident.evidence is not None


def test_killed_between_writing_and_sending_the_command_goes_out_under_a_higher_version(room):
    room.fault()
    put, room.hub.put = room.hub.put, lambda command: False  # the process dies before it can send
    room.tick()
    room.hub.put = put
    assert room.states() == ["sent"]
    room.clock.sleep(1)
    room = room.restarted()
    live = next(iter(room.hub.live().values()))
    command = live.sealed.open(KEY, service="support-bot", now=room.clock.now)
    assert (command.kind, command.version) == (FAILOVER.kind, 1 + 1000)


def test_what_is_in_force_stands_in_the_snapshot_before_the_first_bot_connects(room):
    room.treat(Outcome.VERIFIED)
    before = next(iter(room.hub.live().values())).command
    room.clock.sleep(20)
    after = next(iter(room.restarted().hub.live().values())).command
    assert (after.id, after.kind, after.target) == (before.id, before.kind, before.target)
    assert after.version > before.version + 500, "renewals that were never written down must not beat it"


def test_after_a_long_death_the_lease_is_not_taken_up_again(room):
    room.treat(Outcome.VERIFIED)
    room.heal()
    room.clock.sleep(3600)
    room = room.restarted()
    assert room.hub.live() == {}
    assert room.case().actions[0].rolled_back_at is not None


def test_time_in_which_nothing_was_treated_is_not_judged_as_treated(room):
    room.treat(Outcome.UNDECIDED)
    room.clock.sleep(60)
    room = room.restarted()
    resumed_at = room.clock.now
    room.tick()
    assert room.verdict.asked_from[-1] == resumed_at


def test_a_stop_outlives_a_restart(room):
    room.desk.stop(True, "maya")
    room = room.restarted()
    room.fault()
    room.tick(times=2)
    assert room.hub.stopped
    assert room.states() == []


def test_a_locked_store_stops_neither_scores_nor_leases_and_loses_nothing(room):
    room.treat(Outcome.VERIFIED)
    version = next(iter(room.hub.live().values())).command.version
    rounds = room.scorer.rounds
    with sqlite3.connect(room.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        room.answer(instance="bot-2")
        room.tick(seconds=3, times=6)
        assert room.scorer.rounds == rounds + 6
        assert next(iter(room.hub.live().values())).command.version > version
        assert "locked" in room.engine.health().store_trouble
        other.execute("ROLLBACK")
    room.tick(times=3)
    assert room.engine.health().store_trouble == ""
    assert {ack.instance for ack in room.case().acks} == {"bot-1", "bot-2"}
    assert room.states() == ["verified"]


def test_a_store_that_stays_away_lets_the_leases_end(room):
    room.treat(Outcome.VERIFIED)
    with sqlite3.connect(room.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        room.tick(seconds=30, times=6)
        version = next(iter(room.hub.live().values())).command.version
        room.tick(seconds=30, times=2)
        assert next(iter(room.hub.live().values())).command.version == version
        other.execute("ROLLBACK")


def test_a_fault_in_one_stage_does_not_stop_the_others(room, caplog):
    room.diagnoser.says = None  # type: ignore[assignment]
    room.fault()
    room.tick(times=2)
    assert room.engine.health().stage_failures["diagnose"] == 2
    assert room.case().incident.state == "open"
    assert "stage diagnose failed" in caplog.text


def test_a_command_is_sealed_for_its_own_service_alone(room):
    room.fault()
    room.tick()
    sealed = next(iter(room.hub.live().values())).sealed
    assert SignedCommand.from_json(sealed.to_json()).open(KEY, service="support-bot", now=room.clock.now)
    with pytest.raises(ValueError, match="signature"):
        sealed.open(command_key(service_secret(MASTER, "orders")), service="support-bot", now=room.clock.now)


def test_writing_to_a_locked_store_says_so_and_keeps_nothing(room):
    with sqlite3.connect(room.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreDown, match="locked"):
            room.desk.stop(True, "maya")
        other.execute("ROLLBACK")
    assert room.hub.stopped, "in this process it holds all the same"


def notifications(room: Room) -> list[str]:
    with sqlite3.connect(room.path) as other:
        return [key for (key,) in other.execute("select key from notification order by id")]
