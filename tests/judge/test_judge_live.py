"""The whole judgement on a virtual fleet that tells what real telemetry tells: found, named, treated, over."""

import functools

import pytest
from judge_desk import Case, Desk
from judge_fleet import Fault, VirtualFleet

from paramedic_detector.diagnosis.taxonomy import Taxonomy
from paramedic_detector.values import Signal

WARM_S, SOON_S = 30.0, 6.0


def opened(desk: Desk) -> list[float]:
    return [round(case.opened_at - desk.fleet.start, 1) for case in desk.cases]


@functools.cache
def demo(router_tells: bool) -> tuple[Desk, list[tuple[float, float, str, str]]]:
    """The demo's three faults with recoveries between them, treated by the policy."""
    fleet = VirtualFleet(seed=5, router_tells=router_tells)
    desk = Desk(fleet, acts=True, rules=router_tells)
    step_s = 1.0 if router_tells else 0.5
    desk.run(WARM_S, step_s)
    fleet.faults["aurora"] = Fault("outage")
    desk.run(50, step_s)
    fleet.faults.clear()
    desk.run(75, step_s)
    fleet.faults["aurora"] = Fault("rate_limit")
    desk.run(95, step_s)
    fleet.faults.clear()
    desk.run(120, step_s)
    fleet.kill("eu-1b")
    desk.run(140, step_s)
    fleet.restart("eu-1b")
    desk.run(172, step_s)
    truth = [
        (WARM_S, 50.0, "provider_outage", "aurora"),
        (75.0, 95.0, "provider_rate_limited", "aurora"),
        (120.0, 140.0, "zone_outage", "support-bot in eu-1b"),
    ]
    return desk, truth


@pytest.fixture(params=[True, False], ids=["router-tells", "router-is-silent"])
def played(request):
    return demo(request.param)


def pairs(played) -> list[tuple[Case, tuple[float, float, str, str]]]:
    desk, truth = played
    return list(zip(desk.cases, truth, strict=True))


def test_three_faults_are_three_incidents(played):
    desk, truth = played
    assert len(desk.cases) == len(truth), desk.log


def test_each_is_found_within_six_seconds(played):
    for case, (start, *_) in pairs(played):
        assert 0 < case.opened_at - played[0].fleet.start - start <= SOON_S


def test_each_is_named_with_its_target_at_the_act_gate_within_six_seconds(played):
    for case, (start, _, fault_class, target) in pairs(played):
        sure_at = case.sure_at(fault_class, target)
        assert sure_at is not None, played[0].log
        assert sure_at - played[0].fleet.start - start <= SOON_S


def test_each_treatment_is_verified_while_the_fault_lasts(played):
    for case, (_, end, *_) in pairs(played):
        assert case.verified_at is not None
        assert case.verified_at - played[0].fleet.start < end


def test_each_is_closed_after_its_fault_and_not_before(played):
    for case, (_, end, *_) in pairs(played):
        assert case.resolved_at is not None
        assert 0 < case.resolved_at - played[0].fleet.start - end <= 30


def test_the_root_cause_ranks_first_with_evidence_in_plain_words(played):
    for case, (*_, target) in pairs(played):
        first = case.diagnosis.suspects[0]
        assert str(first.target) == target
        assert first.evidence
        assert all(sentence and sentence[0] != "{" for sentence in first.evidence)


def test_users_hardly_notice(played):
    assert played[0].fleet.availability(WARM_S) >= 0.995


def test_the_published_rules_see_the_same_faults():
    desk, _ = demo(True)
    assert desk.rules is not None
    assert desk.rules.fired_at_once >= desk.rules.fired >= 1


@pytest.mark.parametrize(
    ("peer", "fault", "fault_class"),
    [
        ("aurora", Fault("auth"), "auth_failure"),
        ("aurora", Fault("slow", factor=6), "provider_slow"),
        ("aurora", Fault("empty"), "quality_degradation"),
        ("aurora", Fault("errors", share=0.4), "provider_outage"),
        ("orders", Fault("errors"), "dependency_errors"),
        ("orders", Fault("slow", factor=80), "dependency_slow"),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_other_faults_are_found_within_six_seconds_and_named(peer, fault, fault_class):
    fleet = VirtualFleet(seed=7)
    desk = Desk(fleet)
    desk.run(WARM_S)
    fleet.faults[peer] = fault
    desk.run(WARM_S + 12)
    assert len(desk.cases) == 1, desk.log
    assert opened(desk)[0] - WARM_S <= SOON_S
    found = desk.cases[0].diagnosis
    assert (found.fault_class, str(found.suspects[0].target)) == (fault_class, peer)


def test_two_causes_at_once_are_two_incidents():
    fleet = VirtualFleet(seed=3)
    desk = Desk(fleet)
    desk.run(WARM_S)
    fleet.faults["aurora"] = Fault("rate_limit")
    fleet.kill("eu-1b")
    desk.run(WARM_S + 10)
    targets = {str(case.diagnosis.suspects[0].target) for case in desk.cases}
    assert targets == {"aurora", "support-bot in eu-1b"}, desk.log


def test_an_untreated_fault_stays_one_incident_though_breakers_hide_it():
    """After ten failed calls there are only refusals and one trial each ten seconds."""
    fleet = VirtualFleet(seed=11)
    desk = Desk(fleet)
    desk.run(WARM_S)
    fleet.faults["aurora"] = Fault("rate_limit")
    desk.run(WARM_S + 45, step_s=1.0)
    assert len(desk.cases) == 1
    assert desk.cases[0].resolved_at is None
    fleet.faults.clear()
    desk.run(WARM_S + 45 + 30, step_s=1.0)
    assert desk.cases[0].resolved_at is not None


@pytest.mark.parametrize("seed", [1, 2])
def test_clean_traffic_with_a_start_a_ramp_bursts_and_lulls_is_no_incident(seed):
    fleet = VirtualFleet(seed, rate=2.0, router_tells=bool(seed % 2))
    desk = Desk(fleet, acts=True)
    clock = 0.0
    for rate, lasts_s in ((2, 20), (5, 10), (10, 40), (35, 12), (10, 15), (2, 15), (10, 15), (0, 10), (10, 15)):
        fleet.rate = float(rate)
        clock += lasts_s
        desk.run(clock, step_s=1.0)
    assert desk.cases == [], desk.log


def test_a_killed_detector_picks_up_where_it_was():
    fleet = VirtualFleet(seed=4)
    desk = Desk(fleet)
    desk.run(WARM_S)
    fleet.faults["aurora"] = Fault("rate_limit")
    desk.run(WARM_S + 8)
    desk.restart()
    fleet.run(WARM_S + 20)  # nobody listens
    desk.run(WARM_S + 45)
    assert len(desk.cases) == 1
    assert desk.cases[0].resolved_at is None
    assert desk.cases[0].last_alert_at > fleet.start + WARM_S + 40


def test_three_failed_calls_do_not_make_sure():
    taxonomy = Taxonomy.load()
    assert taxonomy.names[-1] == "unknown"
    fleet = VirtualFleet(seed=9)
    desk = Desk(fleet)
    desk.run(WARM_S)
    fleet.faults["aurora"] = Fault("errors", share=0.5)
    desk.run(WARM_S + 12)
    first, last = desk.cases[0].diagnoses[0][1], desk.cases[0].diagnosis
    assert first.probability < 0.95 < last.probability
    assert abs(sum(last.classes.values()) - 1) < 1e-6
    assert Signal.ERRORS in {alert.signal for alert in desk.cases[0].alerts.values()}
