"""What is usual at this hour: the highest and lowest that each level stayed at, by hour of the week.

    levels of an hour --when it is over--> envelope of that hour of the week --> widens the range an hour about it

A season only widens what is usual: a backup at two in the morning is no fault because it is there every night. Until an
hour of the week was seen, the same hour of other days speaks for it. What was out of its range is learned when it
comes again at the same hour of another day, so one fault teaches nothing.

Hours are kept as they are first over, 8 bytes a row and hour: nothing is held for hours that never were.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

HOUR_S: Final = 3600
DAY: Final = 24
WEEK: Final = 168
KEPT: Final = 0.7  # of an old extreme, when a newer one was nearer

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class Seasons:
    """Envelopes of all rows; hours are of UTC."""

    def __init__(self) -> None:
        self.size = 0
        self.hours: dict[int, Floats] = {}  # hour of the week -> (2, rows): highest and lowest
        self.odd: dict[int, Floats] = {}  # hour of the day -> what was out of the range then, a day ago or longer
        self.kept_at: dict[int, int] = {}  # hour of the week -> when it was kept last, hours since the epoch
        self._hour: int | None = None  # since the epoch
        self._calm = self._strange = self._wide = _nothing(0)

    def follow(self, size: int) -> None:
        """Make room for new rows."""
        more = size - self.size
        if more <= 0:
            return
        self._calm, self._strange, self._wide = (_longer(one, more) for one in (self._calm, self._strange, self._wide))
        for kept in (self.hours, self.odd):
            for hour, extremes in kept.items():
                kept[hour] = _longer(extremes, more)
        self.size = size

    def learn(self, rows: Ints, high: Floats, low: Floats, odd: NDArray[np.bool_], at: int) -> None:
        """Levels that healthy or merely odd rows stayed at; rows of open incidents are not to be given."""
        hour = at // HOUR_S
        if self._hour is None or hour != self._hour:
            self._turn(hour)
        for extremes, mine in ((self._calm, ~odd), (self._strange, odd)):
            extremes[0, rows[mine]] = np.fmax(extremes[0, rows[mine]], high[mine])
            extremes[1, rows[mine]] = np.fmin(extremes[1, rows[mine]], low[mine])

    def range_of(self, rows: Ints) -> tuple[Floats, Floats] | None:
        """(rows,) highest and lowest that is usual about this hour, NaN where nothing is known; None before a day."""
        return (self._wide[0, rows], self._wide[1, rows]) if self.hours else None

    def _turn(self, hour: int) -> None:
        """An hour is over: keep what it showed, look up what the next one usually shows."""
        if self._hour is not None:
            self._keep(self._hour)
        self._hour = hour
        self._calm, self._strange = _nothing(self.size), _nothing(self.size)
        self._wide = _nothing(self.size)
        for near in (hour - 1, hour, hour + 1):
            for known in self._known(near):
                self._wide = _union(self._wide, known)

    def _known(self, hour: int) -> list[Floats]:
        """Envelopes that speak for an hour: its own of another week, else those of other days."""
        if hour - self.kept_at.get(hour % WEEK, hour) >= DAY - 2:
            return [self.hours[hour % WEEK]]
        return [
            known
            for one, known in self.hours.items()
            if one % DAY == hour % DAY and hour - self.kept_at[one] >= DAY - 2
        ]

    def forget(self, rows: Ints) -> None:
        """What these rows were is no measure of what they are now."""
        for extremes in (self._calm, self._strange, self._wide, *self.hours.values(), *self.odd.values()):
            extremes[:, rows] = np.nan

    def _keep(self, hour: int) -> None:
        now = self._calm
        before = self.odd.get(hour % DAY)
        if before is not None:  # out of the range at this hour on two days: that is how it is here
            again = np.stack([np.minimum(before[0], self._strange[0]), np.maximum(before[1], self._strange[1])])
            now = _union(now, again)
        if np.isfinite(self._strange).any():
            self.odd[hour % DAY] = _latest(self.odd.get(hour % DAY), self._strange)
        old = self.hours.get(hour % WEEK)
        if old is not None:
            faded = KEPT * old + (1 - KEPT) * now
            now = _union(np.where(np.isfinite(now), now, old), faded)
        self.hours[hour % WEEK], self.kept_at[hour % WEEK] = now, hour

    # Surviving a restart

    def checkpoint(self) -> dict[str, NDArray[Any]]:
        """Arrays of equal length, one column a row."""
        nothing = np.empty((0, 2, self.size), np.float32)
        return {
            "hours": np.array(list(self.hours), np.int64),
            "kept_at": np.array([self.kept_at[hour] for hour in self.hours], np.int64),
            "extremes": np.stack(list(self.hours.values())) if self.hours else nothing,
            "odd_hours": np.array(list(self.odd), np.int64),
            "odd": np.stack(list(self.odd.values())) if self.odd else nothing,
        }

    def restore(self, arrays: dict[str, NDArray[Any]], rows: Ints, places: Ints) -> None:
        """Take from a checkpoint what it knows of rows: of each, its place there."""
        self.kept_at.update(zip(arrays["hours"].tolist(), arrays["kept_at"].tolist(), strict=True))
        for kept, hours, extremes in (
            (self.hours, arrays["hours"], arrays["extremes"]),
            (self.odd, arrays["odd_hours"], arrays["odd"]),
        ):
            for hour, known in zip(hours.tolist(), extremes, strict=True):
                mine = kept.setdefault(hour, _nothing(self.size))
                mine[:, rows] = known[:, places]


def _nothing(size: int) -> Floats:
    return np.full((2, size), np.nan, np.float32)


def _longer(extremes: Floats, more: int) -> Floats:
    return np.concatenate([extremes, _nothing(more)], axis=1)


def _union(one: Floats, other: Floats) -> Floats:
    return np.stack([np.fmax(one[0], other[0]), np.fmin(one[1], other[1])])


def _latest(old: Floats | None, new: Floats) -> Floats:
    return new if old is None else np.where(np.isfinite(new), new, old)
