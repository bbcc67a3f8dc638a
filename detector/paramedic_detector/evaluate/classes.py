"""How well faults are named: accuracy, macro-F1 and the confusion of classes, and how honest the certainty is. Pure.

Only faults whose label stands for a class of the taxonomy take part. One that was not found is an answer too: "missed".
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from paramedic_detector.values import Ratio

MISSED: Final = "missed"
SURE: Final = 0.9  # from here on a policy may act alone


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said of one fault."""

    truth: str
    said: str  # a class, "unknown" or MISSED
    probability: float  # of class and target
    target_right: bool

    @property
    def right(self) -> bool:
        return self.said == self.truth and self.target_right


@dataclass(frozen=True, slots=True)
class Classes:
    """Figures over some answers."""

    answers: tuple[Answer, ...]

    @property
    def accuracy(self) -> Ratio:
        """Of the class alone."""
        return Ratio(sum(answer.said == answer.truth for answer in self.answers), len(self.answers))

    @property
    def with_target(self) -> Ratio:
        return Ratio(sum(answer.right for answer in self.answers), len(self.answers))

    @property
    def sure_and_wrong(self) -> Ratio:
        """Of all faults, how often it was surer than the gate of acting alone, and class or target was wrong."""
        bad = sum(answer.probability >= SURE and not answer.right for answer in self.answers)
        return Ratio(bad, len(self.answers))

    @property
    def brier(self) -> float | None:
        """Mean squared distance of the probability from what turned out; 0 is perfect. Of the found faults."""
        said = [answer for answer in self.answers if answer.said != MISSED]
        return sum((one.probability - one.right) ** 2 for one in said) / len(said) if said else None

    def macro_f1(self) -> float | None:
        """F1 of each class that occurs in the truth, each counting the same; None without any."""
        return macro_f1([(answer.truth, answer.said) for answer in self.answers])

    def confusion(self) -> dict[str, dict[str, int]]:
        """By truth, how often each answer was given; most frequent first."""
        counted = Counter((answer.truth, answer.said) for answer in self.answers)
        rows: dict[str, dict[str, int]] = {}
        for (truth, said), count in sorted(counted.items(), key=lambda pair: (pair[0][0], -pair[1], pair[0][1])):
            rows.setdefault(truth, {})[said] = count
        return rows


def macro_f1(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Mean over the true classes of 2 TP / (2 TP + FP + FN).

    Args:
        pairs: (truth, answer), one a fault.
    """
    scores = []
    for name in sorted({truth for truth, _ in pairs}):
        hits = sum(truth == name == said for truth, said in pairs)
        wrong = sum((truth == name) != (said == name) for truth, said in pairs)
        scores.append(2 * hits / (2 * hits + wrong))
    return sum(scores) / len(scores) if scores else None
