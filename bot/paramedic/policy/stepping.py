"""Whether to ask the cheap model first: worth it while its answer is good enough often enough.

    the cheap one first costs c + p * d, the dear one alone d   -->   skip the cheap one while p > 1 - c / d

p is the share of calls that had to step up, over a window that forgets; c and d are what an answer costs. A share
of the calls still asks the cheap one first, so that it is seen when it becomes worth it.

Source: Chen, Zaharia & Zou, FrugalGPT (2023), for the cascade; the rule is the break-even point of its cost.
"""

from collections.abc import Callable, Sequence

LEAST_ANSWERS = 20
WINDOW = 200  # answers that the window remembers, about
PROBE_SHARE = 0.1


class Step:
    """How often one model's answer was good enough. Two threads at once may lose an answer of it, no more."""

    __slots__ = ("answers", "weight", "weight_up")

    def __init__(self) -> None:
        self.answers = 0  # all that were heard
        self.weight = self.weight_up = 0.0  # of the answers in the window; of those that had to step up

    def hear(self, stepped_up: bool) -> None:
        kept = 1 - 1 / WINDOW
        self.answers += 1
        self.weight = self.weight * kept + 1
        self.weight_up = self.weight_up * kept + stepped_up

    @property
    def share(self) -> float | None:
        """Of its answers, how many had to step up; None while there are too few to say."""
        return min(1.0, self.weight_up / self.weight) if self.answers >= LEAST_ANSWERS else None


def worth_asking(costs: Sequence[float], steps: Sequence[Step], draw: Callable[[], float]) -> list[int]:
    """Which models to ask, in this order; the last one always.

    Args:
        costs: Of an answer of each model, cheapest first; 0 when nobody said, and then none is skipped.
        steps: What was heard of each.
        draw: Numbers from 0 up to 1, for the share of calls that skips none all the same.
    """
    last = len(costs) - 1
    expected, asked = costs[last], [last]
    for i in range(last - 1, -1, -1):
        cost = costs[i] + (steps[i].share or 0.0) * expected
        if cost <= expected or not expected:
            expected = cost
            asked.append(i)
    if len(asked) < len(costs) and draw() < PROBE_SHARE:
        return list(range(len(costs)))
    return asked[::-1]
