"""First stages of the pipeline: merge the windows, score all series, count what the published rules would say."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from paramedic_collector.windows import SeriesKey
from paramedic_detector.actions import in_force
from paramedic_detector.engine.parts import Parts, Tick
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.store import records
from paramedic_detector.store.incidents import Case

TOPOLOGY_S: Final = 5.0  # how old the state of edges may be while nothing is open


class Merge:
    """Windows into the table; from it, who calls whom.

    How its edges do is read anew each round while anything is open, and else every few seconds.
    """

    name = "merge"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._size = 0  # series when the topology was read last

    def __call__(self, tick: Tick) -> Tick:
        vitals = self._parts.vitals
        vitals.merge(tick.batches, tick.now)
        known, size = vitals.topology, vitals.table.size
        if known is None or tick.cases or size != self._size or not 0 <= tick.now - known.at < TOPOLOGY_S:
            refresh_topology(self._parts, tick.now)
            self._size = size
        return replace(tick, batches=())


def refresh_topology(parts: Parts, now: float) -> None:
    """Read from the table who calls whom, and how that goes; once a round at most."""
    known = parts.vitals.topology
    if known is None or known.at != now:
        with parts.vitals.hands_on() as table:
            parts.vitals.topology = Topology.of(table, now, known)


class Score:
    """All series at once; those of open incidents do not learn.

    While a collector replays what came before its restart, nothing is judged: a fault in there may be over, and
    the seconds that say so are still to come.
    """

    name = "score"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def __call__(self, tick: Tick) -> Tick:
        if self._parts.vitals.catching_up(tick.now):
            return replace(tick, alerts=())
        with self._parts.vitals.hands_on() as table:
            alerts = self._parts.judges.scorer.score(table, tick.now, self._frozen(tick))
        return replace(tick, alerts=tuple(alerts))

    def _frozen(self, tick: Tick) -> frozenset[SeriesKey]:
        """Series that are hurt or treated now: what they show is not usual."""
        hurt = {SeriesKey(alert.family, tuple(alert.parts)) for case in tick.cases for alert in case.alerts}
        treated = {a.service for case in tick.cases for a in case.actions if in_force(a)}
        edges = (key for key in self._parts.vitals.table.keys if key.family == "edge") if treated else ()
        return frozenset(hurt | {key for key in edges if key.part("caller") in treated})


class Burn:
    """Objectives whose error budget burns now are alerts like any other."""

    name = "burn"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def __call__(self, tick: Tick) -> Tick:
        if self._parts.vitals.catching_up(tick.now):
            return tick
        with self._parts.vitals.hands_on() as table:
            burning = self._parts.judges.objectives.evaluate(table, self._parts.topology, tick.now)
        return replace(tick, alerts=(*tick.alerts, *burning)) if burning else tick


class CountRules:
    """What a careful rule set of the usual kind would have sent: the base of the noise figures."""

    name = "rules"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._fired = self._counted_at_once = 0  # not yet, and already in the store

    def __call__(self, tick: Tick) -> Tick:
        if self._parts.vitals.catching_up(tick.now):
            return tick
        rules = self._parts.judges.rules
        with self._parts.vitals.hands_on() as table:
            self._fired += len(fired := rules.evaluate(table, tick.now))
        at_once = rules.fired_at_once
        if self._fired or at_once > self._counted_at_once:
            with self._parts.store.writing() as session:
                records.count(session, raw_alerts=self._fired, raw_alerts_at_once=at_once - self._counted_at_once)
            self._fired, self._counted_at_once = 0, at_once
        return replace(tick, raw_alerts=len(fired))


def still_open(cases: Sequence[Case]) -> tuple[Case, ...]:
    return tuple(case for case in cases if case.incident.resolved_at is None)
