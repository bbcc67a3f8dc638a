"""When customers write: a Poisson process whose rate changes between calm and burst (a Markov modulated one).

    calm, 0.7 of the mean rate, 20 s on average  <-->  burst, 2.2 times the mean rate, 5 s on average

The moments depend on the random generator and on nothing that happens later: an open loop, as with real customers,
who do not wait for each other's answers.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mood:
    """How busy it is for a while."""

    factor: float  # of the mean rate
    mean_s: float  # how long it lasts, on average


CALM, BURST = Mood(0.7, 20.0), Mood(2.2, 5.0)  # together they give the mean rate


def arrival_times(rng: random.Random, rate_per_s: float) -> Iterator[float]:
    """Seconds after the start, rising, without end.

    Raises:
        ValueError: The rate is not above 0.
    """
    if not rate_per_s > 0:
        raise ValueError(f"rate must be above 0 requests a second, got {rate_per_s!r}")
    at, mood, changes = 0.0, CALM, rng.expovariate(1 / CALM.mean_s)
    while True:
        gap = rng.expovariate(rate_per_s * mood.factor)
        if at + gap < changes:
            at += gap
            yield at
        else:  # exponential gaps forget, so that the draw may start anew where the mood changes
            at, mood = changes, BURST if mood is CALM else CALM
            changes = at + rng.expovariate(1 / mood.mean_s)
