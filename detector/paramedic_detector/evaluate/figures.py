"""Figures of detection: recall beside what chance would give, delay, false openings in fault-free time. Pure.

A figure that does not apply is None, never 0: no fault-free hour gives no rate, no fault found no delay.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paramedic_detector.evaluate.matching import Matches
from paramedic_detector.evaluate.truth import Fault, Span, covered_s
from paramedic_detector.values import Ratio


@dataclass(frozen=True, slots=True)
class Detection:
    """What was found of the faults in some stretches of recording."""

    recall: Ratio
    chance_recall: float | None  # of as many openings as there were, placed at random over the time watched
    window_share: float | None  # found-windows over the time watched: what one opening at random would hit
    delays_s: tuple[float, ...]  # of the found faults, from the start of the fault to the opening
    openings: int
    extra: int  # second openings for one fault
    outside: int  # openings outside of all labels
    explained: int  # of `outside`, inside a known injection without a label
    watched_hours: float
    fault_free_hours: float

    def delay_s(self, q: float) -> float | None:
        """A quantile of the delays, interpolated; None when nothing was found."""
        return float(np.quantile(self.delays_s, q)) if self.delays_s else None

    @property
    def false_per_hour(self) -> float | None:
        """Openings outside of all labels, explained or not, for each fault-free hour."""
        return self.outside / self.fault_free_hours if self.fault_free_hours > 0 else None

    @property
    def unexplained_per_hour(self) -> float | None:
        return (self.outside - self.explained) / self.fault_free_hours if self.fault_free_hours > 0 else None


def detection(faults: Sequence[Fault], matches: Matches, stretches: Sequence[Span]) -> Detection:
    """The figures of one matching.

    Args:
        faults: Those that lie in the stretches, in the order of `matches.of`.
        matches: Of the openings in the stretches.
        stretches: The time that was watched.
    """
    windows = [fault.window for fault in faults]
    watched = sum(stretch.seconds for stretch in stretches)
    inside = sum(covered_s(windows, stretch) for stretch in stretches)
    outside = len(matches.outside) + len(matches.explained)
    openings = matches.found + len(matches.extra) + outside
    pairs = zip(faults, matches.of, strict=True)
    return Detection(
        recall=Ratio(matches.found, len(faults)),
        chance_recall=chance_recall(faults, openings, watched),
        window_share=inside / watched if watched else None,
        delays_s=tuple(opening.at - fault.start for fault, opening in pairs if opening is not None),
        openings=openings,
        extra=len(matches.extra),
        outside=outside,
        explained=len(matches.explained),
        watched_hours=watched / 3600,
        fault_free_hours=(watched - inside) / 3600,
    )


def chance_recall(faults: Sequence[Fault], openings: int, watched_s: float) -> float | None:
    """The share of faults found, on average, by `openings` moments drawn evenly from the time watched."""
    if not faults or watched_s <= 0:
        return None
    shares = [min(1.0, (fault.window[1] - fault.window[0]) / watched_s) for fault in faults]
    return float(np.mean([1.0 - (1.0 - share) ** openings for share in shares]))
