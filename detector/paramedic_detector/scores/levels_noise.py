"""How often healthy levels leave their range, and how far: learned for each metric over all services and instances.

    excursions that are over --> rate, how fast the far ones get rarer, how long they last --> chance of this one

Metrics differ: a tail latency jumps every few minutes somewhere, memory never. So the chance of an excursion is read
from the excursions of the same metric elsewhere and before, with a prior for what is not known yet. What alerted may
have been a fault, and so may what lasted for minutes: it counts for how often, and not for how far, so that a metric
does not get blind by showing faults.

Source: peaks over a threshold with a Pareto tail, whose exponent is estimated after Hill (1975), and a conjugate prior.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

FROM: Final = 1.0  # excursions below this are not counted
PRIOR_MINUTES: Final = 3000.0  # row-minutes
PRIOR_RUNS: Final = 3.0  # excursions in them
PRIOR_TAIL: Final = 3.0  # exponent: ten times as far is a thousand times as rare
PRIOR_WEIGHT: Final = 20.0  # excursions that the exponent is worth
PRIOR_SPAN_S: Final = 60.0  # how much longer an excursion lasts, once it has lasted
PRIOR_SPANS: Final = 5.0  # excursions that this is worth
SHORT_S: Final = 150.0  # an excursion that lasts longer may be an event
MOST_BY_SPAN: Final = 2.0  # decades that lasting long may add
NAMES: Final = ("minutes", "runs", "silent", "logs", "spans")
HALF_LIFE_S: Final = 6 * 3600.0

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]


class Noise:
    """Excursions by group of rows; they fade."""

    def __init__(self) -> None:
        self.minutes = np.zeros(0)  # (groups,) row-minutes judged
        self.runs = np.zeros(0)
        self.silent = np.zeros(0)  # of them, those that were short and raised no alert
        self.logs = np.zeros(0)  # sum of ln(how far / FROM)
        self.spans = np.zeros(0)  # seconds that excursions went on, together
        self.faded_at = 0.0

    def allocate(self, groups: int) -> None:
        more = groups - len(self.minutes)
        if more > 0:
            for name in NAMES:
                setattr(self, name, np.concatenate([getattr(self, name), np.zeros(more)]))

    def watch(self, group: NDArray[np.int32], seconds: NDArray[np.float32]) -> None:
        """These rows were judged, each for so many seconds since the last time."""
        self.minutes += np.bincount(group, seconds / 60, len(self.minutes))

    def ended(
        self, group: NDArray[np.int32], furthest: NDArray[np.float32], seconds: Doubles, told: NDArray[np.bool_]
    ) -> None:
        """Excursions that are over; `told` are those that raised an alert."""
        told = told | (seconds > SHORT_S)
        far = np.where(told, 0, np.log(np.maximum(furthest, FROM) / FROM))
        self.spans += np.bincount(group, seconds, len(self.spans))
        self.runs += np.bincount(group, minlength=len(self.runs))
        self.silent += np.bincount(group, ~told, len(self.silent))
        self.logs += np.bincount(group, far, len(self.logs))

    def fade(self, now: float) -> None:
        if now - self.faded_at < 60:
            return
        left = 2.0 ** (-min(now - self.faded_at, 3600) / HALF_LIFE_S) if self.faded_at else 1.0
        for name in NAMES:
            getattr(self, name)[:] *= left
        self.faded_at = now

    def surprise(self, group: NDArray[np.int32], furthest: Doubles, seconds: Doubles, step: Doubles) -> Doubles:
        """-log10 of the chance, a row and minute, of an excursion at least so far and so long; 0 for none.

        Args:
            seconds: (rows,) since it had lasted long enough to count.
            step: (rows,) seconds between two points: nothing shorter is known.
        """
        rate = (self.runs + PRIOR_RUNS) / (self.minutes + PRIOR_MINUTES)
        tail = (self.silent + PRIOR_WEIGHT) / (self.logs + PRIOR_WEIGHT / PRIOR_TAIL)
        far = np.maximum(furthest, FROM) / FROM
        span = (self.spans + PRIOR_SPANS * PRIOR_SPAN_S) / (self.runs + PRIOR_SPANS)
        longer = np.minimum(MOST_BY_SPAN, seconds / np.maximum(span[group], step) / np.log(10))
        score = longer + tail[group] * np.log10(far) - np.log10(rate[group])
        return np.asarray(np.where(furthest >= FROM, np.maximum(score, 0), 0))
