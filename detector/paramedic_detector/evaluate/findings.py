"""Why a fault was missed, in one sentence that says where to look.

its service has no series | no alert in its time | alerts that opened nothing | taken for an older incident
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from paramedic_collector.windows import SeriesKey
from paramedic_detector.evaluate.truth import Fault

LogEntry = tuple[float, str, float]  # when, fingerprint, score


class Incident(Protocol):
    """What must be known of an incident to see whether it swallowed a fault."""

    @property
    def id(self) -> str: ...
    @property
    def opened_at(self) -> float: ...
    @property
    def resolved_at(self) -> float | None: ...
    @property
    def fingerprints(self) -> frozenset[str]: ...
    @property
    def title(self) -> str: ...


def why_missed(fault: Fault, log: Sequence[LogEntry], incidents: Iterable[Incident], keys: Sequence[SeriesKey]) -> str:
    """The reason, as far as what was seen tells it.

    Args:
        log: Every alert of every step of the time around the fault.
        keys: All series that were known.
    """
    start, end = fault.window
    best: dict[str, float] = {}
    for at, fingerprint, score in log:
        if start <= at <= end:
            best[fingerprint] = max(score, best.get(fingerprint, 0.0))
    about = [name for name in best if speaks_of(name, fault.roots)]
    held = _holders(best, incidents, fault)
    if held:
        top = max(held, key=lambda one: max(best[name] for name in held[one]))
        return f"taken for {top}: {_list(held[top], best)}"
    if about:
        return f"alerts on it opened nothing: {_list(about, best)}"
    series = sum(_is_about(key, fault.roots) for key in keys)
    if not series:
        return "no series speaks of it in what detection may see"
    others = f"; elsewhere {_list(list(best), best)}" if best else ""
    return f"no alert on any of its {series} series{others}"


def _holders(best: Mapping[str, float], incidents: Iterable[Incident], fault: Fault) -> dict[str, list[str]]:
    """Older incidents that took alerts of the fault's time, by name."""
    found: dict[str, list[str]] = {}
    for incident in incidents:
        over = incident.resolved_at
        if incident.opened_at < fault.start and (over is None or over >= fault.start):
            mine = [name for name in best if name in incident.fingerprints]
            ago = fault.start - incident.opened_at
            if mine:
                found[f"{incident.id} ({incident.title}), open since {ago:.0f} s before"] = mine
    return found


def _list(names: Sequence[str], best: Mapping[str, float], most: int = 3) -> str:
    ordered = sorted(names, key=lambda name: -best[name])
    shown = ", ".join(f"{name} at {best[name]:.1f}" for name in ordered[:most])
    return shown + (f" and {len(ordered) - most} more" if len(ordered) > most else "")


def speaks_of(fingerprint: str, roots: Sequence[str]) -> bool:
    """Whether an alert is about one of the services, as caller or callee."""
    parts = fingerprint.partition(":")[2].rpartition("#")[0].split("/")
    return any(root in parts for root in roots)


def _is_about(key: SeriesKey, roots: Sequence[str]) -> bool:
    return any(root in key.parts for root in roots)
