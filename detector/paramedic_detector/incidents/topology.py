"""Who calls whom, and who of them is well: read from the edges of the table.

    front-door --> support-bot (eu-1a, eu-1b) --> aurora, borealis, orders

A callee's zones are its members. A member is healthy until its own latest calls say otherwise.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic.contract.command import Target
from paramedic_collector.windows import SeriesKey
from paramedic_detector.series.slots import CELLS, Cell
from paramedic_detector.series.table import SeriesTable

LATELY_S: Final = (4, 10, 20, 60)  # the shortest of these with enough calls says how a callee is now
ENOUGH: Final = 3  # calls or refusals
UNWELL: Final = 0.5  # share of bad ones
Numbers = NDArray[np.int32]
Sums = NDArray[np.float64]
_LASTING: Final = (
    "_callees",
    "_callers",
    "_reached",
    "services",
    "providers",
    "_entries",
)  # follow from who calls whom alone
_EDGES: Final = SeriesKey("edge", ("*", "*", "*"))
_OPS: Final = SeriesKey("op", ("*",) * 7)


@dataclass(frozen=True, slots=True)
class Edge:
    """Calls of one service to one member of another, over the last minute."""

    caller: str
    callee: str
    zone: str  # the callee's
    calls_per_s: float
    error_ratio: float | None  # None without calls
    unwell: bool  # of its latest calls, half and more failed or were refused by the caller's own breaker


@dataclass(frozen=True)
class Topology:
    """The graph as it stands at one moment."""

    all_edges: tuple[Edge, ...]
    op_keys: tuple[SeriesKey, ...]
    at: float = 0.0  # unix seconds: how its edges do is known up to here

    @classmethod
    def of(cls, table: SeriesTable, now: float, before: "Topology | None" = None) -> "Topology":
        """Every edge that the table remembers, with how it did in the last minute.

        Args:
            before: An earlier one of the same table: what has not changed since is not worked out again.
        """
        numbers, ops = table.matching(_EDGES), table.matching(_OPS)
        end = int(now) + 1
        bands = [_sums(table, numbers, end - span_s, end) for span_s in LATELY_S]
        edges = [
            _edge(table.keys[int(number)], [band[place] for band in bands]) for place, number in enumerate(numbers)
        ]
        same_ops = before is not None and len(before.op_keys) == len(ops)
        keys = before.op_keys if before and same_ops else tuple(table.keys[int(number)] for number in ops)
        fresh = cls(tuple(edges), keys, now)
        if before and same_ops and len(before.all_edges) == len(edges):
            fresh.__dict__.update({name: before.__dict__[name] for name in _LASTING if name in before.__dict__})
        return fresh

    def edges(self) -> tuple[Edge, ...]:
        return self.all_edges

    @cached_property
    def _callees(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for edge in self.all_edges:
            found[edge.caller].add(edge.callee)
        return dict(found)

    @cached_property
    def services(self) -> frozenset[str]:
        """Names that told something about themselves: not mere callees."""
        return frozenset(key.part("service") for key in self.op_keys)

    @cached_property
    def providers(self) -> frozenset[str]:
        """Callees that are asked for answers of a model."""
        return frozenset(key.part("peer") for key in self.op_keys if key.part("model") and key.part("peer"))

    def callees(self, service: str) -> frozenset[str]:
        return frozenset(self._callees.get(service, ()))

    @cached_property
    def _reached(self) -> dict[str, frozenset[str]]:
        return {}  # by service, as it is asked for

    def reaches(self, above: str, below: str) -> bool:
        """Whether calls to `above` may lead to calls to `below`."""
        if above not in self._reached:
            seen: set[str] = set()
            todo = [above]
            while todo:
                fresh = self.callees(todo.pop()) - seen
                seen |= fresh
                todo += fresh
            self._reached[above] = frozenset(seen)
        return below in self._reached[above]

    def knows(self, peer: str) -> bool:
        """Whether the peer calls or is called."""
        return peer in self._callees or peer in self._callers

    @cached_property
    def _callers(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for edge in self.all_edges:
            found[edge.callee].add(edge.caller)
        return dict(found)

    def adjacent(self, one: str, other: str) -> bool:
        """Whether one of the two calls the other."""
        return other in self.callees(one) or one in self.callees(other)

    def callers(self, target: Target) -> list[str]:
        """Services that call the target, sorted."""
        return sorted({edge.caller for edge in self.towards(target)})

    def towards(self, target: Target) -> list[Edge]:
        """The edges that end at the target; a guard alone names no edge."""
        return [
            edge
            for edge in self.all_edges
            if (target.peer or target.zone)
            and target.peer in ("", edge.callee)
            and (not target.zone or edge.zone == target.zone)
        ]

    def members(self, peer: str) -> list[str]:
        """Zones that the peer is called in, sorted; empty when zones are not known."""
        return sorted({edge.zone for edge in self.all_edges if edge.callee == peer and edge.zone})

    def healthy_members(self, peer: str) -> list[str]:
        """Members whose latest calls do not fail."""
        unwell = {edge.zone for edge in self.all_edges if edge.callee == peer and edge.unwell}
        return [zone for zone in self.members(peer) if zone not in unwell]

    def alternatives(self, caller: str, peer: str) -> list[str]:
        """Other providers that this caller has called, when `peer` is one; sorted."""
        if peer not in self.providers:
            return []
        return sorted((self.callees(caller) & self.providers) - {peer})

    def well(self, peers: Iterable[str]) -> list[str]:
        """Those of the peers whose latest calls do not fail; one that nobody calls now is well."""
        unwell = {edge.callee for edge in self.all_edges if edge.unwell}
        return [peer for peer in peers if peer not in unwell]

    def entry_services(self) -> list[str]:
        """Services that nobody calls: where users come in. Sorted."""
        return list(self._entries)

    @cached_property
    def _entries(self) -> tuple[str, ...]:
        called = {edge.callee for edge in self.all_edges}
        serving = {key.part("service") for key in self.op_keys if key.part("kind") == "server"}
        return tuple(sorted(serving - called))


def _sums(table: SeriesTable, numbers: Numbers, t0: int, t1: int) -> Sums:
    place = np.full(table.size + 1, -1, np.int64)
    place[numbers] = np.arange(len(numbers))
    cells = table.cells(t0, t1)
    row = place[cells.idx]
    mine = row >= 0
    flat = np.bincount(row[mine] * CELLS + cells.code[mine], cells.amount[mine], len(numbers) * CELLS)
    return np.asarray(flat.reshape(len(numbers), CELLS), np.float64)


def _edge(key: SeriesKey, bands: list[Sums]) -> Edge:
    minute = bands[-1]
    calls = float(minute[Cell.COUNT])
    caller, callee, zone = key.parts
    return Edge(
        caller,
        callee,
        zone,
        calls_per_s=calls / LATELY_S[-1],
        error_ratio=float(minute[Cell.ERRORS]) / calls if calls else None,
        unwell=_unwell(bands),
    )


def _unwell(bands: list[Sums]) -> bool:
    for sums in bands:
        bad = float(sums[Cell.ERRORS] + sums[Cell.USELESS] + sums[Cell.REFUSED_LOCAL])
        tried = float(sums[Cell.COUNT] + sums[Cell.REFUSED_LOCAL])
        if tried >= ENOUGH:
            return bad / tried >= UNWELL
    return False
