"""What to do for a diagnosis: the team's rules, the gates, and the guardrails that no rule can lift.

diagnosis --first rule that fits--> next treatment not yet tried --guardrails--> act, ask or tell, with the reason
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from paramedic.contract.command import ActionKind, Target
from paramedic_detector.diagnosis.taxonomy import UNKNOWN
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.policy_file import read_policy
from paramedic_detector.values import ActionSpec, Decision, Diagnosis, Mode, Reason, Suspect

LEAVING: Final = frozenset({ActionKind.FAILOVER, ActionKind.TRIP_BREAKER})  # actions that leave the target alone

_VERBS: Final = {
    ActionKind.FAILOVER: "failover of {service} away from {target}",
    ActionKind.TRIP_BREAKER: "breaker of {service} for {target} opened",
    ActionKind.SHED_LOAD: "part of the load of {service} on {target} shed",
    ActionKind.LIMIT_CONCURRENCY: "fewer calls at once from {service} to {target}",
    ActionKind.SET_DEADLINE: "a shorter deadline of {service} for {target}",
    ActionKind.DEGRADE: "simpler answers of {service} without {target}",
    ActionKind.DISABLE_TOOL: "tool {target} of {service} switched off",
    ActionKind.CAP_TOKENS: "shorter answers of {service} from {target}",
    ActionKind.FLUSH_CACHE: "cache of {service} flushed",
}


class RuleMode(StrEnum):
    """How much a rule may do by itself."""

    OFF = "off"
    SHADOW = "shadow"
    APPROVE = "approve"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Treatment:
    """One thing to try: the same action in every commandable caller of the target."""

    kind: ActionKind
    parameters: Mapping[str, str | int | float | bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """For which diagnoses, what, and how freely."""

    name: str
    fault_class: str
    kind: str  # of the target: provider, dependency, service, zone; "" for any
    target: str  # pattern of the peer's name; "*" for any
    mode: RuleMode
    treatments: tuple[Treatment, ...]
    ttl_s: float
    probe_share: float

    def fits(self, fault_class: str, suspect: Suspect) -> bool:
        return (
            self.fault_class == fault_class
            and self.kind in ("", suspect.kind)
            and fnmatchcase(suspect.target.peer, self.target)
        )


@dataclass(frozen=True)
class Policy:
    """The rules in the order of the file; the first that fits decides."""

    rules: tuple[Rule, ...]
    act_gate: float
    ask_gate: float

    @classmethod
    def load(cls, path: Path | None = None) -> "Policy":
        """The policy of a file; without one the one that comes with paramedic.

        Raises:
            ValueError: The file has mistakes; the message has one line for each.
        """
        raw = read_policy(path)
        return cls(tuple(_rule(one, raw["defaults"]) for one in raw["rules"]), raw["gates"]["act"], raw["gates"]["ask"])

    def rule_of(self, diagnosis: Diagnosis) -> Rule | None:
        """The rule that decides about a diagnosis."""
        if not diagnosis.suspects:
            return None
        return next((r for r in self.rules if r.fits(diagnosis.fault_class, diagnosis.suspects[0])), None)

    def decide(
        self,
        diagnosis: Diagnosis,
        topology: Topology,
        tried: Sequence[ActionSpec],
        running: Sequence[ActionSpec],
        commandable: frozenset[str],
        stopped: bool,
        now: float,
    ) -> Decision:
        """What to do now for one incident.

        Args:
            diagnosis: What is wrong and where.
            topology: Who calls whom, and who is well.
            tried: Actions of this incident that ended without success.
            running: Actions in force or on their way, of all incidents.
            commandable: Services whose bots are connected.
            stopped: The global stop is on.
            now: Unix seconds.
        """
        if diagnosis.fault_class == UNKNOWN or not diagnosis.suspects:
            return Decision(Mode.TELL, Reason.UNKNOWN_CLASS, "", sentence="the fault is not known, so nothing is done")
        rule = self.rule_of(diagnosis)
        if rule is None or rule.mode is RuleMode.OFF or not rule.treatments:
            sentence = f"no rule treats {diagnosis.fault_class} of {diagnosis.suspects[0].target}"
            return Decision(Mode.TELL, Reason.NO_RULE, rule.name if rule else "", sentence=sentence)
        target = diagnosis.suspects[0].target
        if any(_overlap(spec.target, target) for spec in running):
            sentence = f"{target} is being treated; one treatment at a time"
            return Decision(Mode.TELL, Reason.ALREADY_TREATED, rule.name, sentence=sentence)
        treatment = _next_treatment(rule, target, tried)
        if treatment is None:
            sentence = f"every treatment of rule {rule.name} was tried on {target}"
            return Decision(Mode.TELL, Reason.EXHAUSTED, rule.name, sentence=sentence)
        return self._with_callers(diagnosis, rule, treatment, topology, running, commandable, stopped)

    def _with_callers(
        self,
        diagnosis: Diagnosis,
        rule: Rule,
        treatment: Treatment,
        topology: Topology,
        running: Sequence[ActionSpec],
        commandable: frozenset[str],
        stopped: bool,
    ) -> Decision:
        target = diagnosis.suspects[0].target
        callers = [caller for caller in topology.callers(target) if caller in commandable]
        if not callers:
            sentence = f"no connected bot calls {target}, so nobody can be told to do anything about it"
            return Decision(Mode.TELL, Reason.NO_CALLER, rule.name, sentence=sentence)
        if treatment.kind in LEAVING:
            callers = [caller for caller in callers if _has_another(caller, target, topology, running)]
        if not callers:
            sentence = f"{target} is the last that is well enough; leaving it would hurt more"
            return Decision(Mode.TELL, Reason.LAST_HEALTHY, rule.name, sentence=sentence)
        actions = tuple(
            ActionSpec(treatment.kind, caller, target, rule.ttl_s, rule.probe_share, treatment.parameters)
            for caller in callers
        )
        mode, reason = self._gate(rule, diagnosis.probability, stopped)
        return Decision(mode, reason, rule.name, actions, _sentence(actions, diagnosis))

    def _gate(self, rule: Rule, probability: float, stopped: bool) -> tuple[Mode, Reason]:
        if stopped:
            return Mode.TELL, Reason.STOPPED
        if probability < self.ask_gate:
            return Mode.TELL, Reason.NOT_SURE
        if rule.mode is RuleMode.SHADOW:
            return Mode.TELL, Reason.SHADOW
        if rule.mode is RuleMode.AUTO and probability >= self.act_gate:
            return Mode.ACT, Reason.CONFIDENT
        return Mode.ASK, Reason.NEEDS_APPROVAL


def _rule(raw: Mapping[str, object], defaults: Mapping[str, object]) -> Rule:
    one = {"kind": "", "target": "*", "treatments": [], **defaults, **raw}
    treatments = tuple(
        Treatment(ActionKind(treatment["kind"]), dict(treatment.get("parameters", {})))
        for treatment in one.pop("treatments")  # type: ignore[attr-defined]
    )
    return Rule(**{**one, "mode": RuleMode(one["mode"]), "treatments": treatments})  # type: ignore[arg-type]


def _next_treatment(rule: Rule, target: Target, tried: Sequence[ActionSpec]) -> Treatment | None:
    done = {(spec.kind, tuple(sorted(spec.parameters.items()))) for spec in tried if _overlap(spec.target, target)}
    return next((t for t in rule.treatments if (t.kind, tuple(sorted(t.parameters.items()))) not in done), None)


def _overlap(one: Target, other: Target) -> bool:
    """Whether two targets share a callee."""
    return one.peer == other.peer and (not one.zone or not other.zone or one.zone == other.zone)


def _has_another(caller: str, target: Target, topology: Topology, running: Sequence[ActionSpec]) -> bool:
    """Whether somebody well is left for this caller when it leaves the target."""
    left = {spec.target for spec in running if spec.kind in LEAVING}
    if target.zone:
        healthy = set(topology.healthy_members(target.peer)) - {target.zone}
        return bool(healthy - {spec.zone for spec in left if spec.peer == target.peer})
    others = topology.alternatives(caller, target.peer)
    taken = {spec.peer for spec in left}
    return not others or any(peer not in taken for peer in topology.well(others))


def _sentence(actions: Sequence[ActionSpec], diagnosis: Diagnosis) -> str:
    what = _VERBS[actions[0].kind].format(
        service=" and ".join(spec.service for spec in actions), target=actions[0].target
    )
    return f"{what}, because {diagnosis.summary}"
