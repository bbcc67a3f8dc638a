"""Which incident tells of which fault, and what that makes of the scorecard."""

from dataclasses import replace

import pytest

from paramedic.contract.command import Target
from paramedic_cli.errors import UserError
from paramedic_cli.simulated import plans_of, simulated_tables
from paramedic_detector.evaluate.virtual import SeenIncident
from paramedic_detector.simulate.card import scorecard
from paramedic_detector.simulate.demo_world import demo_graph
from paramedic_detector.simulate.episodes import Episode, episodes, truth_of
from paramedic_detector.simulate.forecasts import forecasts_of
from paramedic_detector.simulate.plan import START, Happening, Plan
from paramedic_detector.simulate.runner import Result, match
from paramedic_detector.values import Diagnosis, Suspect

AURORA, ORDERS = Target("aurora"), Target("orders")


def fault(name, at_s, until_s, target, fault_class="provider_outage"):
    return Happening(name, at_s, until_s, "errors", target.peer, "", 1.0, {}, fault_class, target)


def incident(number, at_s, target, fault_class="provider_outage", probability=0.95):
    suspects = (Suspect(target, "provider", 0.9, ("x",)), Suspect(Target("decoy"), "provider", 0.1, ("x",)))
    diagnosis = Diagnosis(fault_class, probability, {}, suspects, "x")
    return SeenIncident(str(number), START + at_s, START + at_s, diagnoses=[(START + at_s, diagnosis)])


PLAN = Plan(
    "test", demo_graph(), 1000, (fault("a", 100, 200, AURORA), fault("o", 120, 220, ORDERS, "dependency_errors"))
)


def result(*incidents):
    of, extra, false = match(PLAN, incidents)
    return Result(PLAN, 1, of, extra, false, len(incidents), 40, 10, 3, 2.0)


def test_the_right_target_wins_over_the_earlier_incident():
    seen = result(incident(1, 130, ORDERS), incident(2, 140, AURORA))
    assert [one.id for one in seen.of] == ["2", "1"]


def test_an_incident_before_its_fault_or_long_after_it_is_false():
    seen = result(incident(1, 90, AURORA), incident(2, 300, AURORA))
    assert seen.of == (None, None)
    assert [one.id for one in seen.false] == ["1", "2"]


def test_a_second_incident_of_a_fault_is_extra_and_not_false():
    seen = result(incident(1, 103, AURORA), incident(2, 130, ORDERS), incident(3, 215, ORDERS))
    assert [one.id for one in seen.extra] == ["3"]
    assert seen.false == ()


def test_the_scorecard_counts_what_was_found_named_and_ranked():
    card = scorecard(
        [result(incident(1, 103, AURORA, "provider_slow"), incident(2, 130, Target("decoy"), "unknown", 0.4))]
    )
    first, second = card["scenarios"]
    assert (first["detect_seconds"], first["class_correct"], first["root_cause_rank"]) == (3.0, False, 1)
    assert second["root_cause_rank"] is None
    totals = card["totals"]
    assert (totals["detected"], totals["confident_mistakes"], totals["root_cause_top1"]) == (2, 1.0, 0.5)
    assert totals["noise_reduction"] == pytest.approx(0.7)
    assert totals["availability"] is None
    assert card["classes"]["provider_outage"]["named"] == {"provider_slow": 1}
    assert simulated_tables(card)


def test_a_forecast_is_right_when_its_service_leaks_and_early_when_that_does_not_hurt_yet():
    leak = Happening("l", 100, 1000, "leak", "orders", "", 1.0, {"full_after_s": 500}, "resource_leak", ORDERS)
    plan = Plan("test", demo_graph(), 1200, (leak,))
    memory = "gauge:orders/orders-1/process.memory.usage#drift"
    log = [(START + at, memory, 6.0) for at in (250, 251, 252, 900)]  # it hurts from 400 s on
    log += [(START + 260, "gauge:nlu/nlu-1/process.memory.usage#drift", 6.0), (START + 261, f"{memory}x", 9.0)]
    found = forecasts_of(plan, log)
    assert (found.told, found.right, found.leaks, found.leads_s) == (3, 2, 1, (150.0,))
    totals = scorecard([replace(result(), plan=plan, of=(None,), forecasts=found)])["totals"]
    assert (totals["leaks_foretold"], totals["forecast_lead_seconds_p50"]) == (1, 150.0)
    assert totals["forecast_precision"] == pytest.approx(2 / 3)


def test_without_faults_no_figure_is_made_up():
    plan = Plan("clean", demo_graph(), 3600)
    totals = scorecard([Result(plan, 1, (), (), (), 0, 0, 0, 0, 1.0)])["totals"]
    assert totals["incident_recall"] is None
    assert totals["noise_reduction"] is None
    assert (totals["false_incidents"], totals["clean_hours"]) == (0, 1.0)


def test_what_is_asked_for_wrongly_is_told_in_a_sentence():
    with pytest.raises(UserError, match="there is no scenario 'dmeo' \\(did you mean 'demo'\\?\\)"):
        plans_of(["dmeo"], None, 1, 1)
    with pytest.raises(UserError, match="--suite must be one of files, held-out, clean, got 'held'"):
        plans_of([], "held", 1, 1)
    with pytest.raises(UserError, match="not both"):
        plans_of(["demo"], "files", 1, 1)


def test_an_incident_long_after_every_fault_has_no_cause_and_one_shortly_after_is_not_judged():
    assert truth_of(PLAN, (), None, START + 500, START + 495).fault_class == ""
    assert truth_of(PLAN, (), None, START + 260, START + 250) is None
    assert truth_of(PLAN, (), None, START + 110, START + 101).root_cause == AURORA


def test_episodes_show_an_incident_as_it_grows_with_the_truth_beside_it():
    plan = Plan("test", demo_graph(), 90, (fault("a", 70, 90, AURORA),))
    seen = list(episodes(plan, 1, lambda episode: episode, history_s=120))
    assert seen
    assert all(isinstance(one, Episode) for one in seen)
    assert {(one.truth_class, one.truth_target) for one in seen} == {("provider_outage", AURORA)}
    ages = [one.age_s for one in seen]
    assert ages == sorted(ages)
    assert ages[0] == 0
    assert seen[0].now - plan.start - 70 < 15
