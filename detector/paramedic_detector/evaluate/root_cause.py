"""Root causes ranked at the moments of labelled faults, over everything that was known by then.

    batches --in time order--> two tables, with and without logs --at each fault's end--> rankings of its candidates

Asked four ways: given the labelled onset, with and without logs; given it a minute late, as a slow detector would; and
given what our own incident said, which a missed fault does not have. Earlier faults (or earlier incidents of ours) are
told, so that they are not taken for quiet time. Nothing of later is known.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import pyarrow as pa

from paramedic_collector.windows import WindowBatch
from paramedic_detector.engine.parts import Diagnoses
from paramedic_detector.evaluate.ranking import Ranking, rank_of, ranking
from paramedic_detector.evaluate.replay import FAMILIES, Progress, Source, only
from paramedic_detector.evaluate.truth import Fault
from paramedic_detector.evaluate.virtual import SeenIncident
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import Alert, Diagnosis, Suspect

LATE_S: Final = 60.0  # how late a slow detector's onset is
SETTLE_S: Final = 5.0  # what ended is known, and so are its self-times
HISTORY_S: Final = 6 * 3600  # what a reference may reach back to where quiet time is rare
FOLD_S: Final = 60  # seconds of windows that are merged at once
TRUE, LATE, OWN = "labelled onset", f"labelled onset + {LATE_S:.0f} s", "our own onset"


class Ranks(Protocol):
    """Says which targets are the likeliest causes; see `paramedic_detector.diagnosis.causes.ranking`."""

    def rank(
        self,
        alerts: Sequence[Alert],
        table: SeriesTable,
        topology: Topology,
        now: float,
        onset: float,
        past: Sequence[tuple[float, float]] = (),
    ) -> Sequence[Suspect]: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """One ranking of one fault's candidates."""

    fault: Fault
    onset: str  # TRUE, LATE or OWN
    logs: bool
    rank: float | None  # None where the true service is in nothing that was recorded
    candidates: int
    first: str  # who was named first
    evidence: tuple[str, ...] = ()


@dataclass(slots=True)
class RootCauses:
    """Everything that was asked."""

    asked: list[Asked] = field(default_factory=list)
    named: dict[str, Diagnosis] = field(default_factory=dict)  # by case, given the labelled onset
    failed: Counter[str] = field(default_factory=Counter)  # by error, how often a ranking or diagnosis broke

    def variants(self) -> list[tuple[str, bool]]:
        """(onset, logs) in the order of asking."""
        return list(dict.fromkeys((one.onset, one.logs) for one in self.asked))

    def ranking(self, onset: str, logs: bool, fault_type: str | None = None) -> Ranking:
        """Of the faults whose service is a candidate; of one type or of all."""
        mine = [one for one in self.asked if (one.onset, one.logs) == (onset, logs)]
        mine = [one for one in mine if fault_type in (None, one.fault.fault_type) and one.rank is not None]
        return ranking([one.rank for one in mine if one.rank is not None], [one.candidates for one in mine])

    def not_recorded(self) -> list[str]:
        """Cases whose service nothing speaks of."""
        return sorted({one.fault.case for one in self.asked if one.rank is None})


def ask(
    source: Source,
    faults: Sequence[Fault],
    found: Mapping[str, SeenIncident],
    incidents: Sequence[SeenIncident],
    causes: Ranks,
    diagnoser: Diagnoses | None = None,
    *,
    logs: bool,
    progress: Progress = lambda what, share: None,
) -> RootCauses:
    """Stream the set once more and rank at the end of each fault.

    Args:
        found: By case, the incident that found the fault.
        incidents: All of ours.
        logs: Whether the set has any; without, nothing is asked twice.
    """
    out, waiting = RootCauses(), sorted(faults, key=lambda fault: fault.end)
    if not waiting:
        return out
    plain, full = _Table(("spans", "metrics")), _Table(tuple(FAMILIES)) if logs else None
    last = waiting[-1].end + SETTLE_S
    for batch in _until(source, last + FOLD_S):
        progress("ranking root causes", min(1.0, 1 - len(waiting) / max(1, len(faults))))
        for table in (plain, full):
            if table is not None:
                table.add(batch)
        while waiting and batch.watermark >= waiting[0].end + SETTLE_S:
            fault = waiting.pop(0)
            _ask_all(out, fault, plain, full, found.get(fault.case), faults, incidents, causes, diagnoser)
    for fault in waiting:  # the recording ends with them
        _ask_all(out, fault, plain, full, found.get(fault.case), faults, incidents, causes, diagnoser)
    return out


