"""When users call: a Poisson process whose rate follows the day, calm and burst, and what the plan says.

    calm, 0.7 of the mean rate, 20 s on average  <-->  burst, 2.2 times the mean rate, 5 s on average

An open loop: users do not wait for each other. Source: the demo's load generator (a Markov modulated Poisson process),
and for the day the usual shape of a web service's traffic, one crest in the afternoon and one trough at night.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.simulate.effects import Effects, parameter
from paramedic_detector.simulate.kinds import USERS
from paramedic_detector.simulate.plan import DAY_S, Plan

Floats = NDArray[np.float64]
CALM: Final = (0.7, 20.0)  # factor of the mean rate, seconds on average
BURST: Final = (2.2, 5.0)
CREST_H: Final = 15.0  # hour of the day with the most traffic, UTC


class Traffic:
    """Arrivals of one plan, stretch after stretch."""

    def __init__(self, plan: Plan, rng: np.random.Generator) -> None:
        self._plan, self._rng = plan, rng
        self._mood, self._until = CALM, 0.0
        if plan.bursts:
            self._until = plan.start + rng.exponential(CALM[1])

    def arrivals(self, begin: float, end: float, effects: Effects) -> Floats:
        """Unix seconds of users' calls in [begin, end), whole seconds, ascending."""
        seconds = np.arange(int(begin), int(end), dtype=np.float64)
        rates = self._plan.rate_per_s * self._daily(seconds) * self._moods(seconds)
        for one in effects.of(USERS, "surge"):
            rates[effects.during(one, seconds)] *= parameter(one, "factor")
        counts = self._rng.poisson(rates)
        at = np.repeat(seconds, counts) + self._rng.random(int(counts.sum()))
        at.sort()
        return np.asarray(at)

    def _daily(self, seconds: Floats) -> Floats:
        angle = 2 * np.pi * ((seconds % DAY_S) / DAY_S - CREST_H / 24)
        return np.asarray(1 + self._plan.daily * np.cos(angle))

    def _moods(self, seconds: Floats) -> Floats:
        factors = np.ones(len(seconds))
        if not self._plan.bursts:
            return factors
        for place, second in enumerate(seconds.tolist()):
            while second >= self._until:
                self._mood = BURST if self._mood is CALM else CALM
                self._until += self._rng.exponential(self._mood[1])
            factors[place] = self._mood[0]
        return factors
