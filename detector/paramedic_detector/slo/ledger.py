"""What an objective counted over a month, in three resolutions that are always all kept.

    add(second) --> 10 s steps (2 h) + minutes (3 days) + hours (32 days) --between(t0, t1)--> Counted

A question takes the finest steps that still reach back to its beginning.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.slo.objectives import Counted

STEPS: Final = ((10, 732), (60, 3 * 1440 + 62), (3600, 32 * 24))  # seconds a step, steps kept
_VALUES: Final = 3  # good, all, seconds with windows


class Ring:
    """Sums by step of time, the newest `size` of them."""

    def __init__(self, step_s: int, size: int) -> None:
        self.step_s, self.size = step_s, size
        self.numbers = np.full(size, -1, np.int64)  # which step a place holds
        self.sums = np.zeros((size, _VALUES))

    @property
    def reach_s(self) -> float:
        return float((self.size - 1) * self.step_s)

    def add(self, ts: float, counted: Counted) -> None:
        number = int(ts // self.step_s)
        place = number % self.size
        if self.numbers[place] > number:
            return  # older than what is kept
        if self.numbers[place] < number:
            self.numbers[place], self.sums[place] = number, 0.0
        self.sums[place] += (counted.good, counted.total, counted.seconds)

    def between(self, t0: float, t1: float) -> Counted:
        """Sums of the steps that begin in [t0, t1), to the step."""
        begun = self.numbers * self.step_s
        mine = (self.numbers >= 0) & (begun > t0 - self.step_s) & (begun < t1)
        good, total, seconds = self.sums[mine].sum(axis=0)
        return Counted(float(good), float(total), float(seconds))


class Ledger:
    """All rings of one objective."""

    def __init__(self) -> None:
        self.rings = tuple(Ring(step_s, size) for step_s, size in STEPS)
        self.until = 0.0  # seconds before this one are counted

    def add(self, ts: float, counted: Counted) -> None:
        """Count what happened in the step of time around `ts`."""
        for ring in self.rings:
            ring.add(ts, counted)

    def between(self, t0: float, t1: float) -> Counted:
        """What was counted in [t0, t1), as finely as it is still known."""
        ring = next((ring for ring in self.rings if self.until - t0 <= ring.reach_s), self.rings[-1])
        return ring.between(t0, t1)

    def state(self) -> dict[str, NDArray[np.float64]]:
        """Arrays from which `restored` makes it anew."""
        whole = {
            f"ring{ring.step_s}": np.column_stack((ring.numbers.astype(np.float64), ring.sums)) for ring in self.rings
        }
        return {**whole, "until": np.array([self.until])}

    @classmethod
    def restored(cls, state: dict[str, NDArray[np.float64]]) -> "Ledger":
        """Raises: ValueError, when it is not such a state."""
        ledger = cls()
        for ring in ledger.rings:
            kept = state.get(f"ring{ring.step_s}")
            if kept is None or kept.shape != (ring.size, 1 + _VALUES):
                raise ValueError(f"a ledger needs ring{ring.step_s} of {ring.size} steps")
            ring.numbers, ring.sums = kept[:, 0].astype(np.int64), kept[:, 1:].copy()
        ledger.until = float(state["until"][0])
        return ledger
