"""What every kind of evidence gives, and how to tell it in words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.diagnosis.causes.view import View

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """Scores of one module.

    Attributes:
        scores: (windows, names) from 0 up; 0 for what it says nothing about.
        weight: (windows,) how much data each window had: one with far less than the others says nothing of noise.
        say: The sentence about a name in the first window; "" for nothing to say.
    """

    scores: Floats
    weight: Floats
    say: Callable[[int], str]


class Module(Protocol):
    """One kind of evidence; the same call for the real window and for quiet ones."""

    name: str
    least: float  # a score that is nothing in any system, in the module's unit

    def __call__(self, view: View) -> Evidence | None:
        """None when the table has no such data."""
        ...


def best_of(names: int, owner: NDArray[np.int64], values: Floats) -> Floats:
    """(windows, names) the largest value of each owner's series; values are (windows, series), NaN for unknown."""
    found = np.zeros((values.shape[0], names))
    for window, row in enumerate(np.nan_to_num(values)):
        np.maximum.at(found[window], owner, row)
    return found


def total_of(names: int, owner: NDArray[np.int64], values: Floats) -> Floats:
    """(windows, names) the sum over each owner's series."""
    found = np.zeros((values.shape[0], names))
    for window, row in enumerate(np.nan_to_num(values)):
        np.add.at(found[window], owner, row)
    return found