def _until(source: Source, end: float) -> Iterator[WindowBatch]:
    return source.batches(None, end)


def _ask_all(
    out: RootCauses,
    fault: Fault,
    plain: "_Table",
    full: "_Table | None",
    incident: SeenIncident | None,
    faults: Sequence[Fault],
    incidents: Sequence[SeenIncident],
    causes: Ranks,
    diagnoser: Diagnoses | None,
) -> None:
    known = [(other.start, other.end) for other in faults if other.start < fault.start]
    ours = _ended(incidents, incident)
    for onset, moment in (
        (TRUE, fault.start),
        (LATE, fault.start + LATE_S),
        (OWN, incident.onset if incident else None),
    ):
        for table, logs in ((plain, False), (full, True)):
            if table is None:
                continue
            if moment is None:
                out.asked.append(_unfound(fault, logs, table.candidates()))
                continue
            series, topology = table.ready(fault.end)
            alerts = tuple(incident.alerts.values()) if incident and onset == OWN else ()
            past = ours if onset == OWN else known
            now = max(fault.end, moment)
            try:
                suspects = causes.rank(alerts, series, topology, now, moment, past)
                out.asked.append(_asked(fault, onset, logs, suspects, table.candidates()))
                if onset == TRUE and diagnoser is not None and (logs or full is None):
                    out.named[fault.case] = diagnoser.diagnose((), series, topology, now, moment, past)
            except Exception as error:  # a judge that breaks has named nobody; the measuring goes on
                out.failed[f"{type(error).__name__}: {error}"] += 1
                if not any((one.fault, one.onset, one.logs) == (fault, onset, logs) for one in out.asked):
                    out.asked.append(_asked(fault, onset, logs, (), table.candidates()))


def _ended(incidents: Sequence[SeenIncident], incident: SeenIncident | None) -> list[tuple[float, float]]:
    """Our incidents before this one: from their onset to their end, or to this one's onset."""
    if incident is None:
        return []
    before = [other for other in incidents if other.opened_at < incident.opened_at]
    ends = [incident.onset if other.resolved_at is None else other.resolved_at for other in before]
    pairs = zip(before, ends, strict=True)
    return [(other.onset, min(end, incident.onset)) for other, end in pairs if other.onset < incident.onset]


def _unfound(fault: Fault, logs: bool, candidates: Collection[str]) -> Asked:
    """A fault that was missed has no onset of ours: its service ties with all others."""
    return _asked(fault, OWN, logs, (), candidates)


def _asked(fault: Fault, onset: str, logs: bool, suspects: Sequence[Suspect], candidates: Collection[str]) -> Asked:
    scores = scores_of(suspects)
    rank = rank_of(fault.roots, scores, candidates) if set(fault.roots) & (set(candidates) | set(scores)) else None
    top = suspects[0] if suspects else None
    return Asked(fault, onset, logs, rank, len(candidates), top.target.peer if top else "", top.evidence if top else ())


def scores_of(suspects: Sequence[Suspect]) -> dict[str, float]:
    """Probability by service: the best of its members and versions. The order given breaks ties."""
    scores: dict[str, float] = defaultdict(float)
    for suspect in suspects:
        name = suspect.target.peer
        scores[name] = max(scores[name], suspect.probability)
    return dict(scores)


class _Table:
    """A table that takes windows in by the minute, which is much cheaper than by the second."""

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self._kinds, self._series = kinds, SeriesTable(HISTORY_S)
        self._waiting: list[WindowBatch] = []

    def add(self, batch: WindowBatch) -> None:
        self._waiting.append(only(batch, self._kinds))
        if len(self._waiting) >= FOLD_S:
            self._merge()

    def ready(self, now: float) -> tuple[SeriesTable, Topology]:
        self._merge()
        return self._series, Topology.of(self._series, now)

    def candidates(self) -> frozenset[str]:
        """Every service that something was recorded of, and every callee."""
        named = ("service", "caller", "callee")
        return frozenset(key.part(name) for key in self._series.keys for name in named) - {""}

    def _merge(self) -> None:
        if not self._waiting:
            return
        last = self._waiting[-1]
        families = dict.fromkeys(family for batch in self._waiting for family in batch.tables)
        tables = {
            family: _one_of([batch.tables[family] for batch in self._waiting if family in batch.tables])
            for family in families
        }
        self._series.add(WindowBatch(last.collector, last.sequence, last.watermark, tables))
        self._waiting = []


def _one_of(parts: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.concat_batches(parts)
