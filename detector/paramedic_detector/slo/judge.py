"""Objectives judged each second: counted, burnt, and made into alerts while users are hurt now.

    SeriesTable --settled seconds--> Ledger --burns--> Standing of each objective --> Alert

An alert ends as soon as the burning does, since a window of an hour would hold an incident open long after it is
healed; the page of the objective still shows the rule as broken.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from paramedic_collector.windows import SeriesKey
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.series.packing import pack, unpack
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.slo.burn import SUDDEN, Between, Budget, Burn, budget_of, burns, rate
from paramedic_detector.slo.ledger import STEPS, Ledger
from paramedic_detector.slo.objectives import Counted, Measure, Objective, count
from paramedic_detector.values import Alert, Signal

State = Literal["met", "burning", "exhausted", "no_data"]
SETTLE_S: Final = 10  # windows may still come for so long; then a second is written into the ledger
NOW_S: Final = 15.0  # an alert needs burning this young
FRESH_S: Final = 3.0  # seconds that may still be told late
CALM_S: Final = 30.0  # between two looks at an objective that nothing burns
PAGE_SCORE: Final = 8.0  # least score of what somebody is woken for
TICKET_SCORE: Final = 5.0  # likewise of what can wait
USUAL_TARGET: Final = 0.99  # of the objective that a service without one gets


@dataclass(frozen=True, slots=True)
class Standing:
    """How an objective does."""

    objective: Objective
    burns: tuple[Burn, ...]
    broken: tuple[Burn, ...]  # rules that are broken, the most urgent first
    budget: Budget
    state: State


class Objectives:
    """All objectives, their ledgers and their standing.

    Args:
        declared: From files; a service that users reach and that has none gets "useful answers" at 99 %.
    """

    def __init__(self, declared: Sequence[Objective] = ()) -> None:
        self.declared = tuple(declared)
        self.standings: dict[str, Standing] = {}
        self._ledgers: dict[str, Ledger] = {}
        self._held: dict[tuple[str, str], bool] = {}  # (objective, rule) -> the last verdict that had data
        self._judged_at: dict[str, float] = {}

    def evaluate(self, table: SeriesTable, topology: Topology, now: float) -> list[Alert]:
        """Count the new seconds, look at all rules, and give the alerts of what burns now."""
        if table.watermark is None:
            return []
        mark = float(table.watermark)
        found: list[Alert] = []
        for objective in self.all_of(topology):
            if not self._is_due(objective, table, now):
                continue
            lately = count(table, objective, mark - NOW_S, mark)
            ledger = self._settle(objective, table)
            standing = self._standing(objective, ledger, table, min(now, mark))
            self.standings[objective.name], self._judged_at[objective.name] = standing, now
            if standing.broken and (alert := _alert(standing, lately, table, now)):
                found.append(alert)
        return found

    def _is_due(self, objective: Objective, table: SeriesTable, now: float) -> bool:
        """While calls are bad, or a rule is broken, each time; else now and then."""
        standing = self.standings.get(objective.name)
        if standing is None or standing.broken or now - self._judged_at[objective.name] >= CALM_S:
            return True
        mark = float(table.watermark or now)
        return count(table, objective, mark - FRESH_S, mark).bad > 0

    def all_of(self, topology: Topology) -> tuple[Objective, ...]:
        """Those declared, and one for each service that users reach and nobody declared one for."""
        covered = {objective.service for objective in self.declared}
        made_up = [usual(service) for service in topology.entry_services() if service not in covered]
        return (*self.declared, *made_up)

    def between(self, name: str, table: SeriesTable) -> Between:
        """How many calls an objective counted in some time; the newest seconds are read from the table.

        Raises:
            KeyError: No objective of that name was judged.
        """
        return _Counts(self.standings[name].objective, self._ledgers[name], table)

    def _settle(self, objective: Objective, table: SeriesTable) -> Ledger:
        ledger = self._ledgers.setdefault(objective.name, Ledger())
        until = float((table.watermark or 0) - SETTLE_S)
        ledger.until = max(ledger.until, min(until, _first(table, until)))
        for begin in np.arange(ledger.until, until, STEPS[0][0]).tolist():
            ledger.add(begin, count(table, objective, begin, min(begin + STEPS[0][0], until)))
        ledger.until = max(ledger.until, until)
        return ledger

    def _standing(self, objective: Objective, ledger: Ledger, table: SeriesTable, now: float) -> Standing:
        between = _Counts(objective, ledger, table)
        judged = burns(objective, between, now)
        for burn in judged:
            if burn.broken is not None:
                self._held[objective.name, burn.rule.name] = burn.broken
        broken = tuple(burn for burn in judged if self._held.get((objective.name, burn.rule.name), False))
        budget = budget_of(objective, between, now)
        return Standing(objective, judged, broken, budget, _state(broken, budget))

    # Surviving a restart

    def checkpoint(self) -> bytes:
        arrays = {
            f"{number}/{name}": array
            for number, ledger in enumerate(self._ledgers.values())
            for name, array in ledger.state().items()
        }
        about = {"objectives": list(self._ledgers), "held": [[*key, said] for key, said in self._held.items()]}
        return pack("objectives", arrays, json.dumps(about))

    def restore(self, data: bytes) -> None:
        """Take up the ledgers that `checkpoint` wrote.

        Raises:
            ValueError: Not a checkpoint of this version.
        """
        arrays, text = unpack("objectives", data)
        about = json.loads(text)
        for number, name in enumerate(about["objectives"]):
            mine = {key.partition("/")[2]: array for key, array in arrays.items() if key.startswith(f"{number}/")}
            self._ledgers[name] = Ledger.restored({key: array.astype(np.float64) for key, array in mine.items()})
        self._held = {(name, rule): bool(said) for name, rule, said in about["held"]}


def _alert(standing: Standing, lately: Counted, table: SeriesTable, now: float) -> Alert | None:
    """The alert of an objective that burns now; None when what broke its rules is over."""
    objective, worst = standing.objective, standing.broken[0]
    pace = rate(lately, objective)
    if pace is None or pace < min(1.0, worst.rule.factor) or worst.broken is None:
        return None
    return Alert(
        key=SeriesKey("slo", (objective.service, objective.name)),
        signal=Signal.SLO,
        at=now,
        onset=_onset(table, objective, float(table.watermark or now)),
        score=max(worst.score, PAGE_SCORE)
        if worst.rule.pages
        else max(TICKET_SCORE, min(worst.score, PAGE_SCORE - 0.1)),
        value=lately.bad_share or 0.0,
        usual=objective.budget,
        unit="ratio",
        calls=round(lately.total),
        hurt=min(1.0, lately.bad_share or 0.0),
        explanation=sentence(standing, lately),
    )


class _Counts:
    """The ledger, and behind its end the table."""

    def __init__(self, objective: Objective, ledger: Ledger, table: SeriesTable) -> None:
        self._objective, self._ledger, self._table = objective, ledger, table

    def __call__(self, t0: float, t1: float) -> Counted:
        until = self._ledger.until
        fresh = count(self._table, self._objective, max(t0, until), t1) if t1 > until else Counted()
        return fresh + (self._ledger.between(t0, min(t1, until)) if t0 < until else Counted())


def usual(service: str) -> Objective:
    """The objective of a service that has none: 99 % useful answers."""
    return Objective(
        name=f"{service}-useful",
        service=service,
        series=SeriesKey("op", (service, "*", "server", "*", "*", "*", "*")),
        measure=Measure.USEFUL,
        target=USUAL_TARGET,
        title=f"useful answers of {service}",
    )


def sentence(standing: Standing, lately: Counted) -> str:
    """What burns, how fast, and how long the budget lasts, for people who never heard of burn rates."""
    objective, worst, budget = standing.objective, standing.broken[0], standing.budget
    share = f"{100 * (lately.bad_share or 0.0):.0f} % of the last {round(lately.total)} calls"
    bad = {Measure.DURATION: "were too slow", Measure.FIRST_TOKEN: "began too late"}.get(objective.measure, "were bad")
    said = f"{objective.title or objective.name}: {share} {bad} (allowed {100 * objective.budget:.2g} %)"
    if worst.rule is SUDDEN:
        return f"{said}, since a moment ago"
    said += f"; the error budget burns {worst.long or 0.0:.3g} times too fast ({worst.rule.name})"
    return f"{said} and is gone in {_span(budget.gone_in_s)}" if budget.gone_in_s else said


def _span(seconds: float) -> str:
    for unit, size in (("days", 86_400.0), ("hours", 3600.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 60:.0f} minutes"


def _state(broken: Sequence[Burn], budget: Budget) -> State:
    if budget.achieved is None:
        return "no_data"
    if broken:
        return "burning"
    return "exhausted" if budget.left is not None and budget.left <= 0 else "met"


def _first(table: SeriesTable, until: float) -> float:
    slots = table.slots(until - table.history_s, until)
    return float(slots[0].ts) if slots else until


def _onset(table: SeriesTable, objective: Objective, mark: float) -> float:
    """Since when bad calls come: the second from which a burning objective explains best what was counted."""
    start = mark - 60.0
    line = [count(table, objective, start + at, start + at + 1) for at in range(60)]
    bad, good = np.array([one.bad for one in line]), np.array([one.good for one in line])
    share = min(max(bad.sum() / max(1.0, (bad + good).sum()), 2 * objective.budget), 0.98)
    gain = bad * np.log(share / objective.budget) + good * np.log((1 - share) / (1 - objective.budget))
    return start + float(np.argmax(np.cumsum(gain[::-1])[::-1]))


def by_name(standings: Mapping[str, Standing]) -> list[Standing]:
    """The worst first: burning, exhausted, the least budget left, no data last."""
    order = {"burning": 0, "exhausted": 1, "met": 2, "no_data": 3}
    return sorted(
        standings.values(),
        key=lambda one: (order[one.state], one.budget.left if one.budget.left is not None else 1.0, one.objective.name),
    )
