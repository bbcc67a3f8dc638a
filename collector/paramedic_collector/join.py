"""Spans joined with their children: self-time, and the gap between client and server.

    children  --kept by parent--+
    a parent --wait_s later-----+--> self-time = duration less the union of its children's intervals
                                     gap = duration of a CLIENT span less that of its SERVER child

A total duration blames the victims of a slow callee; these two find the culprit. Children wait for
their parent `keep_s` at most, and within a byte limit; the self-time of a parent whose children were
evicted is not known, and not guessed. Times come in as arguments; used by one thread.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_collector import facts as fact
from paramedic_collector.columns.rows import places_of, union_lengths
from paramedic_collector.facts import NOWHERE, Facts
from paramedic_collector.fold import fold_family, fold_histogram
from paramedic_collector.interner import EMPTY
from paramedic_collector.parts import Part
from paramedic_collector.sketch import Ints, add_up
from paramedic_collector.tables import Tables

CHILD: Final = np.dtype(
    [("parent", "u8"), ("start", "i8"), ("end", "i8"), ("service", "i8"), ("server", "?"), ("came", "f8")]
)
Children = NDArray[np.void]
_MOST_LOST: Final = 1_000_000  # parents whose children were evicted, remembered by their marks


class Join:
    """Keeps spans until their self-time is known.

    Args:
        tables: The names and series that the facts' numbers mean.
        wait_s: Seconds after a parent came in which its last children may come.
        keep_s: Seconds that children wait for their parent.
        limit_bytes: Most bytes of spans and children kept; may be set later.
    """

    def __init__(
        self, tables: Tables, *, wait_s: float = 1.0, keep_s: float = 120.0, limit_bytes: int = 128 << 20
    ) -> None:
        self.evicted = 0  # children whose parent did not come in time, or for whom there was no room
        self.unknown = 0  # parents whose self-time is not known
        self.tables, self._wait_s, self._keep_s, self.limit_bytes = tables, wait_s, keep_s, limit_bytes
        self._waiting: list[tuple[float, Facts]] = []  # when they came, oldest first
        self._children: list[Children] = []
        self._lost = np.empty(0, np.uint64)

    @property
    def kept_bytes(self) -> int:
        return sum(one.nbytes for _, one in self._waiting) + sum(one.nbytes for one in self._children)

    def add(self, facts: Facts, now: float, parents: bool = True) -> None:
        """Take spans in; each is a parent to come and, with a parent of its own, a child.

        Args:
            parents: False when their own self-times and gaps were given out before a restart.
        """
        if parents:
            self._waiting.append((now, facts))
        born = np.flatnonzero(facts["parent"])
        children = np.empty(len(born), CHILD)
        for name in ("parent", "start", "end", "service"):
            children[name] = facts[name][born]
        children["server"], children["came"] = facts["kind"][born] == fact.SERVER, now
        self._children.append(children)

    def lose(self, parents: NDArray[np.uint64]) -> None:
        """The self-times of these are not known, as if their children had been evicted."""
        self._lost = np.concatenate((self._lost, np.unique(parents)))[-_MOST_LOST:]

    def close(self, now: float) -> list[Part]:
        """The windows of the parents whose time is up."""
        due = self._take_due(now)
        children, owner = self._take_children(due)
        self._evict(now)
        if not len(due):
            return []
        known = places_of(_marks(due["self"]), _marks(self._lost)) < 0
        self.unknown += int((~known).sum())
        found = self._self_times(due, known, owner, children) + self._gaps(due, owner, children)
        return [part for part in found if len(part)]

    def _take_due(self, now: float) -> Facts:
        count = sum(came <= now - self._wait_s for came, _ in self._waiting)
        due, self._waiting = self._waiting[:count], self._waiting[count:]
        return Facts.joined([one for _, one in due])

    def _take_children(self, due: Facts) -> tuple[Children, Ints]:
        """The children of these parents, and which element of `due` is the parent of each."""
        pool = np.concatenate([np.empty(0, CHILD), *self._children])
        owner = places_of(_marks(pool["parent"]), _marks(due["self"]))
        theirs = owner >= 0
        self._children = [pool[~theirs]]
        return pool[theirs], owner[theirs]

    def _evict(self, now: float) -> None:
        pool = self._children[0]
        alive = pool["came"] > now - self._keep_s
        excess = self.kept_bytes - self.limit_bytes
        if excess > 0:  # the oldest go first; the pool is in the order of arrival
            alive[: -(-excess // CHILD.itemsize)] = False
        if alive.all():
            return
        self.evicted += int((~alive).sum())
        self.lose(pool["parent"][~alive])
        self._children = [pool[alive]]

    def _self_times(self, due: Facts, known: NDArray[np.bool_], owner: Ints, children: Children) -> list[Part]:
        spent = due["end"] - due["start"] - covered(due, owner, children)
        which = known & due["made"]
        ts, series = due["ts"][which], due["op"][which]
        return [fold_histogram("op", "self_time", ts, series, spent[which])]

    def _gaps(self, due: Facts, owner: Ints, children: Children) -> list[Part]:
        served = children["server"] & (due["kind"][owner] == fact.CLIENT)
        owner, servers = owner[served], children[served]
        has_server = np.zeros(len(due), bool)
        has_server[owner] = True
        gap = due["end"] - due["start"] - add_up(owner, servers["end"] - servers["start"], len(due))
        late = self._name_callees(due, owner, servers)
        found = [fold_family(family, late, self.tables) for family in ("edge", "callee")]
        for family in ("edge", "callee"):
            which = has_server & (due[family] != NOWHERE)
            ts, series = due["ts"][which], due[family][which]
            found.append(fold_histogram(family, "gap", ts, series, np.maximum(gap[which], 0)))
        return found

    def _name_callees(self, due: Facts, owner: Ints, servers: Children) -> Facts:
        """Spans that named no peer: their callee is the service that served them. Changes `due` in place."""
        peer = np.full(len(due), EMPTY, np.int64)
        peer[owner] = servers["service"]
        nameless = (due["edge"] == NOWHERE) & (peer != EMPTY) & (peer != due["service"])
        late = due.where(nameless)
        fact.set_callee(late, peer[nameless], self.tables)
        for family in ("edge", "callee"):
            due[family][nameless] = late[family]
        return late


def covered(parents: Facts, owner: Ints, children: Children) -> Ints:
    """Nanoseconds of each parent in which at least one of its children ran.

    Args:
        parents: (n,) with `start` and `end`.
        owner: (m,) which parent each child belongs to.
        children: (m,) with `start` and `end`; what lies outside the parent does not count.
    """
    start = np.maximum(children["start"], parents["start"][owner])
    end = np.minimum(children["end"], parents["end"][owner])
    inside = end > start
    order = np.lexsort((start[inside], owner[inside]))
    owner, start, end = owner[inside][order], start[inside][order], end[inside][order]
    return union_lengths(owner, start, end, len(parents))


def _marks(column: NDArray[np.uint64]) -> Ints:
    return np.ascontiguousarray(column).view(np.int64)
