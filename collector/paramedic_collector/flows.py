"""Flows: which line of a log follows which within one span, and which is its last.

    (trace, span): "asked" 12:00:01, "answered" 12:00:02   --wait_s after each came-->
        (service, "asked", "answered") in the second 12:00:01, (service, "answered", "") in 12:00:02

A fault that changes neither durations nor outcomes often changes what is said next. A line waits `wait_s` and then
counts once, in its own second: towards the next line of its span that had come by then, or towards "", the end. So
of each template the flows add up to its lines, and whatever came up to one moment is told at one later moment, which
makes it exact over restarts. Lines without a span have no flow. Times come in as arguments; used by one thread.

Idea: transitions of log templates inside a span as evidence, Nezha (Yu et al., ESEC/FSE 2023).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from paramedic_collector import sketch
from paramedic_collector.interner import EMPTY
from paramedic_collector.parts import Part
from paramedic_collector.sketch import NANO, Flags, Ints
from paramedic_collector.tables import Tables

WAIT_S: Final = 5.0
LINE: Final = np.dtype([("span", "u8"), ("ns", "i8"), ("service", "i8"), ("template", "i8"), ("came", "f8")])
Lines = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Said:
    """Lines of logs, as flows need them; a row a line."""

    span: NDArray[np.uint64]  # mark of (trace, span), 0 for a line without one
    ns: Ints  # unix nanoseconds
    service: Ints  # numbers of names
    template: Ints  # numbers of names


class Flows:
    """Keeps lines until what follows them is known.

    Args:
        tables: The names that the lines' numbers mean, and the series that are made.
        wait_s: Seconds after a line came in which its successor may come.
        limit_bytes: Most bytes of lines kept.
    """

    def __init__(self, tables: Tables, *, wait_s: float = WAIT_S, limit_bytes: int = 8 << 20) -> None:
        self.wait_s = wait_s
        self.evicted = 0  # lines for which there was no room: what follows them is not counted
        self._tables, self._most = tables, max(1, limit_bytes // LINE.itemsize)
        self._lines: list[Lines] = []  # in the order of arrival

    @property
    def kept_bytes(self) -> int:
        return sum(one.nbytes for one in self._lines)

    def add(self, said: Said, now: float) -> None:
        """Take lines in."""
        inside = np.flatnonzero(said.span)
        if not len(inside):
            return
        lines = np.empty(len(inside), LINE)
        for name in ("span", "ns", "service", "template"):
            lines[name] = getattr(said, name)[inside]
        lines["came"] = now
        self._lines.append(lines)
        excess = sum(len(one) for one in self._lines) - self._most
        if excess > 0:  # the oldest go first
            self.evicted += excess
            self._lines = [np.concatenate(self._lines)[excess:]]

    def close(self, now: float) -> list[Part]:
        """The windows of the lines whose time is up."""
        if not self._lines or self._lines[0]["came"][0] > now - self.wait_s:
            return []
        pool = np.concatenate(self._lines)
        due = pool["came"] <= now - self.wait_s
        self._lines = [] if due.all() else [pool[~due]]
        return [self._part(*self._successors(pool, due))]

    def _successors(self, pool: Lines, due: Flags) -> tuple[Lines, Ints]:
        """The lines that are due, and the template of each one's successor, EMPTY for none."""
        order = np.lexsort((pool["ns"], pool["service"], pool["span"]))  # lines of one moment stay as they came
        pool, due = pool[order], due[order]
        after = np.full(len(pool), EMPTY, np.int64)
        same = (pool["span"][1:] == pool["span"][:-1]) & (pool["service"][1:] == pool["service"][:-1])
        in_time = pool["came"][1:] <= pool["came"][:-1] + self.wait_s
        after[:-1] = np.where(same & in_time, pool["template"][1:], EMPTY)
        return pool[due], after[due]

    def _part(self, lines: Lines, after: Ints) -> Part:
        series = self._tables.series_of("flow", lines["service"], lines["template"], after)
        ts = lines["ns"] // NANO
        row, first = sketch.group(ts, series)
        return Part("flow", ts[first], series[first], {"count": pa.array(sketch.count_rows(row, len(first)))})
