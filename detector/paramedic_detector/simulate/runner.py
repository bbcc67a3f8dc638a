"""One simulated run through the production engine: which incidents it opened, beside what was true.

    Plan, seed --World--> batches --VirtualDesk--> incidents --match--> Result --card--> scorecard

Windows reach the engine when their second is over; a live system's come about a second later.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from paramedic_detector.evaluate.virtual import SeenIncident, VirtualDesk
from paramedic_detector.simulate.forecasts import NOTHING_TOLD, Forecasts, forecasts_of
from paramedic_detector.simulate.plan import Happening, Plan
from paramedic_detector.simulate.world import World
from paramedic_detector.values import Diagnosis

GRACE_S: Final = 30.0  # how long after its end a fault may still echo
HISTORY_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Result:
    """What one run gave."""

    plan: Plan
    seed: int
    of: tuple[SeenIncident | None, ...]  # in the order of the plan's faults
    extra: tuple[SeenIncident, ...]  # a second one for a fault
    false: tuple[SeenIncident, ...]
    incidents: int
    alerts: int
    raw_alerts: int
    notifications: int
    seconds: float  # of real time
    forecasts: Forecasts = NOTHING_TOLD


def run(plan: Plan, seed: int, *, progress: Callable[[float], None] | None = None, **desk: Any) -> Result:
    """Run a plan through the engine.

    Args:
        progress: Told now and then which share of the run is done.
        desk: Of `VirtualDesk`: scorer, diagnoser, grouper, history_s, rules.
    """
    began = time.perf_counter()
    with VirtualDesk(plan.start, **{"history_s": HISTORY_S, **desk}) as virtual:
        for batch in virtual.live(World(plan, seed).batches()):
            if progress and batch.sequence % 60 == 0:
                progress((batch.watermark - plan.start) / plan.duration_s)
        incidents = sorted(virtual.incidents.values(), key=lambda one: one.opened_at)
        of, extra, false = match(plan, incidents)
        return Result(
            plan, seed, of, extra, false, len(incidents), len(virtual.alerts_log), virtual.raw_alerts,
            virtual.notifications, time.perf_counter() - began, forecasts_of(plan, virtual.alerts_log),
        )  # fmt: skip


def match(
    plan: Plan, incidents: Sequence[SeenIncident]
) -> tuple[tuple[SeenIncident | None, ...], tuple[SeenIncident, ...], tuple[SeenIncident, ...]]:
    """Give each fault its incident: one with the right target rather than an earlier one without.

    Returns:
        The incident of each fault (None: not detected); those that tell of a fault once more; the false ones.
    """
    left = list(incidents)
    chosen: dict[int, SeenIncident] = {}
    for right_target in (True, False):
        for place, fault in enumerate(plan.faults):
            if place in chosen:
                continue
            found = next((one for one in left if _tells_of(plan, one, fault, right_target=right_target)), None)
            if found is not None:
                chosen[place] = found
                left.remove(found)
    extra = tuple(one for one in left if any(_echoes(plan, one, fault) for fault in plan.faults))
    return (
        tuple(chosen.get(place) for place in range(len(plan.faults))),
        extra,
        tuple(one for one in left if one not in extra),
    )


def _tells_of(plan: Plan, incident: SeenIncident, fault: Happening, *, right_target: bool) -> bool:
    in_time = plan.start + fault.at_s <= incident.opened_at <= plan.start + fault.until_s + 1
    return in_time and (not right_target or rank(plan, incident, fault) == 1)


def _echoes(plan: Plan, incident: SeenIncident, fault: Happening) -> bool:
    return plan.start + fault.at_s <= incident.opened_at <= plan.start + fault.until_s + GRACE_S


def said(plan: Plan, incident: SeenIncident, fault: Happening) -> Diagnosis | None:
    """The last diagnosis that was made while the fault lasted; the first one when all came later."""
    until = plan.start + fault.until_s + 1
    before = [diagnosis for at, diagnosis in incident.diagnoses if at <= until]
    return before[-1] if before else next((diagnosis for _, diagnosis in incident.diagnoses), None)


def rank(plan: Plan, incident: SeenIncident, fault: Happening) -> int | None:
    """At which place of the suspects the root cause stands; None when it is not among them."""
    diagnosis = said(plan, incident, fault)
    targets = [suspect.target for suspect in diagnosis.suspects] if diagnosis else []
    return targets.index(fault.root_cause) + 1 if fault.root_cause in targets else None
