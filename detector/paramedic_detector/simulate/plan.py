"""What happens in a simulated run: traffic for some time, faults, and oddities that are no fault.

Plan ---- warm-up ---- fault ---- oddity ---- fault ---- end      times are seconds after the start of the run
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from paramedic.contract.command import Target
from paramedic_detector.simulate.graph import Graph

START: Final = 1_767_225_600.0  # a Thursday, midnight UTC: where a run begins when nobody says otherwise
DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that is different for a while.

    Attributes:
        kind: One of `kinds.KINDS`.
        target: What it strikes, by name; empty: all of the zone, or the users.
        zone: Of the target; empty for all zones.
        severity: Share of the calls that it strikes, 0 to 1.
        fault_class: The truth; empty for an oddity that must not be reported.
        root_cause: What a diagnosis should name first.
    """

    name: str
    at_s: float
    until_s: float
    kind: str
    target: str
    zone: str = ""
    severity: float = 1.0
    parameters: Mapping[str, float] = field(default_factory=dict)
    fault_class: str = ""
    root_cause: Target = field(default_factory=Target)

    @property
    def is_fault(self) -> bool:
        return bool(self.fault_class)


@dataclass(frozen=True, slots=True)
class Plan:
    """One run.

    Attributes:
        daily: How far the rate of the day swings: 0 not at all, 0.6 from 0.4 to 1.6 times the mean.
        bursts: Whether calm and burst alternate as with the demo's customers.
        start: Unix seconds; its hour decides where in the day the run begins.
    """

    name: str
    graph: Graph
    duration_s: float
    happenings: tuple[Happening, ...] = ()
    rate_per_s: float = 10.0
    daily: float = 0.0
    bursts: bool = True
    start: float = START
    description: str = ""

    @property
    def faults(self) -> tuple[Happening, ...]:
        return tuple(one for one in self.happenings if one.is_fault)

    @property
    def oddities(self) -> tuple[Happening, ...]:
        return tuple(one for one in self.happenings if not one.is_fault)

    @property
    def clean_s(self) -> float:
        """Seconds in which no fault is present."""
        busy, end = 0.0, 0.0
        for fault in sorted(self.faults, key=lambda one: one.at_s):
            busy += max(0.0, fault.until_s - max(end, fault.at_s))
            end = max(end, fault.until_s)
        return self.duration_s - busy
