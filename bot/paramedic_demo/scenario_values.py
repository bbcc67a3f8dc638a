"""A scenario: which faults hurt the demo, when, and what is the truth about each.

Scenario ---- warm-up ---- fault ---- fault ---- end        times are seconds after the start of the run
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from paramedic.contract.command import Target
from paramedic_demo.faults import Number

ZONES = ("eu-1a", "eu-1b")  # of the support bot
USERS = "users"  # whom a surge brings
LINK = "link"  # the way to the orders
# Who is struck when that is not who is named.
BY_KIND = {"delay": (LINK,), "loss": (LINK,), "retries": ("orders", "support-bot"), "batch": ("batch",)}
BY_TARGET = {"nlu": ("support-bot",)}  # the classifier is a part of each bot
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

    @property
    def struck(self) -> tuple[str, ...]:
        """The processes that are broken: mostly the one that is named."""
        return BY_KIND.get(self.kind) or BY_TARGET.get(self.target) or (self.target,)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A run of the demo: traffic for some time, and faults."""

    name: str
    duration_s: float
    traffic: Traffic
    faults: tuple[Fault, ...]  # in order of `at_s`
    description: str = ""
    oddities: tuple[Fault, ...] = ()  # what is strange and no fault, in order of `at_s`

    @property
    def happenings(self) -> tuple[Fault, ...]:
        """Faults and oddities, in order of `at_s`."""
        return tuple(sorted((*self.faults, *self.oddities), key=lambda one: one.at_s))

    @property
    def warm_up_s(self) -> float:
        """Until the first fault or oddity; the whole run when there is none."""
        return self.happenings[0].at_s if self.happenings else self.duration_s

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

        def all_moved(happenings: tuple[Fault, ...]) -> tuple[Fault, ...]:
            return tuple(replace(one, at_s=moved(one.at_s), until_s=moved(one.until_s)) for one in happenings)

        faults, oddities = all_moved(self.faults), all_moved(self.oddities)
        return replace(self, duration_s=duration_s, faults=faults, oddities=oddities)
