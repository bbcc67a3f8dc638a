"""Whether a new model may take the place of the one in use: both are asked about the same held-out cases.

held-out cases --both models--> cost case by case --> better, and not more sure of what is wrong?
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from paramedic_detector.diagnosis.model import Model
from paramedic_detector.diagnosis.taxonomy import UNKNOWN
from paramedic_detector.learn.examples import Example
from paramedic_detector.learn.report import Told, figures, tell

DRAWS: Final = 400
SURE: Final = 0.8  # share of the draws in which it must be better
MORE_MISTAKES: Final = 0.005  # confident mistakes, as a share of the cases, that are chance
WORSE: Final = 0.01  # accuracy that may be lost to chance


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found; `promote` says whether the new model is better, and `reason` why or why not."""

    promote: bool
    reason: str
    candidate: dict[str, Any]
    current: dict[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        return {
            "promote": self.promote, "reason": self.reason, "candidate": self.candidate, "current": self.current
        }  # fmt: skip


def compare(candidate: Model, current: Model | None, examples: Sequence[Example], *, seed: int = 11) -> Comparison:
    """The candidate beside the model in use, on examples that the candidate has not seen.

    Args:
        current: None when none is in use. Examples do not tell what the weights of the taxonomy would have said, so
            nobody knows which is better, and a person has to decide.
    """
    mine = tell(candidate, examples)
    if current is None:
        return Comparison(False, "no trained model is in use to compare it with", figures(mine), None)
    theirs = tell(current, examples)
    new, old = figures(mine), figures(theirs)
    gain = np.array(sorted(_by_case(theirs, mine).values()))
    rng = np.random.default_rng(seed)
    draws = rng.choice(gain, (DRAWS, len(gain))).mean(axis=1) if len(gain) else np.zeros(1)
    sure = float((draws > 0).mean())
    if new["confident_mistakes"] > old["confident_mistakes"] + MORE_MISTAKES:
        reason = f"more confident mistakes: {new['confident_mistakes']:.1%} instead of {old['confident_mistakes']:.1%}"
        return Comparison(False, reason, new, old)
    if new["accuracy"] < old["accuracy"] - WORSE:
        return Comparison(False, f"less often right: {new['accuracy']:.1%} instead of {old['accuracy']:.1%}", new, old)
    if sure < SURE:
        return Comparison(False, f"not surely better: in {sure:.0%} of draws of the held-out cases", new, old)
    return Comparison(True, f"better in {sure:.0%} of draws of the held-out cases", new, old)


def _by_case(theirs: Sequence[Told], mine: Sequence[Told]) -> dict[str, float]:
    """By how much less each case costs."""
    found: dict[str, list[float]] = defaultdict(list)
    for old, new in zip(theirs, mine, strict=True):
        found[old.example.group].append(_cost(old) - _cost(new))
    return {group: float(np.mean(gains)) for group, gains in found.items()}


def _cost(told: Told) -> float:
    """0 for right and sure, 1 for `unknown` and for wrong but not sure, 2 for wrong and sure."""
    sure = told.probability if told.fault_class != UNKNOWN else 0.0
    return (1 - sure) ** 2 if told.right else 1 + sure**2
