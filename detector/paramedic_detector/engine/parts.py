"""What the engine is built from: the tick that goes through the stages, their contract, and the judges they ask.

The judges are protocols, so that a test may put a scripted one in the place of each.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from paramedic.contract.command import Target
from paramedic_collector.windows import SeriesKey, WindowBatch
from paramedic_detector.actions import Patience
from paramedic_detector.commands import CommandHub
from paramedic_detector.evidence import Vitals
from paramedic_detector.incidents.grouping import Change, OpenIncident
from paramedic_detector.incidents.pause import Pauses
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.slo.judge import Objectives
from paramedic_detector.store.incidents import Case
from paramedic_detector.store.store import Store
from paramedic_detector.values import ActionSpec, Alert, Decision, Diagnosis, Verdict


class Scores(Protocol):
    def score(self, table: SeriesTable, now: float, frozen: frozenset[SeriesKey]) -> list[Alert]: ...

    def checkpoint(self) -> bytes: ...


class Rules(Protocol):
    @property
    def fired_at_once(self) -> int: ...

    def evaluate(self, table: SeriesTable, now: float) -> list[str]: ...


class Groups(Protocol):
    @property
    def pauses(self) -> Pauses: ...

    def update(
        self, open_incidents: list[OpenIncident], alerts: list[Alert], topology: Topology, now: float
    ) -> Sequence[Change]: ...


class Diagnoses(Protocol):
    def diagnose(
        self,
        alerts: Sequence[Alert],
        table: SeriesTable,
        topology: Topology,
        now: float,
        onset: float,
        past: Sequence[tuple[float, float]] = (),
    ) -> Diagnosis: ...


class Burns(Protocol):
    def evaluate(self, table: SeriesTable, topology: Topology, now: float) -> list[Alert]: ...

    def checkpoint(self) -> bytes: ...


class Policies(Protocol):
    def decide(
        self,
        diagnosis: Diagnosis,
        topology: Topology,
        tried: Sequence[ActionSpec],
        running: Sequence[ActionSpec],
        commandable: frozenset[str],
        stopped: bool,
        now: float,
    ) -> Decision: ...


class Verifies(Protocol):
    def __call__(
        self, spec: ActionSpec, applied_at: float, onset: float, table: SeriesTable, topology: Topology, now: float
    ) -> Verdict: ...


class Recorder(Protocol):
    """The flight recorder: raw spans of the last minutes."""

    def traces(self, trace_ids: Iterable[str]) -> Mapping[str, Sequence[Any]]: ...


class KeepsTraces(Protocol):
    """Sees to it that example traces of open incidents are also forwarded, whatever samples them."""

    def __call__(self, trace_ids: Collection[str], /) -> None: ...


def keeps_none(_trace_ids: Collection[str], /) -> None:
    """For a collector that forwards nothing, or elsewhere."""


@dataclass(frozen=True, slots=True)
class Judges:
    """The pure side."""

    scorer: Scores
    rules: Rules
    grouper: Groups
    diagnoser: Diagnoses
    policy: Policies
    verdict: Verifies
    objectives: Burns = field(default_factory=Objectives)


@dataclass(frozen=True, slots=True)
class Timing:
    """Waits of the engine, in seconds."""

    tick_s: float = 0.5  # between two rounds
    quiet_s: float = 10.0  # without an alert and with nothing in force, before an incident is over
    settle_s: float = 5.0  # in which a diagnosis may still grow sure
    cooldown_s: float = 10.0  # after a recovery, in which alerts may still be about what was
    fresh_s: float = 5.0  # without an alert, after which nothing new is begun
    approval_s: float = 900.0  # a proposal waits for a person
    stale_s: float = 300.0  # of quiet with an action in force, after which it is taken back
    resume_s: float = 300.0  # after the end of a lease, in which a restarted detector takes it up again
    store_grace_s: float = 120.0  # without a store, in which leases are still renewed
    traces_s: float = 3.0  # between two questions to the flight recorder
    patience: Patience = field(default_factory=Patience)


@dataclass(slots=True)
class Parts:
    """Everything that stages share."""

    vitals: Vitals
    judges: Judges
    store: Store
    hub: CommandHub
    recorder: Recorder
    timing: Timing
    new_id: Callable[[], str]  # of a command or treatment: never twice the same, also over restarts
    public_url: str = ""
    keep_traces: KeepsTraces = keeps_none
    endpoints: tuple[str, ...] = ()  # names of the channels that messages go to

    @property
    def topology(self) -> Topology:
        if self.vitals.topology is None:
            raise LookupError("no topology before the first windows")
        return self.vitals.topology


@dataclass(frozen=True, slots=True)
class Tick:
    """One round through the stages: each gives it on with what it found out."""

    now: float
    batches: tuple[WindowBatch, ...] = ()
    alerts: tuple[Alert, ...] = ()
    raw_alerts: int = 0  # firing transitions of the published rule set
    cases: tuple[Case, ...] = ()  # incidents that are open, or were resolved in this round
    quiet_since: Mapping[int, float] = field(default_factory=dict)  # by number of the incident


class Stage(Protocol):
    """One step of the pipeline.

    Raises:
        StoreDown: It could not be done now; the next round does it.
    """

    name: str

    def __call__(self, tick: Tick) -> Tick: ...


def target_of(case: Case) -> Target | None:
    """What the incident is about, once it is diagnosed."""
    row = case.incident
    target = Target(peer=row.peer, zone=row.zone, guard=row.guard)
    return target if str(target) else None
