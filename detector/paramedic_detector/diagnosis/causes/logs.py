"""Logs that read differently: lines followed by other lines, lines that are missing, new or far more frequent.

    transition a -> b:  x of n lines a are followed by b since the onset, y of m usually
    presence of a:      x lines a in n requests that log, y in m usually

Nearly all that code faults leave is a line that is missing, or another one after it; seldom an error line.
"""

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.diagnosis.causes.index import Numbers
from paramedic_detector.diagnosis.causes.module import Evidence, best_of
from paramedic_detector.diagnosis.causes.stats import share_evidence
from paramedic_detector.diagnosis.causes.view import View
from paramedic_detector.series.slots import Cell

Floats = NDArray[np.float64]


class Flows:
    """Score: z of a transition's share against the usual one, times the difference."""

    name, least = "flow", 0.3

    def __call__(self, view: View) -> Evidence | None:
        numbers, owner, template = view.index.series("flow")
        if not len(numbers):
            return None
        groups, group = np.unique(template, return_inverse=True)
        count = [part[..., Cell.COUNT] for part in view.cells(numbers, np.arange(len(numbers)), len(numbers))]
        of = [_grouped(part, group, len(groups)) for part in count]
        values = share_evidence(count[0], of[0], count[1], of[1])

        def say(name: int) -> str:
            mine = np.flatnonzero(owner == name)
            at = int(mine[np.argmax(values[0, mine])])
            key = view.table.keys[int(numbers[at])]
            then = f"followed by {key.part('next')}" if key.part("next") else "the last line"
            now, usual = (part[0, at] / max(all_[0, at], 1) for part, all_ in zip(count, of, strict=True))
            shares = f"{_percent(now)} of the time instead of {_percent(usual)}"
            return f"its log line {key.part('template')} is {then} {shares}"

        return Evidence(best_of(len(view.index.names), owner, values), count[0].sum(axis=1), say)


class Lines:
    """Score: z of how often a line comes in a request, times the difference."""

    name, least = "lines", 0.3

    def __call__(self, view: View) -> Evidence | None:
        numbers, owner, _ = view.index.series("log")
        if not len(numbers):
            return None
        names = len(view.index.names)
        count = [part[..., Cell.COUNT] for part in view.cells(numbers, np.arange(len(numbers)), len(numbers))]
        of = self._requests(view, names)
        lines = [_grouped(part, owner, names) for part in count]
        whole = [np.where(r[:, owner] > 0, r[:, owner], n) for r, n in zip(of, lines, strict=True)]
        seen = [np.minimum(part, n) for part, n in zip(count, whole, strict=True)]
        values = share_evidence(seen[0], whole[0], seen[1], whole[1])

        def say(name: int) -> str:
            mine = np.flatnonzero(owner == name)
            at = int(mine[np.argmax(values[0, mine])])
            key = view.table.keys[int(numbers[at])]
            now, usual = (part[0, at] / max(all_[0, at], 1) for part, all_ in zip(seen, whole, strict=True))
            if not seen[1][0, at]:
                return f"it logs a line that it never logged before: {key.part('severity')} {key.part('template')}"
            return (
                f"its log line {key.part('template')} comes in {_percent(now)} of requests instead of {_percent(usual)}"
            )

        return Evidence(best_of(names, owner, values), count[0].sum(axis=1), say)

    @staticmethod
    def _requests(view: View, names: int) -> list[Floats]:
        """(windows, names) requests of each service that logged: each has one last line; 0 where that is not known."""
        numbers, owner, _ = view.index.series("flow_end")
        return [part[..., Cell.COUNT] for part in view.cells(numbers, owner, names)]


def _grouped(values: Floats, group: Numbers, groups: int) -> Floats:
    """(windows, series) the sum over the group of each series."""
    return _sums(values, group, groups)[:, group]


def _sums(values: Floats, group: Numbers, groups: int) -> Floats:
    return np.stack([np.bincount(group, row, groups) for row in values]) if len(values) else np.zeros((0, groups))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
