"""Calls a request: a service that takes a step more often for each request than usual, as callers in a storm of
retries do, and agents in a loop. A step is a call to a callee, or an operation inside, as the use of a tool.

    surging step --of all zones--> calls - what the service's requests explain - what came over from its other callees

A surge of users explains more calls, and so does a callee that fails: its calls go elsewhere. What is left is the
service's own doing.
"""

from typing import Final

import numpy as np

from paramedic_detector.scores.baselines import Numbers
from paramedic_detector.scores.findings import Finding
from paramedic_detector.scores.recent import WINDOWS_S
from paramedic_detector.scores.traffic import spread
from paramedic_detector.scores.view import KEEP, SUSPICIOUS, View, step_of
from paramedic_detector.series.slots import Cell
from paramedic_detector.values import Signal

WINDOWS: Final = tuple(WINDOWS_S.index(span_s) for span_s in (8, 16, 32))
TIMES: Final = 2.0  # as many calls a request as usual
LEAST_MORE: Final = 15.0  # calls that nothing explains
LEAST_EACH: Final = 0.1  # of them, for each request: what hardly any request leads to may change with what users ask
MIXED: Final = 0.2  # what users ask for changes: spread of the calls a request, as a share of them
LEAST_REQUESTS: Final = 10.0  # in a window: what fewer users happen to ask says nothing of the service


def fanout(view: View) -> list[Finding]:
    """Steps that are taken far more often for each request than usual."""
    seen, rate = view.recent.of(Cell.COUNT), view.rate
    found: dict[tuple[str, str], Finding] = {}
    for window in WINDOWS:
        usual = rate * WINDOWS_S[window]
        more = (seen[window] >= TIMES * usual) & (seen[window] - usual >= LEAST_MORE)
        for number in np.flatnonzero(view.warm & (view.cast.edges | view.cast.inner) & more):
            step = step_of(view.cast.keys[int(number)])
            one = _finding(view, *step, window) if step else None
            if step and one is not None and one.score > found.get(step, _NONE).score:
                found[step] = one
    numbers = np.array([one.number for one in found.values() if one.score >= SUSPICIOUS], np.int64)
    view.base.suspect(numbers, view.now)
    return [one for one in found.values() if one.score >= (KEEP if one.held else view.threshold)]


def _finding(view: View, service: str, step: str, window: int) -> Finding | None:
    """What is odd in how often a service takes a step, in all zones together; None when nothing is."""
    span_s, count = WINDOWS_S[window], view.recent.of(Cell.COUNT)[window]
    served, mine = _alive(view, view.cast.served(service)), _alive(view, view.cast.steps(service)[step])
    usual_requests = float(view.rate[served].sum()) * span_s
    requests = max(float(count[served].sum()), usual_requests)
    if requests < LEAST_REQUESTS or not usual_requests:
        return None
    usual_calls = float(view.rate[mine].sum()) * span_s
    growth = requests / usual_requests
    came_over = _came_over(view, service, step, window, growth) if view.cast.edges[mine[0]] else 0.0
    expected = usual_calls * growth + came_over
    calls = float(count[mine].sum())
    more = calls - expected
    if calls < TIMES * expected or more < LEAST_MORE or more < LEAST_EACH * requests:
        return None
    usual = view.rate[mine].astype(np.float64) * span_s * growth
    deviation = float(np.sqrt((spread(view, mine, usual, MIXED) ** 2).sum()))
    number = int(mine[np.argmax(count[mine])])
    return Finding(
        number, Signal.FANOUT, min(300.0, (more / deviation) ** 2 / 4.6), float(span_s), more, calls,
        usual_calls / usual_requests, "calls", value=calls / requests, held=bool(view.held[mine].any()),
    )  # fmt: skip


def _alive(view: View, numbers: Numbers) -> Numbers:
    """Those of the series that had a call lately: a version that was replaced asks for nothing any more."""
    return np.asarray(numbers[view.recent.of(Cell.COUNT)[-1, numbers] > 0])


def _came_over(view: View, service: str, step: str, window: int, growth: float) -> float:
    """Calls that would have gone to other callees of the service, had they worked there."""
    others = [
        numbers for other, numbers in view.cast.steps(service).items() if other != step and view.cast.edges[numbers[0]]
    ]
    if not others:
        return 0.0
    count, errors = view.recent.of(Cell.COUNT)[window], view.recent.of(Cell.ERRORS)[window]
    useless = view.recent.of(Cell.USELESS)[window]
    missing = [
        float(view.rate[numbers].sum()) * WINDOWS_S[window] * growth
        - float((count[numbers] - errors[numbers] - useless[numbers]).sum())
        for numbers in others
    ]
    return sum(max(0.0, one) for one in missing)


_NONE: Final = Finding(-1, Signal.FANOUT, 0.0, 0.0, 0.0, 0.0, 0.0, "calls")
