"""The scorecard on truths made by hand, with a trap for every way in which a figure could be had cheaply."""

from dataclasses import replace

import pytest

from paramedic_cli.evidence import ActionSeen, Arm, Counts, IncidentSeen, Injection, Request, Run
from paramedic_cli.scorecard import scorecard

FAULT = Injection("aurora fails", "provider_outage", "aurora", injected_at=100.0, healed_at=160.0)
ACTION = ActionSeen(
    "failover", "support-bot", "aurora", automatic=True, state="verified", applied_at=106.0, ended_at=115.0
)
INCIDENT = IncidentSeen(
    "INC-1", 104.0, "provider_outage", 0.97, "aurora", suspects=("aurora", "support-bot"), actions=(ACTION,)
)


def requests(begin: float, end: float, *, bad_from: float = 0.0, bad_to: float = 0.0) -> tuple[Request, ...]:
    """Ten a second; each sent in [bad_from, bad_to) gets no useful answer."""
    moments = [begin + i / 10 for i in range(round((end - begin) * 10))]
    return tuple(Request(at, 0.5, not bad_from <= at < bad_to) for at in moments)


def run(**changes) -> Run:
    """A fault that paramedic treats as it should: users hurt from 100 to 106, well afterwards."""
    whole = Run(
        Arm.PLATFORM,
        "one",
        1,
        began_at=50.0,
        ended_at=250.0,
        injections=(FAULT,),
        requests=requests(50, 250, bad_from=100, bad_to=106),
        incidents=(INCIDENT,),
        counts=Counts(raw_alerts=10, alerts=4, notifications=3),
    )
    return replace(whole, **changes)


def fault_of(card):
    (fault,) = card["scenarios"]
    return fault


def test_a_fault_that_was_treated_well_gets_all_the_credit():
    card = scorecard([run()])
    fault, totals = fault_of(card), card["totals"]
    assert fault["detected"]
    assert fault["class_correct"]
    assert fault["verified"]
    assert fault["detect_seconds"] == pytest.approx(4.0)
    assert fault["act_seconds"] == pytest.approx(6.0)
    assert fault["recovered_seconds"] == pytest.approx(5.9)  # the last message that got nothing
    assert (fault["root_cause_rank"], fault["action"]) == (1, "failover support-bot -> aurora")
    assert fault["availability"] == pytest.approx(540 / 600)
    assert (totals["faults"], totals["detected"], totals["false_incidents"], totals["extra_incidents"]) == (1, 1, 0, 0)
    assert totals["noise_reduction"] == pytest.approx(0.7)
    assert totals["auto_resolved"] == 1
    assert totals["availability"] == pytest.approx(1940 / 2000)
    low, high = totals["availability_interval"]
    assert low < 0.97 < high


def test_the_json_has_every_key_of_the_design():
    card = scorecard([run()])
    assert set(fault_of(card)) >= {
        *("name", "fault_class", "target", "detected", "detect_seconds", "classified_as", "confidence"),
        *("class_correct", "root_cause_rank", "action", "act_seconds", "verified", "recovered_seconds"),
        *("availability", "availability_sdk_only", "availability_bare"),
    }
    assert set(card["totals"]) >= {
        *("faults", "detected", "false_incidents", "clean_hours", "raw_alerts", "alerts", "incidents"),
        *("notifications", "noise_reduction", "incident_recall", "class_accuracy", "root_cause_top1"),
        *("root_cause_top3", "auto_resolved", "detect_seconds_p50", "detect_seconds_p95", "recovered_seconds_p50"),
        *("availability", "availability_sdk_only", "availability_bare"),
    }


def test_what_is_opened_after_the_heal_was_not_detected():
    late = replace(INCIDENT, opened_at=161.0)
    card = scorecard([run(incidents=(late,))])
    assert not fault_of(card)["detected"]
    assert fault_of(card)["detect_seconds"] is None
    totals = card["totals"]
    assert (totals["detected"], totals["extra_incidents"], totals["false_incidents"]) == (0, 1, 0)


def test_what_is_opened_long_after_the_heal_is_false():
    card = scorecard([run(incidents=(replace(INCIDENT, opened_at=195.0),))])
    assert card["totals"]["false_incidents"] == 1


def test_what_was_open_before_the_fault_is_false():
    card = scorecard([run(incidents=(replace(INCIDENT, opened_at=99.0),))])
    assert (card["totals"]["detected"], card["totals"]["false_incidents"]) == (0, 1)


def test_the_right_class_on_the_wrong_target_is_not_right():
    wrong = replace(INCIDENT, target="borealis", suspects=("borealis", "orders", "aurora"))
    fault = fault_of(scorecard([run(incidents=(wrong,))]))
    assert fault["detected"]
    assert not fault["class_correct"]
    assert fault["root_cause_rank"] == 3


def test_a_zone_is_part_of_the_target():
    zone = replace(FAULT, target="support-bot in eu-1b")
    without_zone = replace(INCIDENT, target="support-bot", suspects=("support-bot",))
    fault = fault_of(scorecard([run(injections=(zone,), incidents=(without_zone,))]))
    assert not fault["class_correct"]
    assert fault["root_cause_rank"] is None


def test_the_right_target_with_the_wrong_class_is_not_right():
    wrong = replace(INCIDENT, fault_class="provider_rate_limited")
    assert not fault_of(scorecard([run(incidents=(wrong,))]))["class_correct"]


def test_nothing_is_credited_when_a_person_acted_while_the_fault_was_there():
    card = scorecard([run(incidents=(replace(INCIDENT, person_at=120.0),))])
    fault = fault_of(card)
    assert not fault["verified"]
    assert fault["recovered_seconds"] is None
    assert card["totals"]["auto_resolved"] == 0


