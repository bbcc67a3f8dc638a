"""A desk without a store: the loop that walks from batches to incidents and commands, for tests in virtual time."""

from dataclasses import dataclass, field

from judge_fleet import VirtualFleet

from paramedic_detector.diagnosis.diagnoser import Diagnoser
from paramedic_detector.incidents.grouping import QUIET_S, Grouper, Opened, OpenIncident, Quiet, Updated
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.policy import Policy
from paramedic_detector.rules import RuleSet
from paramedic_detector.scores.scorer import Scorer
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import ActionSpec, Alert, Diagnosis, Mode, Outcome, Verdict
from paramedic_detector.verify import verdict

COOLDOWN_S, FRESH_S = 10.0, 5.0  # as the engine has them


@dataclass
class Case:
    """One incident as the desk sees it."""

    id: str
    opened_at: float
    onset: float
    alerts: dict[str, Alert]
    diagnoses: list[tuple[float, Diagnosis]] = field(default_factory=list)
    last_alert_at: float = 0.0
    resolved_at: float | None = None
    actions: list[tuple[ActionSpec, float]] = field(default_factory=list)
    verified_at: float | None = None
    recovered_at: float = 0.0
    outcomes: list[Verdict] = field(default_factory=list)
    tried: list[ActionSpec] = field(default_factory=list)

    @property
    def diagnosis(self) -> Diagnosis:
        return self.diagnoses[-1][1]

    def sure_at(self, fault_class: str, target: str, gate: float = 0.9) -> float | None:
        """When the diagnosis first was this, at the gate."""
        for at, found in self.diagnoses:
            named = (found.fault_class, str(found.suspects[0].target) if found.suspects else "")
            if named == (fault_class, target) and found.probability >= gate:
                return at
        return None


class Desk:
    """Steps twice a second; acts only when told to."""

    def __init__(self, fleet: VirtualFleet, *, acts: bool = False, rules: bool = False) -> None:
        self.fleet, self.acts = fleet, acts
        self.table, self.scorer, self.grouper = SeriesTable(), Scorer(), Grouper()
        self.diagnoser, self.policy = Diagnoser.load(), Policy.load()
        self.rules = RuleSet.load() if rules else None
        self.cases: list[Case] = []
        self.log: list[str] = []

    @property
    def open_cases(self) -> list[Case]:
        return [case for case in self.cases if case.resolved_at is None]

    def run(self, until_s: float, step_s: float = 0.5) -> None:
        at = self.fleet.now - self.fleet.start
        while at < until_s - 1e-9:
            at = min(until_s, at + step_s)
            for batch in self.fleet.run(at):
                self.table.add(batch)
            self.step(self.fleet.start + at)

    def step(self, now: float) -> None:
        frozen = frozenset(alert.key for case in self.open_cases for alert in case.alerts.values())
        alerts = self.scorer.score(self.table, now, frozen)
        if self.rules:
            self.rules.evaluate(self.table, now)
        if not alerts and not self.open_cases:
            self.grouper.update([], [], Topology((), ()), now)
            return
        topology = Topology.of(self.table, now)
        for change in self.grouper.update([self._known(case) for case in self.open_cases], alerts, topology, now):
            self._take(change, now)
        for case in self.open_cases:
            self._treat(case, topology, now)

    def _known(self, case: Case) -> OpenIncident:
        target = case.diagnosis.suspects[0].target if case.diagnoses and case.diagnosis.suspects else None
        prints = frozenset(alert.fingerprint for alert in case.alerts.values())
        return OpenIncident(case.id, target, case.opened_at, prints, case.last_alert_at)

    def _take(self, change: Opened | Updated | Quiet, now: float) -> None:
        if isinstance(change, Opened):
            onset = min(alert.onset for alert in change.alerts)
            case = Case(f"INC-{len(self.cases) + 1}", now, onset, {a.fingerprint: a for a in change.alerts})
            case.last_alert_at = now
            self.cases.append(case)
            self._say(now, f"{case.id} opens: " + " | ".join(f"{a.fingerprint} {a.score:.1f}" for a in change.alerts))
            return
        case = next(case for case in self.cases if case.id == change.id)
        if isinstance(change, Updated):
            case.resolved_at = None
            case.alerts |= {alert.fingerprint: alert for alert in change.alerts}
            case.last_alert_at = now
        elif case.resolved_at is None and not case.actions and now - case.recovered_at > QUIET_S:
            self._close(case, now, "quiet")

    def _treat(self, case: Case, topology: Topology, now: float) -> None:
        if case.last_alert_at == now:
            found = self.diagnoser.diagnose(list(case.alerts.values()), self.table, topology, now, case.onset)
            case.diagnoses.append((now, found))
        if not self.acts:
            return
        for spec, applied_at in case.actions:
            said = verdict(spec, applied_at, case.onset, self.table, topology, now)
            case.outcomes.append(said)
            if said.outcome is Outcome.VERIFIED and case.verified_at is None:
                case.verified_at = now
                self._say(now, f"{case.id} verified: {said.sentence}")
            if said.recovered:
                self._say(now, f"{case.id} recovered: {said.sentence}")
                self._take_back(case)
                case.recovered_at = now
                return
        stale = case.last_alert_at < now - FRESH_S or case.last_alert_at < case.recovered_at + COOLDOWN_S
        if case.actions or (stale and case.recovered_at):
            return
        running = [spec for other in self.open_cases for spec, _ in other.actions]
        commandable = frozenset({"front-door", "support-bot"})
        decision = self.policy.decide(case.diagnosis, topology, case.tried, running, commandable, False, now)
        if decision.mode is Mode.ACT:
            self._say(now, f"{case.id} acts: {decision.sentence}")
            for spec in decision.actions:
                self.fleet.command(spec.service, spec.target.peer, spec.target.zone, spec.probe_share)
                case.actions.append((spec, now))

    def _close(self, case: Case, now: float, why: str) -> None:
        case.resolved_at = now
        self._take_back(case)
        self._say(now, f"{case.id} closes: {why}")

    def _take_back(self, case: Case) -> None:
        for spec, _ in case.actions:
            self.fleet.command(spec.service, spec.target.peer, spec.target.zone, None)
        case.actions = []

    def _say(self, now: float, text: str) -> None:
        self.log.append(f"{now - self.fleet.start:6.1f} {text}")

    def restart(self) -> None:
        """Die and come back from checkpoints."""
        self.table = SeriesTable.restore(self.table.checkpoint())
        self.scorer = Scorer.restore(self.scorer.checkpoint())
        self.grouper = Grouper()
