"""The engine from alert to end, on a real store and a real hub, with scripted judges."""

from dataclasses import replace

import pytest
from desk_parts import FAILOVER, START, TRIP, Clock, Room, alert

from paramedic.contract.command import AckState
from paramedic_collector.record.spans import Span
from paramedic_detector.api.schemas import Write
from paramedic_detector.store.records import desk
from paramedic_detector.values import Exemplar, Mode, Outcome, Reason


@pytest.fixture
def room(tmp_path):
    room = Room(tmp_path / "p.db", Clock())
    room.tick(times=3)
    return room


def test_a_fault_is_treated_verified_handed_back_and_closed(room):
    room.fault()
    room.tick()
    assert room.states() == ["sent"]
    assert [live.command.kind for live in room.hub.live().values()] == [FAILOVER.kind]
    room.answer()
    room.tick()
    assert room.states() == ["verifying"]
    room.verdict.outcome = Outcome.VERIFIED
    room.tick()
    case = room.case()
    assert (case.incident.state, room.states()) == ("mitigated", ["verified"])
    assert "99 % of calls succeed" in case.incident.done
    assert not case.incident.needs_you
    room.verdict.recovered = True
    room.heal()
    room.tick(times=2)
    assert room.hub.live() == {}
    assert room.case().actions[0].recovered_at is not None
    room.tick(seconds=2, times=10)
    incident = room.case().incident
    assert incident.state == "resolved"
    assert incident.onset_at < incident.opened_at <= incident.acted_at <= incident.verified_at < incident.resolved_at
    assert incident.evidence["panels"]


def test_a_treatment_without_effect_is_taken_back_and_the_next_is_tried(room):
    room.treat(Outcome.NO_EFFECT)
    assert room.states() == ["no_effect", "sent"]
    assert [live.command.kind for live in room.hub.live().values()] == [TRIP.kind]
    assert room.policy.asked_with[-1][0] == [FAILOVER]


def test_a_harmful_treatment_is_taken_back_at_once_and_people_are_called_when_none_is_left(room):
    room.policy.treatments = [(FAILOVER,)]
    room.treat(Outcome.HARMFUL)
    room.tick(times=6)
    incident = room.case().incident
    assert room.hub.live() == {}
    assert (incident.state, incident.needs_you, incident.verification) == ("open", True, "harmful")
    assert "every treatment" in incident.you


def test_a_verified_treatment_that_turns_harmful_is_taken_back(room):
    room.treat(Outcome.VERIFIED)
    room.verdict.outcome = Outcome.HARMFUL
    room.policy.treatments = [(FAILOVER,)]
    room.tick()
    assert room.states() == ["verified"], "one verdict may be chance"
    room.tick()
    assert room.states() == ["harmful"]
    assert room.case().incident.state == "open"
    assert room.hub.live() == {}


def test_a_lease_is_renewed_at_a_third_of_its_time_while_the_cause_lasts(room):
    room.treat(Outcome.VERIFIED)
    first = next(iter(room.hub.live().values()))
    room.tick(times=9)
    renewed = next(iter(room.hub.live().values()))
    assert renewed.command.version > first.command.version
    assert renewed.lease_ends_at > first.lease_ends_at
    assert room.case().actions[0].command_version == renewed.command.version


def test_a_command_that_no_bot_answers_expires_and_is_not_counted_as_tried(room):
    room.fault()
    room.tick()
    room.tick(seconds=4, times=8)
    assert room.states()[0] == "expired"
    assert room.policy.asked_with[-1][0] == []


def test_a_command_that_every_bot_refuses_is_rejected_and_not_tried_again(room):
    room.fault()
    room.tick()
    room.answer(AckState.REJECTED, reason="no fallback")
    room.tick(times=3)
    assert room.states() == ["rejected", "sent"]
    assert "no fallback" in room.case().actions[0].result


def test_a_fault_that_ends_before_the_verdict_is_not_held_against_the_treatment(room):
    room.fault()
    room.tick()
    room.answer()
    room.verdict.recovered = True
    room.tick(times=4)
    action = room.case().actions[0]
    assert (action.state, action.recovered_at is not None) == ("expired", True)
    assert room.hub.live() == {}


