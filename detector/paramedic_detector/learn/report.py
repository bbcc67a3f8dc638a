"""How good a model is, on cases that it has not seen: right, sure, and right about how sure.

Everything is counted over cases, each with the same weight however many moments of it were asked about.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from paramedic_detector.diagnosis.features import COLUMNS
from paramedic_detector.diagnosis.model import Model
from paramedic_detector.diagnosis.taxonomy import UNKNOWN
from paramedic_detector.learn.examples import Example

CONFIDENT: Final = 0.9
BINS: Final = 10


@dataclass(frozen=True, slots=True)
class Told:
    """What a model said of one example."""

    example: Example
    fault_class: str
    probability: float  # of class and target
    class_right: bool
    right: bool  # class and target
    late: bool  # the last moment of its case


def tell(model: Model, examples: Sequence[Example]) -> list[Told]:
    """What the model says of each example, as a diagnosis would."""
    last = _last(examples)
    found = []
    for place, one in enumerate(examples):
        values, kind = one.first
        classes, novelty = model.judge(values, kind)
        named = max(classes, key=lambda name: classes[name])
        sure = model.probability(classes, one.share, novelty, values) if named != UNKNOWN else classes[UNKNOWN]
        class_right = named == one.fault_class
        found.append(Told(one, named, sure, class_right, class_right and one.target_right, place in last))
    return found


def figures(told: Sequence[Told]) -> dict[str, Any]:
    """The report, ready for JSON.

    `accuracy` is of class and target at every moment that was asked about, `accuracy_late` at the last of each case.
    """
    if not told:
        return {"cases": 0, "examples": 0}
    weights = _weights(told)
    right = np.array([one.right for one in told])
    sure = np.array([one.probability for one in told])
    named = np.array([one.fault_class != UNKNOWN for one in told])
    confident = (sure >= CONFIDENT) & named
    late = np.array([one.late for one in told])
    classes = sorted({one.example.fault_class for one in told})
    known = np.where(named, sure, 0.0)
    return {
        "cases": len({one.example.group for one in told}),
        "examples": len(told),
        "accuracy": _mean(right, weights),
        "accuracy_late": _mean(right[late], weights[late]),
        "class_accuracy": _mean(np.array([one.class_right for one in told]), weights),
        "class_accuracy_late": _mean(np.array([one.class_right for one in told])[late], weights[late]),
        "target_accuracy": _mean(np.array([one.example.target_right for one in told]), weights),
        "class_accuracy_of_right_target": _mean(
            np.array([one.class_right for one in told if one.example.target_right]),
            np.array([w for one, w in zip(told, weights, strict=True) if one.example.target_right]),
        ),
        "macro_f1": _macro_f1([one for one in told if one.late], classes),
        "confident": _mean(confident, weights),
        "confident_mistakes": _mean(confident & ~right, weights),
        "confident_mistakes_of_confident": _mean(~right[confident], weights[confident]),
        "unknown": _mean(~named, weights),
        "brier": _mean((known - right) ** 2, weights),
        "log_loss": _mean(-np.log(np.clip(np.where(right, known, 1 - known), 1e-6, 1)), weights),
        "expected_calibration_error": _calibration_error(known, right, weights),
        "reliability": _reliability(known, right, weights),
        "classes": {name: _of_class(name, [one for one in told if one.late]) for name in classes},
        "confusion": _confusion([one for one in told if one.late]),
    }


def _last(examples: Sequence[Example]) -> set[int]:
    age = COLUMNS.index("age")
    newest: dict[str, int] = {}
    for place, one in enumerate(examples):
        if one.group not in newest or one.values[age] >= examples[newest[one.group]].values[age]:
            newest[one.group] = place
    return set(newest.values())


def _weights(told: Sequence[Told]) -> np.ndarray[Any, np.dtype[np.float64]]:
    each = Counter(one.example.group for one in told)
    return np.array([1.0 / each[one.example.group] for one in told])


def _mean(values: Any, weights: Any) -> float | None:
    if not len(values):
        return None
    return round(float(np.average(np.asarray(values, np.float64), weights=weights)), 4)


def _macro_f1(told: Sequence[Told], classes: Sequence[str]) -> float | None:
    scores = []
    for name in classes:
        hit = sum(one.fault_class == name == one.example.fault_class for one in told)
        said = sum(one.fault_class == name for one in told)
        true = sum(one.example.fault_class == name for one in told)
        scores.append(2 * hit / (said + true) if said + true else 0.0)
    return round(float(np.mean(scores)), 4) if scores else None


def _of_class(name: str, told: Sequence[Told]) -> dict[str, Any]:
    true = [one for one in told if one.example.fault_class == name]
    said = [one for one in told if one.fault_class == name]
    hit = sum(one.class_right for one in true)
    return {
        "cases": len(true),
        "precision": round(hit / len(said), 4) if said else None,
        "recall": round(hit / len(true), 4) if true else None,
        "target_right": round(sum(one.example.target_right for one in true) / len(true), 4) if true else None,
    }


def _confusion(told: Sequence[Told]) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for one in told:
        found[one.example.fault_class][one.fault_class] += 1
    return {name: dict(sorted(row.items())) for name, row in sorted(found.items())}


def _reliability(sure: Any, right: Any, weights: Any) -> list[dict[str, Any]]:
    """One row for each tenth of probability: how sure it was, and how often right."""
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    return [
        {
            "from": round(number / BINS, 2),
            "to": round((number + 1) / BINS, 2),
            "examples": int((place == number).sum()),
            "said": _mean(sure[place == number], weights[place == number]),
            "right": _mean(right[place == number], weights[place == number]),
        }
        for number in range(BINS)
    ]


def _calibration_error(sure: Any, right: Any, weights: Any) -> float:
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = [
        abs(np.average(sure[at], weights=weights[at]) - np.average(right[at], weights=weights[at])) * weights[at].sum()
        for at in (place == number for number in range(BINS))
        if at.any()
    ]
    return round(float(sum(gaps) / weights.sum()), 4)
