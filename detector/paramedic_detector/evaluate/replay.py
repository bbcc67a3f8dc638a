"""A recorded set through the production engine, in time order: what would have been opened, and why not.

    batches --only kinds that ran all the time--> VirtualDesk --> openings --matched to faults--> Watched

Detection learns nothing of faults: logs or spans that exist around faults alone never reach it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from paramedic_collector.windows import SeriesKey, WindowBatch
from paramedic_detector.evaluate.coverage import Stretch
from paramedic_detector.evaluate.figures import Detection, detection
from paramedic_detector.evaluate.findings import LogEntry, why_missed
from paramedic_detector.evaluate.matching import Matches, match
from paramedic_detector.evaluate.sigma import MinuteSeries
from paramedic_detector.evaluate.truth import GRACE_S, Fault, Opening, Span
from paramedic_detector.evaluate.virtual import SeenIncident, VirtualDesk
from paramedic_detector.scores.scorer import Scorer
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import Diagnosis

FAMILIES: Final[Mapping[str, tuple[str, ...]]] = {
    "spans": ("op", "edge", "callee"),
    "metrics": ("gauge",),
    "logs": ("log", "flow"),
}
HISTORY_S: Final = 3600
AWAKE_S: Final = 10.0  # after a point of a metric; where nothing else is seen, nothing changes until the next
NAP_S: Final = 3.0  # between two looks then, while an incident is open and may end
Progress = Callable[[str, float], None]  # what is done now, and the share of it


class Source(Protocol):
    """The windows of a recorded set, as its reader gives them: known when they would have been known."""

    def batches(
        self, start: float | None = None, end: float | None = None, every_s: int = 1
    ) -> Iterator[WindowBatch]: ...


@dataclass(frozen=True, slots=True)
class Watched:
    """What one stretch of recording gave."""

    stretch: Stretch
    incidents: tuple[SeenIncident, ...]
    matches: Matches
    figures: Detection
    missed: Mapping[str, str]  # by case, why
    alerts: int  # series found abnormal, each once an incident
    raw_alerts: int  # firing transitions of the published rule set
    notifications: int
    sigma_alerts: int | None  # of the three-sigma rule over the same series; None where there is nothing to count
    of: Mapping[str, SeenIncident] = field(default_factory=dict)  # by case
    broken: Mapping[str, int] = field(default_factory=dict)  # by stage of the engine, how often it failed


def watch(
    source: Source,
    stretches: Sequence[Stretch],
    unlabelled: Sequence[Span] = (),
    *,
    progress: Progress = lambda what, share: None,
) -> list[Watched]:
    """Stream every stretch through one engine; what it learned in one it knows in the next."""
    scorer, table, watched = Scorer(), SeriesTable(HISTORY_S), []
    sigma = MinuteSeries(calls=not any("metrics" in stretch.usable for stretch in stretches))
    for number, stretch in enumerate(stretches, 1):
        name = f"watching stretch {number} of {len(stretches)}"
        with VirtualDesk(stretch.span.start, scorer=scorer, table=table) as desk:
            told = _told(source, stretch, name, progress)
            for batch in _dozing(desk, told) if stretch.usable <= {"metrics"} else desk.live(told):
                sigma.add(batch)
            watched.append(_watched(stretch, desk, table.keys, unlabelled, number))
    sent = sigma.alerts()
    if not sent.series:
        return watched
    return [replace(one, sigma_alerts=sent.between(one.stretch.span.start, one.stretch.span.end)) for one in watched]


def _dozing(desk: VirtualDesk, batches: Iterable[WindowBatch]) -> Iterator[WindowBatch]:
    """Live through batches that are mostly empty, and leave out the seconds in which nothing can happen."""
    told_at = desk.now
    for batch in batches:
        told_at = float(batch.watermark) if batch.tables else told_at
        if batch.watermark - told_at <= AWAKE_S or not _may_skip(desk, batch.watermark):
            desk.advance(batch)
            yield batch


def _may_skip(desk: VirtualDesk, now: float) -> bool:
    """Whether nothing can happen now; the desk's clock then goes on without a tick."""
    is_open = any(incident.resolved_at is None for incident in desk.incidents.values())
    if is_open and now - desk.now >= NAP_S:
        desk.now = now - 1
        return False
    if not is_open:
        desk.now = now
    return True


def only(batch: WindowBatch, kinds: Iterable[str]) -> WindowBatch:
    """The batch with the windows of these kinds alone."""
    families = {family for kind in kinds for family in FAMILIES[kind]}
    return replace(batch, tables={family: rows for family, rows in batch.tables.items() if family in families})


def _told(source: Source, stretch: Stretch, name: str, progress: Progress) -> Iterator[WindowBatch]:
    start, length = stretch.span.start, max(1.0, stretch.span.seconds)
    for batch in source.batches(start, stretch.span.end):
        progress(name, min(1.0, (batch.watermark - start) / length))
        yield only(batch, stretch.usable)


def _watched(
    stretch: Stretch, desk: VirtualDesk, keys: Sequence[SeriesKey], unlabelled: Sequence[Span], number: int
) -> Watched:
    incidents = tuple(desk.incidents.values())
    openings = [opening_of(incident) for incident in incidents]
    matches = match(stretch.faults, openings, unlabelled)
    by_id = {incident.id: incident for incident in incidents}
    found = {f.case: by_id[o.id] for f, o in zip(stretch.faults, matches.of, strict=True) if o is not None}
    missed = [fault for fault in stretch.faults if fault.case not in found]
    return Watched(
        stretch=stretch,
        incidents=incidents,
        matches=matches,
        figures=detection(stretch.faults, matches, [stretch.span]),
        missed={fault.case: why_missed(fault, _around(desk.alerts_log, fault), incidents, keys) for fault in missed},
        alerts=sum(len(incident.fingerprints) for incident in incidents),
        raw_alerts=desk.raw_alerts,
        notifications=desk.notifications,
        sigma_alerts=None,
        of=found,
        broken=desk.engine.health().stage_failures,
    )


def _around(log: Sequence[LogEntry], fault: Fault) -> list[LogEntry]:
    start, end = fault.window
    return [entry for entry in log if start <= entry[0] <= end]


def opening_of(incident: SeenIncident) -> Opening:
    said = incident.diagnosis
    return Opening(
        id=incident.id,
        at=incident.opened_at,
        onset=incident.onset,
        resolved_at=incident.resolved_at,
        target=said.suspects[0].target.peer if said and said.suspects else "",
        fault_class=said.fault_class if said else "",
        probability=said.probability if said else 0.0,
        title=incident.title,
        fingerprints=incident.fingerprints,
    )


def said_of(fault: Fault, incident: SeenIncident) -> Diagnosis | None:
    """What the incident said when its fault was about to end, or first when that was later."""
    made = [diagnosis for at, diagnosis in incident.diagnoses if at <= fault.end + GRACE_S]
    made = made or [diagnosis for _, diagnosis in incident.diagnoses[:1]]
    return made[-1] if made else None
