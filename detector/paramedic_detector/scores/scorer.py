"""Scores: every series in every way it can be abnormal, all at once, each second.

    SeriesTable -> running windows -> how surprising is each? -> [what is left after the effect floor] -> Alerts

Each family of signals is a function in a module of its own that sees one `View` and gives findings. Everything is
screened in arrays; only the few series that look odd are then looked at closely, for the moment it began, whether it
still lasts, and the sentence that explains it. An alert needs both a surprise that no chance among all live series
explains, and an effect that a user would feel.

Source: predictive tails of counts with effect floors, windows that adapt and quarantined baselines found 17 of 17
faults of a recorded system with no unexplained alarm; tests without a floor could not at any threshold.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from paramedic_collector.windows import SeriesKey
from paramedic_detector.scores.amounts import tokens
from paramedic_detector.scores.baselines import Baselines, Flags
from paramedic_detector.scores.fanout import fanout
from paramedic_detector.scores.findings import Finding, alerts_of
from paramedic_detector.scores.hangs import hangs
from paramedic_detector.scores.levels import Levels
from paramedic_detector.scores.ratios import bad_calls
from paramedic_detector.scores.recent import MINUTE, Recent
from paramedic_detector.scores.times import borrow_limits, slow_calls
from paramedic_detector.scores.traffic import traffic
from paramedic_detector.scores.view import Cast, View
from paramedic_detector.series.packing import pack, unpack
from paramedic_detector.series.slots import Cell
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import Alert

SIGNALS: Final[tuple[Callable[[View], list[Finding]], ...]] = (bad_calls, slow_calls, hangs, traffic, tokens, fanout)
COLD_S: Final = 15  # after a silence a series is slow for a while, and that is no fault


class Scorer:
    """Scores the series of one table; its baselines are all that it must not lose."""

    def __init__(self, baselines: Baselines | None = None) -> None:
        self.baselines = baselines or Baselines()
        self.threshold: float | None = None  # of the last step; None before the first
        self.levels = Levels()
        self._recent, self._cast = Recent(), Cast()

    def score(self, table: SeriesTable, now: float, frozen: frozenset[SeriesKey]) -> list[Alert]:
        """What is abnormal now, the most surprising first.

        Args:
            table: What happened lately.
            now: Unix seconds.
            frozen: Series of open incidents: they do not learn, and stay alert on less evidence.
        """
        if not table.size or table.watermark is None:
            return []
        view = self._view(table, now, _held(table, frozen))
        self.threshold = view.threshold
        findings = [finding for signal in SIGNALS for finding in signal(view)]
        alerts = alerts_of(findings, table, now) + self.levels.score(table, now, view.held)
        return sorted(alerts, key=lambda alert: -alert.score)

    def _view(self, table: SeriesTable, now: float, held: Flags) -> View:
        base, recent, cast = self.baselines, self._recent, self._cast
        cast.follow(table)
        base.follow(table)
        recent.follow(table, now, base.times.limit)
        base.learn(table, now, held, base.typical_s(cast.entry), recent)
        size = table.size
        resumed = base.resumed_at[:size]
        minute = recent.of(Cell.COUNT)[MINUTE] + recent.of(Cell.REFUSED_LOCAL)[MINUTE]
        minute = minute + recent.of(Cell.REFUSED_COMMAND)[MINUTE]
        view = View(
            now, table, recent, base, cast, held,
            warm=base.warm[:size],
            rate=base.rate[:size],
            cold=(resumed > 0) & (now - resumed < COLD_S),
            live=int(((minute > 0) & cast.calls).sum()),
            lag_s=max(0.0, int(now) + 1 - float(table.watermark or now)),
        )  # fmt: skip
        borrow_limits(view)
        return view

    # Surviving a restart

    def checkpoint(self) -> bytes:
        """The baselines of calls and levels, in a compact versioned form."""
        levels = {f"levels_{name}": array for name, array in self.levels.checkpoint().items()}
        calls = np.frombuffer(self.baselines.checkpoint(self._cast.keys), np.uint8)
        return pack("scorer", {"calls": calls, **levels}, "")

    @classmethod
    def restore(cls, data: bytes) -> "Scorer":
        """The scorer that `checkpoint` wrote; series are found again by name.

        Raises:
            ValueError: Not a checkpoint of this version.
        """
        arrays, _ = unpack("scorer", data)
        scorer = cls(Baselines.restore(arrays.pop("calls").tobytes()))
        scorer.levels.restore({name.removeprefix("levels_"): array for name, array in arrays.items()})
        return scorer


def _held(table: SeriesTable, frozen: frozenset[SeriesKey]) -> Flags:
    held = np.zeros(table.size, bool)
    held[[number for key in frozen if (number := table.number(key)) is not None]] = True
    return held