def test_a_person_who_reads_it_after_the_heal_takes_no_credit_away():
    assert fault_of(scorecard([run(incidents=(replace(INCIDENT, person_at=170.0),))]))["verified"]


def test_an_action_that_a_person_approved_is_not_verified_alone():
    by_hand = replace(INCIDENT, actions=(replace(ACTION, automatic=False),))
    assert not fault_of(scorecard([run(incidents=(by_hand,))]))["verified"]


def test_a_verification_after_the_heal_proves_nothing():
    late = replace(INCIDENT, actions=(replace(ACTION, ended_at=161.0),))
    assert not fault_of(scorecard([run(incidents=(late,))]))["verified"]


def test_verified_by_the_platform_but_not_by_the_users_is_not_verified():
    hurt_to_the_end = requests(50, 250, bad_from=100, bad_to=160)
    card = scorecard([run(requests=hurt_to_the_end)])
    fault = fault_of(card)
    assert not fault["verified"]
    assert fault["recovered_seconds"] is None
    assert card["totals"]["recovered_seconds_p50"] is None


def test_users_who_come_back_only_with_the_heal_have_not_recovered():
    hurt_until_just_before = requests(50, 250, bad_from=100, bad_to=156)
    assert fault_of(scorecard([run(requests=hurt_until_just_before)]))["recovered_seconds"] is None


def test_a_fault_that_users_never_noticed_recovers_in_no_time_and_says_so():
    fault = fault_of(scorecard([run(requests=requests(50, 250))]))
    assert fault["recovered_seconds"] == 0.0
    assert fault["note"] == "users never noticed"


def test_a_fault_without_any_user_has_no_recovery():
    fault = fault_of(scorecard([run(requests=requests(50, 100))]))
    assert fault["recovered_seconds"] is None
    assert fault["availability"] is None
    assert fault["availability_interval"] is None


def test_a_second_incident_for_one_fault_is_extra_not_false():
    card = scorecard([run(incidents=(INCIDENT, replace(INCIDENT, id="INC-2", opened_at=130.0)))])
    totals = card["totals"]
    assert (totals["detected"], totals["incidents"], totals["extra_incidents"], totals["false_incidents"]) == (
        1,
        2,
        1,
        0,
    )
    assert fault_of(card)["incident"] == "INC-1"


def test_a_symptom_with_an_incident_of_its_own_is_false():
    symptom = replace(INCIDENT, id="INC-2", opened_at=102.0, target="front-door", suspects=("front-door",))
    card = scorecard([run(incidents=(symptom, INCIDENT))])
    assert fault_of(card)["incident"] == "INC-1"  # the right target is preferred to the earlier one
    assert card["totals"]["false_incidents"] == 1


def test_an_incident_in_clean_time_is_false():
    card = scorecard([run(incidents=(INCIDENT, replace(INCIDENT, id="INC-2", opened_at=60.0)))])
    assert card["totals"]["false_incidents"] == 1


def test_clean_time_leaves_out_each_fault_and_its_echo():
    """50 to 250 s without 100 to 160 s and the 30 s in which the fault may still echo."""
    assert scorecard([run()])["totals"]["clean_hours"] == pytest.approx(110 / 3600)


def test_faults_that_overlap_are_left_out_of_clean_time_once():
    other = replace(FAULT, name="orders fail", target="orders", injected_at=140.0, healed_at=170.0)
    assert scorecard([run(injections=(FAULT, other))])["totals"]["clean_hours"] == pytest.approx(100 / 3600)


def test_two_faults_at_once_get_an_incident_each():
    other = Injection("orders fail", "dependency_errors", "orders", injected_at=100.0, healed_at=160.0)
    about_orders = replace(INCIDENT, id="INC-2", opened_at=103.0, fault_class="dependency_errors", target="orders")
    card = scorecard([run(injections=(FAULT, other), incidents=(about_orders, INCIDENT))])
    assert [fault["incident"] for fault in card["scenarios"]] == ["INC-1", "INC-2"]
    assert card["totals"]["class_accuracy"] == 1.0


def test_a_fault_nobody_saw_counts_against_every_accuracy():
    card = scorecard([run(incidents=())])
    fault, totals = fault_of(card), card["totals"]
    assert fault["classified_as"] is None
    assert (totals["incident_recall"], totals["class_accuracy"], totals["root_cause_top1"]) == (0.0, 0.0, 0.0)
    assert totals["detect_seconds_p95"] is None


def test_silence_is_no_noise_reduction():
    assert scorecard([run(counts=Counts())])["totals"]["noise_reduction"] is None


def test_without_faults_the_ratios_do_not_apply():
    totals = scorecard([run(injections=(), incidents=())])["totals"]
    assert totals["incident_recall"] is None
    assert totals["clean_hours"] == pytest.approx(200 / 3600)


def test_the_other_arms_are_measured_in_their_own_fault_windows():
    """Each arm ran at another time; its own injections say when."""
    later = replace(FAULT, injected_at=1100.0, healed_at=1160.0)
    bare = run(
        arm=Arm.BARE, injections=(later,), requests=requests(1050, 1250, bad_from=1100, bad_to=1160), incidents=()
    )
    fault = fault_of(scorecard([run()], bare=[bare]))
    assert fault["availability_bare"] == 0.0
    assert fault["availability_sdk_only"] is None
    assert fault["availability"] == pytest.approx(0.9)


def test_runs_of_several_scenarios_add_up():
    card = scorecard([run(), run(scenario="two", incidents=())])
    totals = card["totals"]
    assert (totals["faults"], totals["detected"], totals["notifications"]) == (2, 1, 6)
    assert totals["requests"] == 4000
