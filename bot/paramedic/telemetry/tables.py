"""What was measured since the last export, by instrument and attributes; the number of series is bounded.

    add --known or room for one more--> its own series
        --500 are known-------------> one series in which every attribute is "_other"

A series that was not heard of for ten minutes makes room. Not safe to share between threads.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf

from paramedic.telemetry.histogram import Histogram
from paramedic.telemetry.runtime import dropped

log = logging.getLogger("paramedic")

MOST_SERIES = 500
FORGOTTEN_AFTER_S = 600.0
OTHER = "_other"

Attributes = tuple[tuple[str, str | int], ...]


@dataclass(frozen=True, eq=False, slots=True)
class Instrument:
    """A metric of ours: a histogram, or a counter."""

    name: str
    unit: str
    description: str
    counts: bool = False  # a counter


@dataclass(slots=True)
class _Series:
    """Of one instrument: those known, with when they were last heard of, and what came since the last export."""

    heard_at: dict[Attributes, float] = field(default_factory=dict)
    swept_at: float = -inf
    told: bool = False
    histograms: dict[Attributes, Histogram] = field(default_factory=dict)
    sums: dict[Attributes, float] = field(default_factory=dict)


class Tables:
    """All that was measured.

    Args:
        clock: Seconds that never run backwards.
        mask: Takes what is private out of the values of attributes.
        most: Series an instrument.
    """

    def __init__(
        self, clock: Callable[[], float], mask: Callable[[str], str] = lambda text: text, most: int = MOST_SERIES
    ) -> None:
        self._clock, self._mask, self._most = clock, mask, most
        self._instruments: dict[Instrument, _Series] = {}

    def add(self, instrument: Instrument, attributes: Attributes, values: Sequence[float]) -> None:
        """Count values; what is no number from 0 up is dropped and counted."""
        good = [value for value in values if 0 <= value < inf]
        if len(good) < len(values):
            dropped.add("metrics", len(values) - len(good))
            if not good:
                return
        series = self._instruments.get(instrument)
        if series is None:
            series = self._instruments[instrument] = _Series()
        attributes = self._place(instrument, series, self._masked(attributes))
        if instrument.counts:
            series.sums[attributes] = series.sums.get(attributes, 0) + sum(good)
        else:
            histogram = series.histograms.get(attributes)
            if histogram is None:
                histogram = series.histograms[attributes] = Histogram()
            histogram.add(good)

    def take(self) -> list[tuple[Instrument, dict[Attributes, Histogram | float]]]:
        """What came since the last time; from here on counting begins anew."""
        taken = self.seen()
        for series in self._instruments.values():
            series.histograms, series.sums = {}, {}
        return taken

    def seen(self) -> list[tuple[Instrument, dict[Attributes, Histogram | float]]]:
        """The same, without beginning anew."""
        shown: list[tuple[Instrument, dict[Attributes, Histogram | float]]] = []
        for instrument, series in self._instruments.items():
            points: dict[Attributes, Histogram | float] = {**series.histograms, **series.sums}
            if points:
                shown.append((instrument, points))
        return shown

    def clear(self) -> None:
        self._instruments.clear()

    def _masked(self, attributes: Attributes) -> Attributes:
        mask = self._mask
        return tuple([(name, mask(value) if isinstance(value, str) else value) for name, value in attributes])

    def _place(self, instrument: Instrument, series: _Series, attributes: Attributes) -> Attributes:
        now, heard_at = self._clock(), series.heard_at
        if attributes not in heard_at and len(heard_at) >= self._most and not self._sweep(series, now):
            if not series.told:
                series.told = True
                log.warning("%s has more than %d series; the rest is counted as %r", instrument.name, self._most, OTHER)
            return tuple((name, OTHER) for name, _ in attributes)
        heard_at[attributes] = now
        return attributes

    def _sweep(self, series: _Series, now: float) -> bool:
        """Forget the series that fell silent; whether there is room now. Looks at most once a second."""
        if now - series.swept_at < 1.0:
            return False
        series.swept_at = now
        silent = [one for one, heard_at in series.heard_at.items() if now - heard_at > FORGOTTEN_AFTER_S]
        for one in silent:
            del series.heard_at[one]
        return bool(silent)
