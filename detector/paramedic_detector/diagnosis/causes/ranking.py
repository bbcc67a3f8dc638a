"""Root causes in ranked order, each with its evidence.

    alerts  --whom they blame, deepest first--> blame   \\
                                                          +--> log-odds --> probabilities, sentences
    table   --modules, against quiet time--> gains      /

An onset is often known late, so the modules look since the onset and since one or two steps before it. Their gains
are averaged as odds over when it may have begun: half as likely each step earlier.

Works with alerts alone, and without any when an onset is given.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.diagnosis.causes.blame import Blame, blame_of
from paramedic_detector.diagnosis.causes.delays import Delays
from paramedic_detector.diagnosis.causes.errors import Errors
from paramedic_detector.diagnosis.causes.fusion import Noise, Part, fused, noise_of, parts_of
from paramedic_detector.diagnosis.causes.gauges import Gauges
from paramedic_detector.diagnosis.causes.index import Index
from paramedic_detector.diagnosis.causes.logs import Flows, Lines
from paramedic_detector.diagnosis.causes.members import Member, members_of
from paramedic_detector.diagnosis.causes.module import Module
from paramedic_detector.diagnosis.causes.own_time import OwnTime
from paramedic_detector.diagnosis.causes.sentences import evidence_of, kind_of
from paramedic_detector.diagnosis.causes.view import Past, Quiet, View, amount_of, window_of
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import Alert, Suspect

Floats = NDArray[np.float64]
MOST_SUSPECTS: Final = 12
SURE_GAIN: Final = 8.0  # nats that modules can add: more are no surer
COOLED: Final = 1.5  # log-odds are divided by it, so that of simulated suspects at 0.8 four of five are right
NOT_BLAMED: Final = -4.0  # prior of a name without an alert, when others have some
KEPT: Final = 24  # quiet times remembered, three for each open incident
LATE_S: Final = (5, 10, 20, 40, 60)  # steps that an onset may be known late by; no more than has passed since
BEGAN: Final = (4.0, 2.0, 1.0)  # odds that it began at the onset, a step before it, and two


def modules() -> tuple[Module, ...]:
    """Every kind of evidence, the most telling first."""
    return (Delays(), OwnTime(), Errors(), Gauges(), Flows(), Lines())


class Causes:
    """Ranks who may have caused an incident; remembers the quiet time before each onset."""

    def __init__(self, parts: Sequence[Module] | None = None) -> None:
        self.modules = tuple(modules() if parts is None else parts)
        self._table: SeriesTable | None = None  # the one that is remembered
        self._known = Index()
        self._calm: dict[tuple[object, ...], tuple[Quiet, list[Noise]]] = {}

    def warm_up(self) -> None:
        """Load now what would keep the first incident waiting."""
        for module in self.modules:
            if isinstance(module, Delays):
                module.warm_up()

    def rank(
        self,
        alerts: Sequence[Alert],
        table: SeriesTable,
        topology: Topology,
        now: float,
        onset: float,
        past: Past = (),
    ) -> tuple[Suspect, ...]:
        """Suspects, most likely first; their probabilities sum to 1 at most.

        Args:
            alerts: All alerts of the incident so far; may be empty.
            table: What happened lately.
            topology: Who calls whom.
            now: Unix seconds.
            onset: When the fault began, as well as is known.
            past: (start, end) of earlier incidents, which are not quiet time.
        """
        index = self._index(table)
        names = index.names
        looks = self.looks(table, now, onset, past)
        gains = np.stack([np.minimum(fused(parts, len(names)), SURE_GAIN) for parts in looks])
        gain = averaged(gains)
        louder = gains.argmax(axis=0)  # by name, the look that says more
        blames = blame_of(alerts, topology)
        members = _members(names, gain, blames, table, topology, alerts, now, onset)
        odds = np.array([member.weight for member in members])
        if not len(odds):
            return ()
        rest = max(0, len(names) - len({member.target.peer for member in members})) if not blames else 0
        shifted = np.exp((odds - odds.max()) / COOLED)
        shares = shifted / (shifted.sum() + rest * np.exp(-odds.max() / COOLED))
        order = sorted(range(len(members)), key=lambda at: (-shares[at], str(members[at].target)))[:MOST_SUSPECTS]
        return tuple(
            Suspect(
                members[at].target,
                members[at].kind,
                float(shares[at]),
                evidence_of(members[at], index, _seen_by(members[at], index, looks, louder), alerts, topology),
            )
            for at in order
        )

    def looks(self, table: SeriesTable, now: float, onset: float, past: Past = ()) -> list[list[Part]]:
        """What the modules say since the onset, and since somewhat before it: an onset is often known late."""
        step = max((late for late in LATE_S if late <= now - onset), default=0)
        moments = [onset - number * step for number in range(len(BEGAN) if step else 1)]
        return [self.parts(table, now, moment, past) for moment in moments]

    def parts(self, table: SeriesTable, now: float, onset: float, past: Past = ()) -> list[Part]:
        """What every module says of every name of the index, against its own noise."""
        index = self._index(table)
        window = window_of(table, onset, now)
        quiet, noise = self._calm_before(table, onset, amount_of(window), past)
        return parts_of(self.modules, noise, View(index, table, quiet, window))

    def _index(self, table: SeriesTable) -> Index:
        if self._table is not table:
            self._table, self._known = table, Index()
            self._calm.clear()
        self._known.extend(table)
        return self._known

    def _calm_before(self, table: SeriesTable, onset: float, amount: int, past: Past) -> tuple[Quiet, list[Noise]]:
        index = self._index(table)
        place = (int(onset), amount, tuple(past))
        if place not in self._calm:
            quiet = Quiet.before(table, onset, amount, past)
            view = View(index, table, quiet, None)
            noise = [noise_of(module(view) if quiet.pieces else None, module.least) for module in self.modules]
            while len(self._calm) >= KEPT:
                self._calm.pop(next(iter(self._calm)))
            self._calm[place] = (quiet, noise)
        return self._calm[place]


def averaged(gains: Floats) -> Floats:
    """(names,) nats over all looks.

    Args:
        gains: (looks, names) the look since the onset first.
    """
    odds = np.array(BEGAN[: len(gains)])
    return np.asarray(np.log((odds / odds.sum()) @ np.exp(gains)))


def _seen_by(member: Member, index: Index, looks: Sequence[list[Part]], louder: NDArray[np.int64]) -> list[Part]:
    number = index.number(member.target.peer)
    return looks[int(louder[number])] if number >= 0 else looks[0]


def _members(
    names: Sequence[str],
    gain: Floats,
    blames: dict[str, Blame],
    table: SeriesTable,
    topology: Topology,
    alerts: Sequence[Alert],
    now: float,
    onset: float,
) -> list[Member]:
    """Every name that is blamed or shows something, and each hurt zone of one with several."""
    gains = {name: float(gain[number]) for number, name in enumerate(names)}
    least = NOT_BLAMED if blames else 0.0
    found: list[Member] = []
    for name in sorted({name for name, nats in gains.items() if nats > 0} | set(blames)):
        weight = gains.get(name, 0.0) + (blames[name].weight if name in blames else least)
        kind = kind_of(name, topology)
        found += members_of(name, kind, weight, alerts, table, topology, now, onset)
    return found