def test_alerts_that_linger_after_a_recovery_do_not_start_a_new_treatment(room):
    room.treat(Outcome.VERIFIED)
    room.verdict.recovered = True
    room.tick(times=6)
    assert len(room.states()) == 1
    room.tick(times=12)
    assert len(room.states()) == 2, "but a fault that comes back is treated again"


def test_what_is_seen_after_a_proven_treatment_does_not_change_the_diagnosis(room):
    """The last hung calls end as time-outs long after the fault: they are its tail, not another fault."""
    room.treat(Outcome.VERIFIED)
    room.verdict.recovered = True
    room.tick(times=3)
    room.diagnoser.says = replace(room.diagnoser.says, fault_class="provider_slow", probability=0.5)
    room.fault()
    room.tick(times=2)
    incident = room.case().incident
    assert (incident.fault_class, incident.probability) == ("provider_outage", 0.95)


def test_a_flapping_fault_makes_the_treatment_calmer(room):
    room.treat(Outcome.VERIFIED)
    room.verdict.recovered = True
    room.tick(times=14)  # handed back; alerts go on, so it is treated again
    room.verdict.recovered = False
    assert room.states() == ["verified", "sent"]
    room.answer()
    room.tick(times=2)
    room.verdict.recovered = True
    room.tick(times=2)
    assert room.hub.live(), "two good verdicts were too few the last time"
    room.tick(times=2)
    assert room.hub.live() == {}


def test_between_the_gates_a_person_decides(room):
    room.policy.mode, room.policy.reason = Mode.ASK, Reason.NEEDS_APPROVAL
    room.fault()
    room.tick(times=3)
    action = room.case().actions[0]
    assert (action.state, action.automatic, room.hub.live()) == ("proposed", False, {})
    assert room.case().incident.needs_you
    room.desk.approve(1, Write(version=action.version, by="maya"))
    room.tick()
    action = room.case().actions[0]
    assert (action.state, action.by) == ("sent", "maya")


def test_a_proposal_is_carried_out_when_the_diagnosis_grows_sure(room):
    room.policy.mode, room.policy.reason = Mode.ASK, Reason.NEEDS_APPROVAL
    room.fault()
    room.tick(times=2)
    room.policy.mode, room.policy.reason = Mode.ACT, Reason.CONFIDENT
    room.tick()
    assert room.states() == ["sent"]
    assert room.case().actions[0].automatic


def test_a_proposal_that_a_person_rejects_is_not_proposed_again(room):
    room.policy.mode = Mode.ASK
    room.fault()
    room.tick()
    room.desk.reject(1, Write(version=room.case().actions[0].version, by="maya"))
    room.tick(times=3)
    assert room.states() == ["rejected", "proposed"]
    assert room.case().actions[1].kind == TRIP.kind


def test_a_person_takes_back_what_is_in_force(room):
    room.treat(Outcome.VERIFIED)
    room.policy.treatments = [(FAILOVER,)]
    room.desk.revert(1, Write(version=room.case().actions[0].version, by="maya"))
    assert room.hub.live() == {}
    room.tick(times=3)
    assert room.case().actions[0].rolled_back_at is not None
    assert len(room.states()) == 1
    assert "maya reverted ACT-1." in room.story()


def test_the_global_stop_takes_everything_back_and_nothing_is_sent_until_it_is_off(room):
    room.treat(Outcome.VERIFIED)
    room.desk.stop(True, "maya")
    assert room.hub.live() == {}
    room.tick(times=3)
    assert room.case().actions[0].rolled_back_at is not None
    assert len(room.states()) == 1
    assert "global stop" in room.case().incident.you
    room.desk.stop(False, "maya")
    room.tick(times=2)
    assert room.states() == ["verified", "sent"]


