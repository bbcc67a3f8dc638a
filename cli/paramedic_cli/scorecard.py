"""The scorecard: what was true, beside what paramedic saw, said and did. Pure.

    [Run with the platform] + [Run with the SDK alone] + [bare Run] -> {"scenarios": [...], "totals": {...}}

`docs/reference/scorecard.md` says what every figure means. One entry under "scenarios" is one fault.
A figure that does not apply is None, never 0.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from paramedic_cli.evidence import ActionSeen, IncidentSeen, Injection, Run
from paramedic_cli.intervals import percentile
from paramedic_cli.matching import GRACE_S, Matches, match
from paramedic_cli.users import Recovery, Share, availability, recovery, sent_between

Figures = dict[str, Any]

AVAILABILITY = ("availability", "availability_sdk_only", "availability_bare")  # platform, SDK alone, bare


def scorecard(platform: Sequence[Run], sdk: Sequence[Run] = (), bare: Sequence[Run] = ()) -> Figures:
    """The scorecard of some runs.

    Args:
        platform: The runs that are scored, one a scenario.
        sdk: The same scenarios and seeds without a platform, in the same order; empty when they were not run.
        bare: The same without guards.
    """
    matches = [match(run.injections, run.incidents) for run in platform]
    scenarios: list[Figures] = []
    for place, (run, matched) in enumerate(zip(platform, matches, strict=True)):
        arms = [run, *(arm[place] if arm else None for arm in (sdk, bare))]
        for number, incident in enumerate(matched.of):
            shares = [_share_during(arm, number) for arm in arms]
            scenarios.append(_fault(run, run.injections[number], incident) | _availability(shares))
    whole = [_share_of(arm) if arm else None for arm in (platform, sdk, bare)]
    return {"scenarios": scenarios, "totals": _totals(scenarios, platform, matches) | _availability(whole)}


def _fault(run: Run, injection: Injection, incident: IncidentSeen | None) -> Figures:
    users = recovery(run.requests, injection)
    truth = {"name": injection.name, "fault_class": injection.fault_class, "target": injection.target}
    if incident is None:
        return truth | _NOT_DETECTED | {"recovered_seconds": users.seconds, "note": _note(users, helped=False)}
    helped = incident.person_at is not None and incident.person_at <= injection.healed_at
    return (
        truth
        | _said(injection, incident)
        | _did(injection, incident, credit=users.came_back and not helped)
        | {"recovered_seconds": None if helped else users.seconds, "note": _note(users, helped=helped)}
    )


_NOT_DETECTED: Figures = {
    "detected": False,
    "detect_seconds": None,
    "classified_as": None,
    "confidence": None,
    "class_correct": False,
    "root_cause_rank": None,
    "action": None,
    "act_seconds": None,
    "verified": False,
    "incident": None,
}


def _said(injection: Injection, incident: IncidentSeen) -> Figures:
    return {
        "detected": True,
        "detect_seconds": incident.opened_at - injection.injected_at,
        "classified_as": incident.fault_class,
        "confidence": incident.probability,
        "class_correct": (incident.fault_class, incident.target) == (injection.fault_class, injection.target),
        "root_cause_rank": next((n for n, s in enumerate(incident.suspects, 1) if s == injection.target), None),
        "incident": incident.id,
    }


def _did(injection: Injection, incident: IncidentSeen, *, credit: bool) -> Figures:
    """The first action that bots applied, and whether one was proven to work while the fault was still there."""
    applied = sorted(_applied(incident.actions, injection.healed_at), key=lambda pair: pair[0])
    at, first = applied[0] if applied else (None, None)
    return {
        "action": str(first) if first else None,
        "act_seconds": None if at is None else at - injection.injected_at,
        "verified": credit and any(_proven(action, injection) for action in incident.actions),
    }


def _applied(actions: Iterable[ActionSeen], until: float) -> Iterable[tuple[float, ActionSeen]]:
    return ((a.applied_at, a) for a in actions if a.applied_at is not None and a.applied_at <= until)


def _proven(action: ActionSeen, injection: Injection) -> bool:
    in_time = action.ended_at is not None and injection.injected_at <= action.ended_at <= injection.healed_at
    return action.state == "verified" and action.automatic and in_time


def _note(users: Recovery, *, helped: bool) -> str:
    if helped:
        return "a person acted while the fault was injected: no recovery is credited"
    if not users.came_back:
        return "users' success did not come back while the fault was injected"
    return "" if users.noticed else "users never noticed"


def _totals(scenarios: Sequence[Figures], runs: Sequence[Run], matches: Sequence[Matches]) -> Figures:
    faults, found = len(scenarios), [s for s in scenarios if s["detected"]]
    raw_alerts = sum(run.counts.raw_alerts for run in runs)
    notifications = sum(run.counts.notifications for run in runs)
    return {
        "faults": faults,
        "detected": len(found),
        "false_incidents": sum(len(m.false) for m in matches),
        "extra_incidents": sum(len(m.extra) for m in matches),
        "clean_hours": sum(_clean_s(run) for run in runs) / 3600,
        "raw_alerts": raw_alerts,
        "raw_alerts_at_once": sum(run.counts.raw_alerts_at_once for run in runs),
        "alerts": sum(run.counts.alerts for run in runs),
        "incidents": sum(len(run.incidents) for run in runs),
        "notifications": notifications,
        "noise_reduction": 1 - notifications / raw_alerts if raw_alerts else None,
        "incident_recall": _ratio(len(found), faults),
        "class_accuracy": _ratio(sum(s["class_correct"] for s in scenarios), faults),
        "root_cause_top1": _ratio(sum(_ranked(s, 1) for s in scenarios), faults),
        "root_cause_top3": _ratio(sum(_ranked(s, 3) for s in scenarios), faults),
        "auto_resolved": sum(s["verified"] for s in scenarios),
        "detect_seconds_p50": percentile([s["detect_seconds"] for s in found], 0.5),
        "detect_seconds_p95": percentile([s["detect_seconds"] for s in found], 0.95),
        "recovered_seconds_p50": percentile(_present(scenarios, "recovered_seconds"), 0.5),
        "requests": sum(len(run.requests) for run in runs),
    }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _ranked(scenario: Figures, at_most: int) -> bool:
    rank = scenario["root_cause_rank"]
    return rank is not None and rank <= at_most


def _present(scenarios: Iterable[Figures], name: str) -> list[float]:
    return [s[name] for s in scenarios if s[name] is not None]


def _clean_s(run: Run) -> float:
    """Seconds of a run in which no fault was there nor could still echo."""
    covered, at = 0.0, run.began_at
    for injection in sorted(run.injections, key=lambda i: i.injected_at):
        begin, end = max(at, injection.injected_at), min(run.ended_at, injection.healed_at + GRACE_S)
        covered += max(0.0, end - begin)
        at = max(at, end)
    return max(0.0, run.ended_at - run.began_at - covered)


def _share_during(run: Run | None, number: int) -> Share | None:
    if run is None:
        return None
    injection = run.injections[number]
    return availability(sent_between(run.requests, injection.injected_at, injection.healed_at))


def _share_of(runs: Sequence[Run]) -> Share:
    return availability([request for run in runs for request in run.requests])


def _availability(shares: Sequence[Share | None]) -> Figures:
    figures: Figures = {}
    for name, share in zip(AVAILABILITY, shares, strict=True):
        figures[name] = share.value if share else None
        figures[f"{name}_interval"] = share.interval if share else None
    return figures
