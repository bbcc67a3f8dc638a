"""The scorecard of simulated runs: what was true beside what the engine said. Pure.

    [Result, ...] --> {"scenarios": [one a fault], "totals": {...}, "classes": {...}}

The fields are those of drills. Nothing is treated and no users are asked, so what is about them is None, never 0.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from paramedic_detector.evaluate.virtual import SeenIncident
from paramedic_detector.simulate.plan import Happening, Plan
from paramedic_detector.simulate.runner import Result, rank, said

SURE: Final = 0.9
Figures = dict[str, Any]
_NOT_SAID: Final = ("availability", "availability_sdk_only", "availability_bare")


def scorecard(results: Sequence[Result]) -> Figures:
    """The scorecard of some runs."""
    scenarios = [
        _fault(result.plan, fault, incident)
        for result in results
        for fault, incident in zip(result.plan.faults, result.of, strict=True)
    ]
    return {"scenarios": scenarios, "totals": _totals(scenarios, results), "classes": _classes(scenarios)}


def _fault(plan: Plan, fault: Happening, incident: SeenIncident | None) -> Figures:
    diagnosis = said(plan, incident, fault) if incident else None
    place = rank(plan, incident, fault) if incident else None
    named = diagnosis.fault_class if diagnosis else None
    return {
        "name": f"{plan.name}: {fault.name}",
        "fault_class": fault.fault_class,
        "target": str(fault.root_cause),
        "kind": fault.kind,
        "severity": fault.severity,
        "detected": incident is not None,
        "detect_seconds": round(incident.opened_at - plan.start - fault.at_s, 3) if incident else None,
        "classified_as": named,
        "confidence": diagnosis.probability if diagnosis else None,
        "class_correct": named == fault.fault_class,
        "root_cause_rank": place,
        "suspected": str(diagnosis.suspects[0].target) if diagnosis and diagnosis.suspects else None,
        "action": None,
        "act_seconds": None,
        "verified": None,
        "recovered_seconds": None,
        "incident": incident.id if incident else None,
        **dict.fromkeys(_NOT_SAID),
    }


def _totals(scenarios: Sequence[Figures], results: Sequence[Result]) -> Figures:
    found = [one for one in scenarios if one["detected"]]
    raw = sum(result.raw_alerts for result in results)
    notifications = sum(result.notifications for result in results)
    delays = [one["detect_seconds"] for one in found]
    simulated_s = sum(result.plan.duration_s for result in results)
    spent_s = sum(result.seconds for result in results)
    confident = [one for one in found if (one["confidence"] or 0) >= SURE]
    return {
        "runs": len(results),
        "faults": len(scenarios),
        "detected": len(found),
        "false_incidents": sum(len(result.false) for result in results),
        "extra_incidents": sum(len(result.extra) for result in results),
        "clean_hours": sum(result.plan.clean_s for result in results) / 3600,
        "raw_alerts": raw,
        "alerts": sum(result.alerts for result in results),
        "incidents": sum(result.incidents for result in results),
        "notifications": notifications,
        "noise_reduction": 1 - notifications / raw if raw else None,
        "incident_recall": share([one["detected"] for one in scenarios]),
        "class_accuracy": share([one["class_correct"] for one in found]),
        "confident_mistakes": share([not one["class_correct"] for one in confident]),
        "confident": len(confident),
        "root_cause_top1": share([one["root_cause_rank"] == 1 for one in found]),
        "root_cause_top3": share([(one["root_cause_rank"] or 99) <= 3 for one in found]),
        "auto_resolved": None,
        "detect_seconds_p50": float(np.percentile(delays, 50)) if delays else None,
        "detect_seconds_p95": float(np.percentile(delays, 95)) if delays else None,
        "recovered_seconds_p50": None,
        "simulated_hours": simulated_s / 3600,
        "times_real_time": simulated_s / spent_s if spent_s else None,
        **_forecasts(results),
        **dict.fromkeys(_NOT_SAID),
    }


def _forecasts(results: Sequence[Result]) -> Figures:
    """How often it was foretold that something runs full, how early, and how often for nothing."""
    told = sum(result.forecasts.told for result in results)
    leads = [lead for result in results for lead in result.forecasts.leads_s]
    return {
        "leaks": sum(result.forecasts.leaks for result in results),
        "leaks_foretold": len(leads),
        "forecasts": told,
        "forecast_precision": sum(result.forecasts.right for result in results) / told if told else None,
        "forecast_lead_seconds_p50": float(np.percentile(leads, 50)) if leads else None,
    }


def _classes(scenarios: Sequence[Figures]) -> Figures:
    """By fault class: how many, found, named rightly, and what they were named instead."""
    groups: dict[str, list[Figures]] = defaultdict(list)
    for one in scenarios:
        groups[one["fault_class"]].append(one)
    return {
        name: {
            "faults": len(group),
            "detected": sum(one["detected"] for one in group),
            "class_correct": sum(one["class_correct"] for one in group),
            "root_cause_top1": sum(one["root_cause_rank"] == 1 for one in group),
            "named": dict(Counter(str(one["classified_as"]) for one in group if one["detected"])),
        }
        for name, group in sorted(groups.items())
    }


def share(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None
