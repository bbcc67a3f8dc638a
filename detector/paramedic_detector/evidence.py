"""What the charts show, from the same table that the verdicts are computed from.

    SeriesTable --lock--> Vitals --> users now | lines of an incident | edges | impact

The engine writes into the table, pages read from it: `lock` keeps the two apart.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from paramedic.contract.command import Target
from paramedic_collector.windows import KEYS, SeriesKey, WindowBatch
from paramedic_detector import words
from paramedic_detector.api.schemas import Line, Panel, Users
from paramedic_detector.incidents.topology import Edge, Topology
from paramedic_detector.series.table import SeriesTable

POINTS: Final = 400
NOW_S: Final = 30.0  # what "now" means in "users are hurting now"
HURT_S: Final = 10.0  # what severity looks at
CATCH_UP_S: Final = 10.0  # after this a collector that began to tell the past and fell silent is not waited for
ANY: Final = "*"


def entry_key(service: str) -> SeriesKey:
    """Requests of users: what a service that nobody calls serves."""
    return SeriesKey("op", (service, ANY, "server", ANY, ANY, ANY, ANY))


class Vitals:
    """Reads of the table for pages and severities; safe to share between threads."""

    def __init__(self, table: SeriesTable) -> None:
        self.table = table
        self.lock = threading.RLock()
        self.topology: Topology | None = None
        self._replayed_at: dict[str, float] = {}  # by collector, while it tells the past

    @contextmanager
    def hands_on(self) -> Iterator[SeriesTable]:
        with self.lock:
            yield self.table

    def merge(self, batches: Iterable[WindowBatch], now: float) -> None:
        """Into the table, each once."""
        with self.hands_on() as table:
            for batch in batches:
                table.add(batch)
                if batch.replayed:
                    self._replayed_at[batch.collector] = now
                else:
                    self._replayed_at.pop(batch.collector, None)

    def catching_up(self, now: float) -> bool:
        """Whether a collector is telling what happened before its restart: half of that is no picture of now."""
        return any(now - at < CATCH_UP_S for at in self._replayed_at.values())

    def data_at(self) -> float | None:
        with self.lock:
            mark = self.table.watermark
        return float(mark) if mark is not None else None

    def entry_services(self) -> list[str]:
        return sorted(self.topology.entry_services()) if self.topology else []

    def entry(self, t0: float, t1: float) -> tuple[int, int]:
        """Requests of users in [t0, t1): all, and those that helped nobody."""
        with self.lock:
            found = [self.table.totals(entry_key(service), t0, t1) for service in self.entry_services()]
        return sum(total.count for total in found), sum(min(total.bad, total.count) for total in found)

    def success(self, seconds: float, now: float) -> float | None:
        """Share of the users' requests that were answered usefully lately; None without requests."""
        end = self._end(now)
        calls, bad = self.entry(end - seconds, end)
        return (calls - bad) / calls if calls else None

    def users(self, now: float, *, left_alone: Sequence[str] = ()) -> Users:
        end = self._end(now)
        calls, bad = self.entry(end - NOW_S, end)
        success = (calls - bad) / calls if calls else None
        rate = calls / NOW_S if self.entry_services() else None
        sentence = words.users(success, rate, served_by=" and ".join(sorted(set(left_alone))))
        return Users(success=success, p95_s=self._p95(end), calls_per_s=rate, sentence=sentence)

    def success_line(self, now: float) -> Line:
        end = self._end(now)
        services = self.entry_services()
        key = entry_key(services[0] if len(services) == 1 else ANY)
        return Line(name="useful answers", points=self._line(key, "success_ratio", end - 900, end) if services else [])

    def panels(self, target: Target, callers: Sequence[str], t0: float, t1: float) -> list[Panel]:
        """The charts of one incident: the users, the target as its callers see it, and where the calls went."""
        with self.lock:
            return [
                self._panel("Useful answers to users", "ratio", "success_ratio", self._entries(), t0, t1),
                self._panel(
                    f"Failed calls to {words.named(target)}", "ratio", "error_ratio", self._edges(target), t0, t1
                ),
                self._panel("Calls, by who answers", "1/s", "calls_per_s", self._fanout(callers, target), t0, t1),
                self._panel("Calls not made (refused)", "1/s", "refused_per_s", self._edges(target), t0, t1),
                self._panel("Duration, 95th percentile", "s", "p95_s", self._edges(target), t0, t1),
                self._panel("Oldest call in flight", "s", "oldest_s", self._edges(target), t0, t1),
            ]

    def edges(self) -> tuple[Edge, ...]:
        """Who calls whom, how often, and how much of it fails, lately."""
        return self.topology.edges() if self.topology else ()

    def series(self, family: str, query: str, limit: int) -> list[str]:
        """Names of series that contain `query`."""
        with self.lock:
            keys = list(self.table.keys)
        named = (str(key) for key in keys if not family or key.family == family)
        return sorted(name for name in named if query.lower() in name.lower())[:limit]

    def _panel(
        self, title: str, unit: str, measure: str, keys: Sequence[tuple[str, SeriesKey]], t0: float, t1: float
    ) -> Panel:
        lines = [Line(name=name, points=self._line(key, measure, t0, t1)) for name, key in keys]
        return Panel(
            title=title, unit=unit, lines=[line for line in lines if any(v is not None for _, v in line.points)]
        )

    def _line(self, key: SeriesKey, measure: str, t0: float, t1: float) -> list[tuple[float, float | None]]:
        with self.lock:
            return self.table.line(key, measure, t0, t1, POINTS)

    def _entries(self) -> list[tuple[str, SeriesKey]]:
        return [(service, entry_key(service)) for service in self.entry_services()]

    def _edges(self, target: Target) -> list[tuple[str, SeriesKey]]:
        """Each caller's calls to the target."""
        wanted = [
            (caller, SeriesKey("edge", (caller, callee, zone)), zone)
            for caller, callee, zone in self._known_edges()
            if callee == target.peer and (not target.zone or zone == target.zone)
        ]
        return [(f"{caller} ({zone})" if zone else caller, key) for caller, key, zone in wanted]

    def _fanout(self, callers: Sequence[str], target: Target) -> list[tuple[str, SeriesKey]]:
        """Everything that the target's callers call: shows where the traffic went."""
        mine = set(callers) | {caller for caller, callee, _ in self._known_edges() if callee == target.peer}
        found: dict[str, SeriesKey] = {}
        for caller, callee, zone in self._known_edges():
            if caller in mine:
                found[f"{callee} in {zone}" if zone else callee] = SeriesKey("edge", (ANY, callee, zone))
        return sorted(found.items())

    def _known_edges(self) -> list[tuple[str, str, str]]:
        """Caller, callee, zone; read from the table, so that an edge without traffic just now is not lost."""
        column = {name: place for place, name in enumerate(KEYS["edge"])}
        numbers = self.table.matching(SeriesKey("edge", (ANY,) * len(column)))
        keys = [self.table.keys[number].parts for number in numbers]
        return sorted({(k[column["caller"]], k[column["callee"]], k[column["zone"]]) for k in keys})

    def _p95(self, end: float) -> float | None:
        with self.lock:
            found = [self.table.totals(entry_key(s), end - NOW_S, end) for s in self.entry_services()]
        slowest = [q for total in found if (q := total.quantile_s(0.95)) is not None]
        return max(slowest, default=None)

    def _end(self, now: float) -> float:
        """Up to where the data are complete, save when they are old: then nothing is known of now."""
        mark = self.data_at()
        return mark if mark is not None and now - mark < NOW_S else now
