"""A scenario: which faults hurt the demo, when, and what is the truth about each.

Scenario ---- warm-up ---- fault ---- fault ---- end        times are seconds after the start of the run
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from paramedic.contract.command import Target
from paramedic_demo.faults import Number

ZONES = ("eu-1a", "eu-1b")  # of the support bot
WARM_UP_S = 30.0  # before the first fault a shorter run keeps this much, since baselines need it
SHORTEST_FAULT_S = 5.0  # below that nobody could have noticed, treated and proved anything


@dataclass(frozen=True, slots=True)
class Traffic:
    """What users do meanwhile."""

    rate_per_s: float = 10.0  # chat requests, on average


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is broken for a while, and the truth about it."""

    name: str
    at_s: float  # seconds after the start of the run
    until_s: float
    kind: str
    target: str  # process, as callers name it; empty: all of the zone
    fault_class: str
    root_cause: Target  # what a diagnosis should name first
    zone: str = ""  # empty: all zones
    severity: float = 1.0  # share of the calls that it hurts, 0 to 1
    parameters: Mapping[str, Number] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A run of the demo: traffic for some time, and faults."""

    name: str
    duration_s: float
    traffic: Traffic
    faults: tuple[Fault, ...]  # in order of `at_s`
    description: str = ""

    @property
    def warm_up_s(self) -> float:
        """Until the first fault; the whole run when there is none."""
        return self.faults[0].at_s if self.faults else self.duration_s

    @property
    def shortest_s(self) -> float:
        """The least duration to which this can be scaled."""
        if not self.faults:
            return 1.0
        shortest_s = min(fault.until_s - fault.at_s for fault in self.faults)
        after_warm_up_s = (self.duration_s - self.warm_up_s) * min(SHORTEST_FAULT_S / shortest_s, 1.0)
        return min(self.warm_up_s, WARM_UP_S) + after_warm_up_s

    def scaled(self, duration_s: float) -> "Scenario":
        """The same faults in the same order in another time.

        All times stretch and shrink alike, but for the warm-up, which keeps up to WARM_UP_S.

        Raises:
            ValueError: A fault would be shorter than SHORTEST_FAULT_S; the message says how long a run must be.
        """
        if not self.shortest_s - 1e-9 <= duration_s < math.inf:
            least_s = math.ceil(self.shortest_s)
            raise ValueError(f"duration of {self.name} must be at least {least_s} s for its faults, got {duration_s!r}")
        before = max(self.warm_up_s * duration_s / self.duration_s, min(self.warm_up_s, WARM_UP_S))
        rest = self.duration_s - self.warm_up_s
        stretch = (duration_s - before) / rest if rest else 1.0

        def moved(at_s: float) -> float:
            return before + (at_s - self.warm_up_s) * stretch

        faults = tuple(replace(fault, at_s=moved(fault.at_s), until_s=moved(fault.until_s)) for fault in self.faults)
        return replace(self, duration_s=duration_s, faults=faults)
