"""Evidence of several kinds made one: each against its own noise in quiet time, then their logarithms.

    S(name) = loudest + half of the other modules' max(0, ln(score / noise)) + a little for what lies below its noise

Logarithms of what lies above the noise let the one module that is far outside its own noise decide. Ranks would not:
a module that sees nothing ranks the names all the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.diagnosis.causes.module import Evidence, Module
from paramedic_detector.diagnosis.causes.view import View

Floats = NDArray[np.float64]
NOISE_Q: Final = 0.75  # of what the second loudest name of each quiet piece scores
OWN: Final = 2.0  # times what a name scores in half of the pieces is its own noise
WORTH: Final = 0.2  # of the usual amount of data, which a quiet piece must have to count
KIND: Final = {"flow": "logs", "lines": "logs"}  # of evidence, of modules that are not one themselves
OTHERS: Final = 0.5  # weight of the evidence beside the loudest
BELOW_NOISE: Final = 0.1  # weight of scores that are no evidence: they only break ties
Noise = Floats  # (names,) what a module scores when nothing is wrong; (1,) when that is the same for all


@dataclass(frozen=True)
class Part:
    """What one module says of each name in the window."""

    module: str
    gain: Floats  # (names,) nats above its noise, from 0 up
    tie: Floats  # (names,) 0 to 1
    evidence: Evidence


def noise_of(quiet: Evidence | None, least: float) -> Noise:
    """What the module says of each name when nothing is wrong.

    The second loudest name of a piece stands for the noise of all: the loudest may be the root of an incident that
    nobody knew of, and so may a quarter of all pieces. A name that is always louder has a noise of its own.
    """
    if quiet is None or not len(quiet.scores):
        return np.array([least])
    has_data = quiet.weight > 0
    usual = float(np.median(quiet.weight[has_data])) if has_data.any() else 0.0
    pieces = quiet.scores[has_data & (quiet.weight >= WORTH * usual)]
    if not len(pieces) or pieces.shape[1] < 2:
        return np.array([least])
    second = np.partition(pieces, -2, axis=1)[:, -2]
    of_all = float(np.quantile(second, NOISE_Q))
    return np.asarray(np.maximum(OWN * np.median(pieces, axis=0), max(of_all, least)))


def parts_of(modules: Sequence[Module], noise: Sequence[Noise], window: View) -> list[Part]:
    """Every module that has data, in the order given."""
    found, names = [], len(window.index.names)
    for module, level in zip(modules, noise, strict=True):
        evidence = module(window)
        if evidence is None:
            continue
        known = level if len(level) == 1 else np.concatenate([level, np.full(names - len(level), level.min())])
        ratio = evidence.scores[0] / known
        gain = np.log(np.maximum(ratio, 1.0))
        found.append(Part(module.name, gain, ratio / (1 + ratio), evidence))
    return found


def fused(parts: Sequence[Part], names: int) -> Floats:
    """(names,) nats for each name; what breaks ties is far below one.

    The loudest kind of evidence counts whole and the others in part: they are no independent witnesses. What lines
    there are and in which order they come is one kind: both at once are more than either.
    """
    kinds: dict[str, Floats] = {}
    total = np.zeros(names)
    for part in parts:
        kind = KIND.get(part.module, part.module)
        kinds[kind] = kinds.get(kind, 0.0) + part.gain
        total += BELOW_NOISE * part.tie
    if not kinds:
        return total
    gains = np.stack(list(kinds.values()))
    return np.asarray(total + (1 - OTHERS) * gains.max(axis=0) + OTHERS * gains.sum(axis=0))
