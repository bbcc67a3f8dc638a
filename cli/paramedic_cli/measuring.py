"""Measures a recorded set: its reader is the collector's, its judges are the detector's, and here they meet."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paramedic_cli.errors import UserError
from paramedic_collector.recorded.dataset import Recorded, read
from paramedic_collector.recorded.mistakes import RecordedMistakes
from paramedic_detector.diagnosis.causes.ranking import Causes
from paramedic_detector.diagnosis.diagnoser import Diagnoser
from paramedic_detector.evaluate.alert_sets import alert_set
from paramedic_detector.evaluate.coverage import Stretch, stretches
from paramedic_detector.evaluate.evaluation import Evaluation
from paramedic_detector.evaluate.published import known
from paramedic_detector.evaluate.replay import Progress, watch
from paramedic_detector.evaluate.root_cause import RootCauses, ask
from paramedic_detector.evaluate.texts import TextGroups, text_groups
from paramedic_detector.evaluate.truth import Span, faults_of
from paramedic_detector.incidents.texts import Update, group_updates

KINDS = ("spans", "metrics", "logs", "alerts", "updates")


def measure(folder: Path, between: tuple[float | None, float | None], progress: Progress) -> Evaluation:
    """Everything that a set can tell.

    Args:
        folder: In the normalised form.
        between: Only the telemetry and faults from one unix second to another; None for an open end.

    Raises:
        UserError: The folder is not a set in the normalised form; one sentence a mistake.
    """
    progress(f"reading {folder.name}", 0.0)
    recorded = read_folder(folder)
    diagnoser = Diagnoser.load()
    truth = faults_of(recorded.faults, diagnoser.taxonomy)
    faults = tuple(fault for fault in truth.faults if _is_between(fault.start, between))
    if not faults:
        raise UserError(
            f"{folder}: there is no fault to measure by in faults.csv, got {len(recorded.faults)} rows", code=2
        )
    found = Evaluation(
        name=recorded.name,
        faults=faults,
        kinds=tuple(kind for kind in KINDS if recorded.has(kind)),
        granularity_s=recorded.granularity_s,
        copies=truth.copies,
        undated=truth.undated,
        known=known(truth.faults),
    )
    if any(kind in found.kinds for kind in ("spans", "metrics", "logs")):
        parts = stretches(
            moments_of(recorded), truth.faults, recorded.granularity_s
        )  # by all faults, also those left out
        found = _streamed(replace(found, stretches=_clipped(parts, between)), recorded, diagnoser, progress)
    if recorded.alerts is not None and recorded.has("alerts"):
        progress("ranking root causes from alerts", 0.0)
        found = replace(found, alert_set=alert_set(faults, recorded.alerts.to_pylist(), recorded.graph))
    if recorded.has("updates"):
        progress("grouping texts", 0.0)
        found = replace(found, texts=_texts(recorded))
    return found


def read_folder(folder: Path) -> Recorded:
    """Raises UserError with one sentence for each mistake of the set."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; name one with a faults.csv and what was recorded", code=2)
    try:
        return read(folder)
    except RecordedMistakes as error:
        raise UserError(*(f"{_in(folder, mistake)}" for mistake in error.mistakes), code=2) from None


def _in(folder: Path, mistake: str) -> str:
    return mistake if mistake.startswith(str(folder)) else f"{folder}: {mistake}"


def _streamed(
    found: Evaluation,
    recorded: Recorded,
    diagnoser: Diagnoser,
    progress: Progress,
) -> Evaluation:
    parts = found.stretches
    unlabelled = found.known.unlabelled if found.known else ()
    watched = watch(recorded, parts, unlabelled, progress=progress)
    incidents = [incident for one in watched for incident in one.incidents]
    seen = [fault for part in parts for fault in part.faults]
    of = {case: incident for one in watched for case, incident in one.of.items()}
    causes: RootCauses = ask(
        recorded, seen, of, incidents, Causes(), diagnoser, logs=recorded.has("logs"), progress=progress
    )
    usable: frozenset[str] = frozenset().union(*(part.usable for part in parts))
    return replace(found, watched=tuple(watched), root_causes=causes, detected_with=usable)


def moments_of(recorded: Recorded) -> dict[str, NDArray[np.int64]]:
    """By kind of telemetry, the unix seconds in which something was recorded."""
    found = {"spans": recorded.seconds}
    if recorded.metrics is not None:
        found["metrics"] = np.unique(recorded.metrics.ts)
    if recorded.logs is not None:
        found["logs"] = np.unique(recorded.logs.known_at)
    return {kind: seconds for kind, seconds in found.items() if len(seconds)}


def _clipped(parts: tuple[Stretch, ...], between: tuple[float | None, float | None]) -> tuple[Stretch, ...]:
    """What lies between two moments."""
    first, last = (-np.inf if between[0] is None else between[0]), (np.inf if between[1] is None else between[1])
    kept = []
    for part in parts:
        span = Span(max(part.span.start, first), min(part.span.end, last))
        if span.seconds > 0:
            inside = tuple(fault for fault in part.faults if span.start <= fault.start <= span.end)
            kept.append(replace(part, span=span, faults=inside))
    return tuple(kept)


def _is_between(moment: float, between: tuple[float | None, float | None]) -> bool:
    return (between[0] is None or moment >= between[0]) and (between[1] is None or moment <= between[1])


def _texts(recorded: Recorded) -> TextGroups:
    table = recorded.updates
    assert table is not None
    names = table.column_names
    sources = table["provider"].to_pylist() if "provider" in names else [""] * table.num_rows
    stages = table["stage"].to_pylist() if "stage" in names else [""] * table.num_rows
    rows = zip(table["ts"].to_pylist(), sources, table["text"].to_pylist(), stages, strict=True)
    updates = [Update(_seconds(ts), source or "", text or "", stage or "") for ts, source, text, stage in rows]
    return text_groups(updates, [str(case) for case in table["case"].to_pylist()], group_updates)


def _seconds(moment: object) -> float:
    return float(moment.timestamp()) if hasattr(moment, "timestamp") else float(moment)  # type: ignore[arg-type]