def test_seeing_nothing_is_not_quiet(room):
    room.policy.mode, room.policy.reason = Mode.TELL, Reason.NOT_SURE
    room.fault()
    room.tick(times=2)
    room.heal()
    for _ in range(12):  # the collector is gone: no windows at all
        room.clock.sleep(4)
        room.engine.tick(())
    assert room.case().incident.state == "open"
    room.tick(seconds=3, times=6)
    assert room.case().incident.state == "resolved"


def test_nothing_is_begun_for_a_fault_that_is_over(room):
    room.policy.mode, room.policy.reason = Mode.TELL, Reason.NO_CALLER
    room.fault()
    room.tick()
    room.heal()
    room.tick(times=6)
    room.policy.mode, room.policy.reason = Mode.ACT, Reason.CONFIDENT  # only now does a bot listen
    room.tick()
    assert room.states() == []


def test_one_cause_is_one_incident_and_two_causes_are_two(room):
    room.fault(alert(room.clock.now), alert(room.clock.now, callee="orders"))
    room.tick(times=3)
    assert {a.fingerprint for a in room.case(1).alerts}.isdisjoint(a.fingerprint for a in room.case(2).alerts)


def test_series_of_open_incidents_do_not_learn(room):
    room.fault()
    room.tick(times=2)
    assert alert(START).key in room.scorer.frozen


def test_severity_follows_the_users(room):
    room.policy.mode, room.policy.reason = Mode.TELL, Reason.NOT_SURE
    room.fault()
    room.tick()
    assert room.case().incident.severity == 3
    room.tick(times=6, hurt=5)
    assert room.case().incident.severity == 1
    room.tick(seconds=5, times=6)
    assert room.case().incident.severity == 2, "they were hurt, and are not now"
    assert room.case().incident.worst_severity == 1


def test_an_example_trace_grows_until_its_root_has_ended(room):
    """A hung call ends before the request that waits for it: at first its trace is a part."""
    shown = replace(alert(room.clock.now), exemplars=(Exemplar("t1", "b", 5e-9, "503"),))
    call = Span("t1", "b", "a", "bot", "bot-1", "llm.primary", "client", 2, 5, "error", "503", {})
    root = Span("t1", "a", "", "bot", "bot-1", "POST /chat", "server", 1, 9, "unset", "", {})
    room.recorder.spans["t1"] = [call]
    room.fault(shown)
    room.tick(times=2)
    names = [[span["name"] for span in trace["spans"]] for trace in room.case().incident.traces]
    assert names == [["llm.primary"]]
    room.recorder.spans["t1"].append(root)
    room.tick(times=8)
    (trace,) = room.case().incident.traces
    assert ([span["name"] for span in trace["spans"]], trace["note"]) == (["POST /chat", "llm.primary"], "503")


def test_the_example_traces_of_an_incident_are_kept_from_sampling_as_long_as_it_is_open(room):
    """One that the flight recorder does not have yet may still be on its way."""
    kept: list[list[str]] = []
    room.parts.keep_traces = lambda ids: kept.append(sorted(ids))
    room.recorder.spans["t1"] = [Span("t1", "a", "", "bot", "bot-1", "llm.primary", "client", 2, 5, "error", "503", {})]
    room.tick()
    assert kept[-1] == []
    room.policy.mode, room.policy.reason = Mode.TELL, Reason.NOT_SURE
    room.fault(replace(alert(room.clock.now), exemplars=tuple(Exemplar(one, "b", 5e-9, "503") for one in ("t1", "t2"))))
    room.tick(times=2)
    assert kept[-1] == ["t1", "t2"]
    room.heal()
    room.tick()
    assert (kept[-1], room.case().incident.resolved_at) == (["t1"], None)
    room.tick(times=15)
    assert room.case().incident.state == "resolved"
    assert kept[-1] == []


def test_what_the_published_rules_would_have_said_is_counted(room):
    room.rules.fires, room.rules.fired_at_once = ["HighErrors", "BurnRate"], 5
    room.tick(times=2)
    with room.store.reading() as session:
        assert (desk(session).raw_alerts, desk(session).raw_alerts_at_once) == (2, 5)
