"""Episodes for training: what an open incident looks like at some moments, with the truth beside it.

    Plan, seed --> World --> the production engine --each diagnosis--> Episode --> take(Episode) --> whatever it gives

An episode's table and topology are the living ones, so it is read while it lasts: `take` is called at once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from paramedic.contract.command import Target
from paramedic_detector.diagnosis.diagnoser import Diagnoser
from paramedic_detector.evaluate.virtual import VirtualDesk
from paramedic_detector.incidents.grouping import blamed
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.simulate.plan import Happening, Plan
from paramedic_detector.simulate.world import World
from paramedic_detector.values import Alert, Diagnosis

T = TypeVar("T")
AGES_S: Final = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)  # since the first diagnosis of a fault
AFTER_S: Final = 20.0  # a fault is still the cause so long after its end
EARLY_S: Final = 3.0  # an onset may lie so far before it


@dataclass(frozen=True, slots=True)
class Episode:
    """What a diagnoser is given, and what it should say.

    Attributes:
        truth_class: Empty when nothing is broken: an incident that should not be.
        kind: What was done: one of `kinds.KINDS`; empty as above.
        age_s: Since the fault's first diagnosis.
        run: Of which plan: episodes of one run belong together, on one side of every split.
    """

    alerts: tuple[Alert, ...]
    table: SeriesTable
    topology: Topology
    now: float
    onset: float
    truth_class: str
    truth_target: Target
    kind: str = ""
    severity: float = 1.0
    age_s: float = 0.0
    run: str = ""
    past: tuple[tuple[float, float], ...] = ()


class Witness:
    """A diagnoser that shows what it is asked about, before another one answers."""

    def __init__(self, plan: Plan, take: Callable[[Episode], None], inner: Any) -> None:
        self._plan, self._take, self._inner = plan, take, inner
        self._first: dict[str, float] = {}
        self._shown: dict[str, int] = {}

    def diagnose(
        self,
        alerts: Sequence[Alert],
        table: SeriesTable,
        topology: Topology,
        now: float,
        onset: float,
        *more: Any,
        **named: Any,
    ) -> Diagnosis:
        past = tuple(more[0]) if more else tuple(named.get("past", ()))
        self._show(tuple(alerts), table, topology, now, onset, past)
        answer: Diagnosis = self._inner.diagnose(alerts, table, topology, now, onset, *more, **named)
        return answer

    def _show(
        self, alerts: tuple[Alert, ...], table: SeriesTable, topology: Topology, now: float, onset: float,
        past: tuple[tuple[float, float], ...],
    ) -> None:  # fmt: skip
        found = truth_of(self._plan, alerts, topology, now, onset)
        if found is None:
            return
        name = found.name if found.is_fault else f"nothing {onset:.0f}"
        age_s = now - self._first.setdefault(name, now)
        due = sum(age_s >= moment for moment in AGES_S)
        if due <= self._shown.get(name, 0):
            return
        self._shown[name] = due
        self._take(
            Episode(
                alerts, table, topology, now, onset, found.fault_class, found.root_cause,
                found.kind if found.is_fault else "",                found.severity, age_s, self._plan.name, past,
            )
        )  # fmt: skip


def truth_of(plan: Plan, alerts: Sequence[Alert], topology: Topology, now: float, onset: float) -> Happening | None:
    """The fault that an incident is about: one that goes on, and of several the one that its alerts lead to.

    Returns:
        A happening without a class when nothing is broken; None when it cannot be said.
    """
    going_on = [
        fault for fault in plan.faults
        if plan.start + fault.at_s <= now and onset - EARLY_S <= plan.start + fault.until_s + AFTER_S
        and now <= plan.start + fault.until_s + AFTER_S
    ]  # fmt: skip
    if not going_on:
        recent = [fault for fault in plan.faults if 0 <= now - plan.start - fault.until_s <= 120]
        return None if recent else Happening("", 0, 0, "", "")
    if len(going_on) == 1:
        return going_on[0]
    peers = {blamed(alert).peer for alert in alerts}
    direct = [fault for fault in going_on if fault.root_cause.peer in peers]
    return direct[0] if len(direct) == 1 else None


def episodes(plan: Plan, seed: int, take: Callable[[Episode], T], *, diagnoser: Any = None, **desk: Any) -> Iterator[T]:
    """What `take` makes of each episode of one run.

    Args:
        diagnoser: Answers the engine; the usual one when not given.
        desk: Of `VirtualDesk`: scorer, grouper, history_s.
    """
    found: list[T] = []
    witness = Witness(plan, lambda episode: found.append(take(episode)), diagnoser or Diagnoser.load())
    with VirtualDesk(plan.start, diagnoser=witness, rules=False, **desk) as virtual:
        for _ in virtual.live(World(plan, seed).batches()):
            yield from found
            found.clear()
