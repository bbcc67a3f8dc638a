"""Evidence of several kinds made one: each against its own noise in quiet time, then a sum of logarithms.

    S(name) = sum over modules of  max(0, ln(score / noise)) + a little for what lies below its noise

The sum of logarithms lets the one module that is far outside its own noise decide. Ranks would not: a module that sees
nothing ranks the names all the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.diagnosis.causes.module import Evidence, Module
from paramedic_detector.diagnosis.causes.view import View

Floats = NDArray[np.float64]
NOISE_Q: Final = 0.9  # of what the loudest name of each quiet piece scores
ENOUGH_PIECES: Final = 4  # with fewer, their loudest
WORTH: Final = 0.2  # of the usual amount of data, which a quiet piece must have to count
BELOW_NOISE: Final = 0.1  # weight of scores that are no evidence: they only break ties


@dataclass(frozen=True)
class Part:
    """What one module says of each name in the window."""

    module: str
    gain: Floats  # (names,) nats above its noise, from 0 up
    tie: Floats  # (names,) 0 to 1
    evidence: Evidence


def noise_of(quiet: Evidence | None, least: float) -> float:
    """What the module says when nothing is wrong."""
    if quiet is None or not len(quiet.scores):
        return least
    usual = float(np.median(quiet.weight[quiet.weight > 0])) if (quiet.weight > 0).any() else 0.0
    loudest = quiet.scores[(quiet.weight >= WORTH * usual) & (quiet.weight > 0)].max(axis=1, initial=0.0)
    if not len(loudest):
        return least
    noise = loudest.max() if len(loudest) < ENOUGH_PIECES else np.quantile(loudest, NOISE_Q)
    return float(max(noise, least))


def parts_of(modules: Sequence[Module], noise: Sequence[float], window: View) -> list[Part]:
    """Every module that has data, in the order given."""
    found = []
    for module, level in zip(modules, noise, strict=True):
        evidence = module(window)
        if evidence is None:
            continue
        ratio = evidence.scores[0] / level
        gain = np.log(np.maximum(ratio, 1.0))
        found.append(Part(module.name, gain, ratio / (1 + ratio), evidence))
    return found


def fused(parts: Sequence[Part], names: int) -> Floats:
    """(names,) nats for each name; what breaks ties is far below one."""
    total = np.zeros(names)
    for part in parts:
        total += part.gain + BELOW_NOISE * part.tie
    return total
