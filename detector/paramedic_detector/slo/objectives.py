"""A service level objective, and how its good events are counted in the table.

Objective --series, measure--> good and all of some seconds --> Ledger
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from paramedic_collector.windows import SeriesKey
from paramedic_detector.series.slots import BUCKETS, bucket_of
from paramedic_detector.series.table import SeriesTable

DAY_S: Final = 86_400.0


class Measure(StrEnum):
    """What makes a call good."""

    USEFUL = "useful"  # it did not fail, and its answer was of use
    WORKED = "worked"  # it did not fail
    DURATION = "duration"  # it ended within `at_most_s`
    FIRST_TOKEN = "first_token"  # its first token came within `at_most_s`


@dataclass(frozen=True, slots=True)
class Objective:
    """A share of calls that is to be good over a rolling window."""

    name: str
    service: str
    series: SeriesKey  # parts that are "*" match anything
    measure: Measure
    target: float  # share of good calls, above 0 and below 1
    at_most_s: float | None = None  # of DURATION and FIRST_TOKEN, seconds
    window_s: float = 30 * DAY_S
    title: str = ""
    source: str = ""  # the file it stands in; "" for one that paramedic made up

    @property
    def budget(self) -> float:
        """The share of calls that may be bad."""
        return 1.0 - self.target


@dataclass(frozen=True, slots=True)
class Counted:
    """Calls of some time; nothing counted is no data, neither 0 % nor 100 %."""

    good: float = 0.0
    total: float = 0.0
    seconds: float = 0.0  # for which there were windows

    @property
    def bad(self) -> float:
        return self.total - self.good

    @property
    def bad_share(self) -> float | None:
        return self.bad / self.total if self.total else None

    def __add__(self, other: "Counted") -> "Counted":
        return Counted(self.good + other.good, self.total + other.total, self.seconds + other.seconds)


def count(table: SeriesTable, objective: Objective, t0: float, t1: float) -> Counted:
    """The calls of an objective in the seconds [t0, t1).

    A histogram cannot tell where in a bucket a call lies: a limit counts as the upper edge of the bucket that holds it,
    which is at most 9 % more.
    """
    seconds = float(sum(slot.span_s for slot in table.slots(t0, t1)))
    found = table.totals(objective.series, t0, t1)
    if objective.measure is Measure.USEFUL:
        return Counted(float(found.good), float(found.count), seconds)
    if objective.measure is Measure.WORKED:
        return Counted(float(max(0, found.count - found.failed)), float(found.count), seconds)
    buckets = found.buckets if objective.measure is Measure.DURATION else found.first_token
    last = min(int(bucket_of(objective.at_most_s or 0.0)), BUCKETS - 1)
    return Counted(float(buckets[: last + 1].sum()), float(buckets.sum()), seconds)
