"""Policy: which treatment, how freely, and what no rule may do."""

import pytest
from judge_rows import T0, batch, edge, op, row

from paramedic.contract.command import ActionKind, Target
from paramedic_detector.diagnosis.taxonomy import Taxonomy
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.policy import Policy
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import ActionSpec, Diagnosis, Mode, Reason, Suspect

BOTS = frozenset({"bot", "front"})
POLICY = Policy.load()


def topology(*sick: str) -> Topology:
    table = SeriesTable()
    edges = [edge("front", "bot", "a"), edge("front", "bot", "b"), edge("bot", "aurora"), edge("bot", "borealis")]
    models = [op("bot", "client", peer=peer, model="m") for peer in ("aurora", "borealis")]
    bad = {"503": 9}
    rows = [row(key, T0, 9, errors=bad if {*key.parts} & {*sick} else {}) for key in edges]
    table.add(batch([*rows, *(row(key, T0, 9) for key in models)], T0))
    return Topology.of(table, T0)


def diagnosis(fault_class="provider_outage", p=0.95, target=None, kind="provider") -> Diagnosis:
    suspect = Suspect(target or Target(peer="aurora"), kind, p, ())
    return Diagnosis(fault_class, p, {fault_class: p}, (suspect,), "aurora answers 503")


def decide(found=None, graph=None, *, tried=(), running=(), commandable=BOTS, stopped=False, policy=POLICY):
    return policy.decide(found or diagnosis(), graph or topology(), tried, running, commandable, stopped, T0)


def spec(kind=ActionKind.FAILOVER, target=None, **values) -> ActionSpec:
    return ActionSpec(kind, "bot", target or Target(peer="aurora"), **values)


def test_a_sure_diagnosis_acts_on_every_caller():
    decision = decide()
    assert (decision.mode, decision.reason) == (Mode.ACT, Reason.CONFIDENT)
    assert decision.actions == (spec(ttl_s=30, probe_share=0.2),)
    assert decision.sentence == "failover of bot away from aurora, because aurora answers 503"


@pytest.mark.parametrize(
    ("p", "mode", "reason"),
    [(0.9, Mode.ACT, Reason.CONFIDENT), (0.89, Mode.ASK, Reason.NEEDS_APPROVAL), (0.7, Mode.ASK, Reason.NEEDS_APPROVAL),
     (0.69, Mode.TELL, Reason.NOT_SURE)],
)  # fmt: skip
def test_the_gates(p, mode, reason):
    decision = decide(diagnosis(p=p))
    assert (decision.mode, decision.reason) == (mode, reason)


def test_what_is_not_known_is_never_treated():
    assert decide(diagnosis("unknown", 0.99)).reason is Reason.UNKNOWN_CLASS


def test_every_class_of_the_taxonomy_has_a_rule():
    ruled = {rule.fault_class for rule in POLICY.rules}
    assert ruled >= {fault.name for fault in Taxonomy.load().classes}


def test_one_treatment_at_a_time_a_target():
    assert decide(running=[spec()]).reason is Reason.ALREADY_TREATED


def test_what_had_no_effect_is_followed_by_the_next_and_then_by_nothing():
    second = decide(tried=[spec()])
    assert second.actions[0].kind is ActionKind.TRIP_BREAKER
    assert decide(tried=[spec(), *second.actions]).reason is Reason.EXHAUSTED


def test_nobody_connected_means_nobody_can_be_told():
    assert decide(commandable=frozenset()).reason is Reason.NO_CALLER


def test_the_global_stop_stops():
    decision = decide(stopped=True)
    assert (decision.mode, decision.reason) == (Mode.TELL, Reason.STOPPED)
    assert decision.actions, "it still says what it would have done"


def test_the_last_healthy_zone_is_never_left():
    found = diagnosis("zone_outage", target=Target(peer="bot", zone="b"), kind="zone")
    assert decide(found, topology("b")).mode is Mode.ACT
    assert decide(found, topology("a", "b")).reason is Reason.LAST_HEALTHY
    away_from_a = ActionSpec(ActionKind.FAILOVER, "front", Target(peer="bot", zone="a"))
    assert decide(found, topology("b"), running=[away_from_a]).reason is Reason.LAST_HEALTHY


def test_a_provider_is_not_left_when_its_only_alternative_fails_or_is_left_itself():
    assert decide(graph=topology("aurora")).mode is Mode.ACT
    assert decide(graph=topology("aurora", "borealis")).reason is Reason.LAST_HEALTHY
    assert decide(running=[spec(target=Target(peer="borealis"))]).reason is Reason.LAST_HEALTHY


def test_a_team_can_ask_shadow_or_switch_off(tmp_path):
    for mode, reason in (("approve", Reason.NEEDS_APPROVAL), ("shadow", Reason.SHADOW), ("off", Reason.NO_RULE)):
        file = tmp_path / f"{mode}.yaml"
        file.write_text(
            f"rules:\n- {{name: r, fault_class: provider_outage, target: 'aur*', mode: {mode}, "
            "treatments: [{kind: failover}]}\n"
        )
        assert decide(policy=Policy.load(file)).reason is reason


def test_all_mistakes_of_a_policy_are_named_at_once(tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text(
        "gates: {act: 1.5}\ncolour: red\nrules:\n"
        "- {name: one, fault_class: provider_outage, mode: maybe, treatments: [{kind: reboot}]}\n"
        "- {name: one, fault_class: unknown, ttl_s: 0, treatments: [{kind: failover}], extra: 1}\n"
    )
    with pytest.raises(ValueError, match=r"policy\.yaml") as caught:
        Policy.load(file)
    said = str(caught.value)
    for part in (
        "colour is not known", "gates.act must be between 0 and 1, got 1.5", "rules[0] (one).mode must be one of",
        "treatments[0].kind must be one of", "got 'reboot'", "two are called 'one'", "extra is not known",
        "ttl_s must be between 1 and 3600, got 0", "must not be 'unknown'",
    ):  # fmt: skip
        assert part in said


def test_a_taxonomy_with_mistakes_is_refused(tmp_path):
    file = tmp_path / "taxonomy.yaml"
    file.write_text("unknown: 1\nclasses:\n  x: {description: d, kinds: [moon], weights: {colour: 1}}\n")
    with pytest.raises(ValueError, match=r"kinds must be of .* got 'moon'\n.*weights.colour is no feature"):
        Taxonomy.load(file)
