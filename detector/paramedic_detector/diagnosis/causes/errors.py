"""Failures of a service's own making: calls that fail in it, and no call below them that would explain it.

own failures = failed server spans - failed calls that it made itself
lost calls   = calls to it that failed for the caller - those that failed in it (it is gone, or the way to it)
"""

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.diagnosis.causes.index import Numbers
from paramedic_detector.diagnosis.causes.module import Evidence
from paramedic_detector.diagnosis.causes.stats import share_evidence
from paramedic_detector.diagnosis.causes.view import View
from paramedic_detector.series.slots import Cell

Floats = NDArray[np.float64]


class Errors:
    """Score: z of the share of own failures against the usual one, times the difference."""

    name, least = "errors", 0.3

    def __init__(self) -> None:
        self.kinds = (Cell.ERRORS, Cell.USELESS)

    def __call__(self, view: View) -> Evidence | None:
        names = len(view.index.names)
        numbers, owner, _ = view.index.series("server")
        _, caller, callee = view.index.series("edge")
        edges = view.index.series("edge")[0]
        if not len(numbers) and not len(edges):
            return None
        served = self._counts(view, numbers, owner, names)
        made = self._counts(view, edges, caller, names)
        asked = self._counts(view, edges, callee, names)
        own = [_own(a, b) for a, b in zip(served, made, strict=True)]
        lost = [_lost(a, b) for a, b in zip(asked, served, strict=True)]
        by_self = _rise(own[0], own[1])
        by_calls = _rise(lost[0], lost[1])
        scores = np.maximum(by_self, by_calls)

        def say(name: int) -> str:
            x, n = (part[0, name] for part in (own[0] if by_self[0, name] >= by_calls[0, name] else lost[0]))
            if by_self[0, name] >= by_calls[0, name]:
                return f"{100 * x / max(n, 1):.0f} % of its own calls fail, and nothing that it calls explains it"
            return f"{100 * x / max(n, 1):.0f} % of the calls to it fail, and its own spans do not show them"

        return Evidence(scores, served[0][1].sum(axis=1) + asked[0][1].sum(axis=1), say)

    def _counts(self, view: View, numbers: Numbers, owner: Numbers, names: int) -> "list[tuple[Floats, Floats]]":
        """(failed, calls) of the windows, then of the reference; each (windows, names)."""
        return [(part[..., list(self.kinds)].sum(axis=-1), part[..., Cell.COUNT])
                for part in view.cells(numbers, owner, names)]  # fmt: skip


def _own(served: tuple[Floats, Floats], made: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    return np.maximum(served[0] - made[0], 0), served[1]


def _lost(asked: tuple[Floats, Floats], served: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    return np.maximum(asked[0] - served[0], 0), asked[1]


def _rise(window: tuple[Floats, Floats], usual: tuple[Floats, Floats]) -> Floats:
    """Evidence of more failures; fewer are no cause."""
    (x, n), (y, m) = window, usual
    more = x / np.maximum(n, 1) > y / np.maximum(m, 1)
    return np.where(more, share_evidence(x, n, y, m), 0.0)
