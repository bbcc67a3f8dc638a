"""Scores: every series in every way it can be abnormal, all at once, each second.

    SeriesTable -> windows of 2 to 60 s -> how surprising is each? -> [what is left after the effect floor] -> Alerts

Each cell is first screened in arrays; only the few series that look odd are then looked at one by one, for the moment
it began, whether it still lasts, and the sentence that explains it. An alert needs both a surprise that no chance
among all live series explains, and an effect that a user would feel.

Source: predictive tails of counts with effect floors, windows that adapt and quarantined baselines found 17 of 17
faults of a recorded system with no unexplained alarm; tests without a floor could not at any threshold.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_collector.windows import SeriesKey
from paramedic_detector.scores.baselines import Baselines, Flags
from paramedic_detector.scores.findings import Finding, alerts_of
from paramedic_detector.scores.tails import surprise
from paramedic_detector.series.slots import BUCKETS, CELLS, Cell
from paramedic_detector.series.table import CALL_FAMILIES, SeriesTable
from paramedic_detector.values import Alert, Signal

WINDOWS_S: Final = (2, 4, 8, 16, 32, 60)  # to now; the one that says most decides
MARGIN: Final = 4.5  # an alert is this many decades less likely than once among all live series
SUSPICIOUS: Final = 3.0  # from here a series does not learn
KEEP: Final = 2.0  # a series of an open incident alerts on with less
LEAST_BAD: Final = 4  # calls; fewer are no incident, whatever their share
EFFECT: Final = 0.05  # the share of bad calls must be this much above the usual, and twice it
SLOW_EFFECT: Final = 0.5  # most calls must be slow: some always are
SLOW_SPREAD_S: Final = 3  # slow calls must end over at least so many seconds
HANG_LEAST_S: Final = 1.0
HANG_LEAST_CALLS: Final = 3
LEVEL_WITHIN_S: Final = 3  # a level said longer ago than this is not known
COLD_S: Final = 15  # after a silence a series is slow for a while, and that is no fault
STRANGER_AFTER_S: Final = 60  # with this much data overall, a series without a history is judged against a weak prior
STRANGER: Final = (1.0, 50.0)  # one bad call of fifty
BROKEN_FROM_BIRTH: Final = 0.25  # a series this bad while it warms up does not learn that as its usual


@dataclass(frozen=True, slots=True)
class Ratio:
    """A signal that is a share of bad calls: which cells are bad, less which, of which."""

    signal: Signal
    bad: tuple[Cell, ...]
    less: tuple[Cell, ...] = ()
    of: tuple[Cell, ...] = (Cell.COUNT,)

    def bad_of(self, sums: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(sums[..., list(self.bad)].sum(axis=-1) - sums[..., list(self.less)].sum(axis=-1))

    def total_of(self, sums: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(sums[..., list(self.of)].sum(axis=-1))


RATIOS: Final = (
    Ratio(Signal.ERRORS, (Cell.ERRORS,), less=(Cell.RATE_LIMITED, Cell.AUTH)),
    Ratio(Signal.RATE_LIMITED, (Cell.RATE_LIMITED,)),
    Ratio(Signal.AUTH, (Cell.AUTH,)),
    Ratio(Signal.USELESS, (Cell.USELESS,)),
    Ratio(Signal.REFUSED, (Cell.REFUSED_LOCAL,), of=(Cell.COUNT, Cell.REFUSED_LOCAL)),
)


@dataclass(frozen=True, slots=True)
class View:
    """What one step of scoring sees; arrays are over all series."""

    now: float
    windows: NDArray[np.float32]  # (WINDOWS_S, series, cells)
    calls: Flags  # series that count calls
    warm: Flags
    known: Flags  # warm, or old enough to be judged against the weak prior
    frozen: Flags  # belongs to an open incident
    cold: Flags  # came back from a silence a moment ago
    live: int  # series with a call in the last minute
    lag_s: float  # seconds at the end of the windows that are not complete

    @property
    def threshold(self) -> float:
        return float(np.log10(max(self.live, 1)) + MARGIN)


class Scorer:
    """Scores the series of one table; its baselines are its only memory."""

    def __init__(self, baselines: Baselines | None = None) -> None:
        self.baselines = baselines or Baselines()
        self.threshold: float | None = None  # of the last step; None before the first
        self._keys: list[SeriesKey] = []
        self._entry: NDArray[np.int64] = np.empty(0, np.int64)
        self._kinds: Flags = np.empty(0, bool)
        self._arriving: Flags = np.empty(0, bool)  # calls as the callee or its callers count them

    def score(self, table: SeriesTable, now: float, frozen: frozenset[SeriesKey]) -> list[Alert]:
        """What is abnormal now, the most surprising first.

        Args:
            table: What happened lately.
            now: Unix seconds.
            frozen: Series of open incidents: they do not learn, and stay alert on less evidence.
        """
        if not table.size or table.watermark is None:
            return []
        self._follow(table)
        held = np.zeros(table.size, bool)
        held[[number for key in frozen if (number := table.number(key)) is not None]] = True
        self.baselines.learn(table, now, held, self.baselines.typical_s(self._entry))
        view = self._view(table, now, held)
        self.threshold = view.threshold
        findings = [f for ratio in RATIOS for f in self._ratio(view, ratio)]
        findings += self._slow(view, table)
        findings += self._hang(view, table)
        findings += self._missing(view, table)
        findings += self._surge(view)
        return alerts_of(findings, table, now)

    # What a step sees

    def _follow(self, table: SeriesTable) -> None:
        self.baselines.follow(table)
        if len(self._keys) == table.size:
            return
        self._keys = list(table.keys)
        self._kinds = np.array([key.family in CALL_FAMILIES for key in self._keys], bool)
        self._arriving = self._kinds & np.array([key.part("kind") != "client" for key in self._keys], bool)
        callees = {key.part("callee") for key in self._keys if key.family == "edge"}
        self._entry = np.array(
            [
                number
                for number, key in enumerate(self._keys)
                if key.family == "op" and key.part("kind") == "server" and key.part("service") not in callees
            ],
            np.int64,
        )

    def _view(self, table: SeriesTable, now: float, frozen: Flags) -> View:
        size, end = table.size, int(now) + 1
        windows, start = np.zeros((len(WINDOWS_S), size, CELLS), np.float32), end
        for row, span_s in enumerate(WINDOWS_S):
            windows[row] = table.sums(end - span_s, start)
            windows[row] += windows[row - 1] if row else 0
            start = end - span_s
        base = self.baselines
        warm = base.warm[:size]
        old = base.started is not None and now - base.started > STRANGER_AFTER_S
        since = base.last_call[:size]
        lasting = (windows[3, :, Cell.COUNT] > 0) & (since > 0)
        cold = (base.resumed_at[:size] > 0) & (now - base.resumed_at[:size] < COLD_S)
        attempts = windows[-1][:, [Cell.COUNT, Cell.REFUSED_LOCAL, Cell.REFUSED_COMMAND]].sum(axis=1)
        live = int(((attempts > 0) & self._kinds).sum())
        lag_s = max(0.0, end - float(table.watermark or end))
        return View(now, windows, self._kinds, warm, warm | (lasting & old), frozen, cold, live, lag_s)

    def _usual(self, view: View, ratio: Ratio) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(series,) bad calls and calls of the history."""
        sums = self.baselines.sums[: len(view.calls)]
        bad = np.where(view.warm, ratio.bad_of(sums), STRANGER[0])
        total = np.where(view.warm, ratio.total_of(sums), STRANGER[1])
        return np.maximum(bad, 0).astype(np.float64), total.astype(np.float64)

    # One way to be abnormal each

    def _ratio(self, view: View, ratio: Ratio) -> list[Finding]:
        bad, total = ratio.bad_of(view.windows), ratio.total_of(view.windows)
        probes = view.windows[..., Cell.PROBE_ERRORS] if Cell.COUNT in ratio.of and len(ratio.of) == 1 else None
        self._quarantine_the_broken(view, bad, total)
        return self._judge(view, ratio.signal, bad, total, *self._usual(view, ratio), effect=EFFECT, probes=probes)

    def _judge(
        self,
        view: View,
        signal: Signal,
        bad: NDArray[np.float32],
        total: NDArray[np.float32],
        usual_bad: NDArray[np.float64],
        usual_total: NDArray[np.float64],
        *,
        effect: float,
        probes: NDArray[np.float32] | None = None,
        slow: NDArray[np.int16] | None = None,
    ) -> list[Finding]:
        """The exact test on every window with a felt effect; the most surprising window of each series."""
        usual = usual_bad / np.maximum(usual_total, 1)
        least = np.where(view.frozen, 1, 2)
        share = bad / np.maximum(total, 1)
        felt = (share >= np.maximum(2 * usual, usual + effect)) | (share >= 0.99)
        odd = (bad >= least) & felt & (view.known & view.calls)
        window, series = np.nonzero(odd)
        if not len(series):
            return []
        k, n = bad[odd].astype(np.float64), total[odd].astype(np.float64)
        scores = surprise(k, n, usual_bad[series], usual_total[series])
        self.baselines.suspect(np.unique(series[scores >= SUSPICIOUS]), view.now)
        alone = np.zeros(len(k), bool) if probes is None else k - probes[odd] < LEAST_BAD
        held = view.frozen[series]
        enough = np.where(held, scores >= KEEP, (scores >= view.threshold) & (k >= LEAST_BAD) & ~alone)
        findings = []
        for number in np.unique(series[enough]):
            best = max(np.flatnonzero(enough & (series == number)), key=lambda at: (scores[at], -window[at]))
            findings.append(
                Finding(
                    int(number), signal, float(scores[best]), WINDOWS_S[window[best]], k[best], n[best],
                    float(usual[number]), "ratio", slow_bucket=int(slow[number]) if slow is not None else None,
                    held=bool(view.frozen[number]),
                )
            )  # fmt: skip
        return findings

    def _quarantine_the_broken(self, view: View, bad: NDArray[np.float32], total: NDArray[np.float32]) -> None:
        broken = ~view.warm & view.calls & (bad[-1] >= 3) & (bad[-1] > BROKEN_FROM_BIRTH * total[-1])
        if broken.any():
            self.baselines.suspect(np.flatnonzero(broken), view.now)

    def _slow(self, view: View, table: SeriesTable) -> list[Finding]:
        base, size, end = self.baselines, table.size, int(view.now) + 1
        limits, slow, start = base.slow_bucket[:size], np.zeros((len(WINDOWS_S), size), np.float32), end
        for row, span_s in enumerate(WINDOWS_S):
            found = table.details(end - span_s, start)
            over = (found.code < BUCKETS) & (found.code > limits[found.idx])
            slow[row] = np.bincount(found.idx[over], weights=found.amount[over], minlength=size)
            start = end - span_s
        slow = np.cumsum(slow, axis=0)
        total = view.windows[..., Cell.COUNT]
        calm = View(view.now, view.windows, view.calls, view.warm, view.warm & ~view.cold, view.frozen, view.cold,
                    view.live, view.lag_s)  # fmt: skip
        usual_total = base.sums[:size, Cell.COUNT].astype(np.float64)
        usual_slow = np.minimum(base.usual_slow[:size].astype(np.float64), usual_total)
        return self._judge(calm, Signal.SLOW, slow, total, usual_slow, usual_total, effect=SLOW_EFFECT, slow=limits)

    def _hang(self, view: View, table: SeriesTable) -> list[Finding]:
        """Calls begun that do not end: more in flight for each that ends than usual, and the oldest overdue."""
        base, size = self.baselines, table.size
        in_flight, oldest = table.levels(view.now, LEVEL_WITHIN_S)
        limit = np.maximum(HANG_LEAST_S, 1.5 * base.oldest_high[:size] + 0.3)
        least = np.where(view.frozen, 1, HANG_LEAST_CALLS)
        with np.errstate(invalid="ignore"):
            odd = view.warm & ~view.cold & (oldest > limit) & (in_flight >= least)
        numbers = np.flatnonzero(odd)
        if not len(numbers):
            return []
        seconds = np.maximum(base.seconds[numbers], 1).astype(np.float64)
        usual_flying = base.sums[numbers, Cell.IN_FLIGHT] / seconds
        usual_ended = base.sums[numbers, Cell.COUNT] / seconds * WINDOWS_S[1]
        k = in_flight[numbers].astype(np.float64)
        n = k + view.windows[1, numbers, Cell.COUNT]
        rounds = seconds / WINDOWS_S[1]
        scores = surprise(k, n, usual_flying * rounds, (usual_flying + usual_ended) * rounds)
        base.suspect(numbers[scores >= SUSPICIOUS], view.now)
        held = view.frozen[numbers]
        enough = (scores >= view.threshold) | (held & ((scores >= KEEP) | (k >= n)))  # a lone probe may hang
        return [
            Finding(
                int(number), Signal.HANG, max(float(scores[at]), KEEP), WINDOWS_S[1], k[at], n[at],
                float(base.oldest_high[number]), "s", value=float(oldest[number]),
            )
            for at, number in enumerate(numbers) if enough[at]
        ]  # fmt: skip

    def _missing(self, view: View, table: SeriesTable) -> list[Finding]:
        """Traffic that stopped: no call worked for longer than chance explains, while users still come."""
        base, size = self.baselines, table.size
        rate = base.rate[:size]
        worked = view.windows[..., Cell.COUNT] - view.windows[..., Cell.ERRORS]
        refused = view.windows[..., [Cell.REFUSED_LOCAL, Cell.REFUSED_COMMAND, Cell.REFUSED_DEADLINE]].sum(axis=-1)
        silent = (worked <= 0) & (refused <= 0)
        seen = np.array([len(table.slots(view.now + 1 - span_s, view.now + 1)) for span_s in WINDOWS_S], np.float64)
        quiet_s = np.maximum(0.0, np.where(silent, (seen - view.lag_s)[:, None], 0).max(axis=0))
        idle = (base.seconds[:size] - base.active[:size] + 1) / (base.seconds[:size] + 2)
        scores = -quiet_s * np.log10(np.clip(idle, 1e-3, 1))
        odd = view.warm & self._arriving & (scores >= view.threshold) & (rate * quiet_s >= 5)
        odd &= self._users_come(view) | np.isin(np.arange(size), self._entry)
        return [
            Finding(
                int(number), Signal.MISSING, float(scores[number]), float(quiet_s[number]), 0.0, 0.0,
                float(rate[number]), "1/s", value=0.0,
            )
            for number in np.flatnonzero(odd)
        ]  # fmt: skip

    def _users_come(self, view: View) -> bool:
        """Whether the services that nobody calls still get a good part of their usual traffic."""
        now = view.windows[2][self._entry, Cell.COUNT].sum()
        usual = self.baselines.rate[self._entry].sum() * max(1.0, WINDOWS_S[2] - view.lag_s)
        return bool(now >= 0.3 * usual)

    def _surge(self, view: View) -> list[Finding]:
        """Far more calls than usual: says why something else suffers, never an incident by itself."""
        base, size, span_s = self.baselines, len(view.calls), WINDOWS_S[2]
        rate = base.rate[:size]
        seen = view.windows[2][:, [Cell.COUNT, Cell.REFUSED_LOCAL]].sum(axis=1).astype(np.float64)
        usual = rate.astype(np.float64) * span_s
        busy = np.clip(base.active[:size] / np.maximum(base.seconds[:size], 1), 0.01, 1)  # share of seconds with a call
        spread = (
            usual + usual * rate * (1 / busy - 1) + (0.35 * usual) ** 2
        )  # calls come in clusters, and users in waves
        z = (seen - usual) / np.sqrt(spread + 1)
        rare = max(3.0, float(np.sqrt(2 * np.log(max(view.live, 1)))))  # about the highest of so many by chance
        odd = view.warm & view.calls & (seen >= 2 * usual) & (seen - usual >= 15) & (z >= rare)
        return [
            Finding(
                int(number), Signal.SURGE, float(z[number] ** 2 / 4.6), span_s, seen[number], seen[number],
                float(rate[number]), "1/s", value=float(seen[number] / span_s),
            )
            for number in np.flatnonzero(odd)
        ]  # fmt: skip

    # Surviving a restart

    def checkpoint(self) -> bytes:
        """The baselines, in a compact versioned form."""
        return self.baselines.checkpoint(self._keys)

    @classmethod
    def restore(cls, data: bytes) -> "Scorer":
        """The scorer that `checkpoint` wrote; series are found again by name.

        Raises:
            ValueError: Not a checkpoint of this version.
        """
        return cls(Baselines.restore(data))
