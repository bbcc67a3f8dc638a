"""Verification on windows by hand: it worked, it did nothing, it harmed, the fault is over."""

from judge_rows import T0, batch, edge, op, row

from paramedic.contract.command import ActionKind, Target
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.rules import RuleSet
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import ActionSpec, Outcome
from paramedic_detector.verify import verdict

ONSET, APPLIED = T0 + 60, T0 + 66
SPEC = ActionSpec(ActionKind.FAILOVER, "bot", Target(peer="aurora"))
ANSWERS, CALLS = op("bot"), edge("bot", "aurora")


def judged(now: int, *, before: int = 0, after: int = 0, probe: str = "503", seconds: float = 0.5, leaks: int = 0,
           probe_s: float = 0.5):  # fmt: skip
    """Ten answers a second: all good until onset, then `before` bad ones each second, then `after` bad ones."""
    rows = []
    for ts in range(T0, now):
        bad = 0 if ts < ONSET else before if ts < APPLIED else after
        took = seconds if ts >= APPLIED else 0.5
        rows.append(row(ANSWERS, ts, 10, errors={"500": bad} if bad else {}, seconds=took))
        if ts < ONSET:
            rows.append(row(CALLS, ts, 10, seconds=0.5))
        elif ts < APPLIED:
            rows.append(row(CALLS, ts, 5, errors={"503": 5}, refused={"breaker": 5}, seconds=0.1))
        else:
            errors = {probe: 1} if probe else {}
            refused = {"command": 9} if not leaks else {}
            values = {"probes": 1, "probe_errors": len(errors)}
            rows.append(row(CALLS, ts, 1 + leaks, errors=errors, refused=refused, seconds=probe_s, **values))
    table = SeriesTable()
    table.add(batch(rows, now))
    return verdict(SPEC, APPLIED, ONSET, table, Topology.of(table, now), now)


def test_nothing_is_said_at_once():
    assert judged(APPLIED + 2, before=5).outcome is Outcome.UNDECIDED


def test_treated_traffic_that_is_as_usual_again_is_verified():
    said = judged(APPLIED + 6, before=5)
    assert said.outcome is Outcome.VERIFIED
    assert said.before.value == 0.5
    assert said.treated.value == 1.0
    assert said.probing.value == 0.0
    assert not said.recovered
    assert "100.0 % of" in said.sentence
    assert "50.0 % before" in said.sentence


def test_where_fallbacks_had_spared_users_it_says_so():
    said = judged(APPLIED + 6)
    assert said.outcome is Outcome.VERIFIED
    assert "no longer wasted" in said.sentence


def test_no_improvement_is_no_effect_but_only_after_some_patience():
    assert judged(APPLIED + 8, before=5, after=5).outcome is Outcome.UNDECIDED
    assert judged(APPLIED + 20, before=5, after=5).outcome is Outcome.NO_EFFECT


def test_worse_than_before_is_harmful():
    assert judged(APPLIED + 8, before=1, after=8).outcome is Outcome.HARMFUL


def test_calls_that_began_before_the_treatment_say_nothing_about_it():
    """They end as failures seconds after it was applied; only their duration tells."""
    assert judged(APPLIED + 5, after=2, seconds=8.0).outcome is not Outcome.HARMFUL


def test_a_bot_that_says_applied_and_does_nothing_is_not_verified():
    assert judged(APPLIED + 20, before=5, leaks=9).outcome is Outcome.NO_EFFECT


def test_a_fallback_that_is_far_slower_is_not_verified():
    assert judged(APPLIED + 14, before=5, seconds=4.0).outcome is not Outcome.VERIFIED


def test_good_probes_in_a_row_say_that_the_fault_is_over():
    assert not judged(APPLIED + 3, probe="").recovered
    said = judged(APPLIED + 8, probe="")
    assert said.recovered
    assert "aurora is well again" in said.sentence


def test_slow_probes_do_not_say_so():
    assert not judged(APPLIED + 12, probe="", probe_s=5.0).recovered


def test_the_published_rules_count_transitions_once():
    rules, table = RuleSet.load(), SeriesTable()
    started = []
    for s in range(120):
        bad = {"500": 4} if 30 <= s < 100 else {}
        table.add(batch([row(op("front"), T0 + s, 10, errors=bad)], T0 + s))
        started += rules.evaluate(table, T0 + s + 1)
    assert started.count("ServiceErrorRatio front") == 1
    assert rules.fired == len(started)
    assert rules.fired_at_once >= rules.fired
