"""The scorecard of one recorded set, as plain values for JSON; `docs/reference/scorecard.md` says what each means.

A figure that does not apply is None, never 0.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from paramedic_detector.evaluate.classes import Classes
from paramedic_detector.evaluate.evaluation import Evaluation, broken, not_measured, types_of
from paramedic_detector.evaluate.ranking import Ranking
from paramedic_detector.evaluate.replay import Watched, said_of
from paramedic_detector.evaluate.root_cause import Asked
from paramedic_detector.evaluate.texts import Pairs
from paramedic_detector.evaluate.truth import Fault, Opening
from paramedic_detector.values import Ratio

Figures = dict[str, Any]
Interval = Callable[[int, int], tuple[float, float] | None]
_UNKNOWN_HERE = (  # of the scorecard of drills: nobody is treated, and there are no users to ask
    "action", "act_seconds", "recovered_seconds", "availability", "availability_sdk_only", "availability_bare",
)  # fmt: skip


class Card:
    """Writes the scorecard.

    Args:
        one: What was measured.
        interval: The interval of a share, from how many of how many.
    """

    def __init__(self, one: Evaluation, interval: Interval) -> None:
        self._one, self._interval = one, interval

    def figures(self) -> Figures:
        """All of it."""
        scenarios = [self._scenario(fault) for fault in self._one.faults] if self._one.watched else []
        return {
            "scenarios": scenarios,
            "totals": self._totals(scenarios),
            "dataset": self._dataset(),
            "detection": [self._stretch(number, watched) for number, watched in enumerate(self._one.watched, 1)],
            "root_cause": self._root_cause(),
            "classes": self._classes(),
            "alert_set": self._alert_set(),
            "texts": self._texts(),
            "published": [dict(entry) for entry in self._one.known.figures] if self._one.known else [],
            "not_measured": not_measured(self._one),
            "broken": broken(self._one),
        }

    # What was true, and what was said

    def _scenario(self, fault: Fault) -> Figures:
        watched = self._one.watched_of(fault)
        incident = watched.of.get(fault.case) if watched else None
        said = said_of(fault, incident) if incident else None
        named = [suspect.target.peer for suspect in said.suspects] if said else []
        target = named[0] if named else None
        return {
            "name": fault.case,
            "fault_class": fault.fault_class,
            "fault_type": fault.fault_type,
            "target": fault.root or None,
            "detected": None if watched is None else incident is not None,
            "detect_seconds": incident.opened_at - fault.start if incident else None,
            "classified_as": said.fault_class if said else None,
            "blamed": target,
            "confidence": said.probability if said else None,
            "class_correct": _class_correct(fault, said.fault_class if said else None, target),
            "root_cause_rank": next((n for n, name in enumerate(named, 1) if name in fault.roots), None),
            "onset_seconds": incident.onset - fault.start if incident else None,
            "incident": incident.id if incident else None,
            "title": incident.title if incident else None,
            "missed_because": watched.missed.get(fault.case) if watched else None,
            "verified": None,
            **dict.fromkeys(_UNKNOWN_HERE),
        }

    def _totals(self, scenarios: Sequence[Figures]) -> Figures:
        watched = self._one.watched
        seen = [one for one in scenarios if one["detected"] is not None]
        found = [one for one in seen if one["detected"]]
        mapped = [one for one in seen if one["class_correct"] is not None]
        delays = [one["detect_seconds"] for one in found]
        sigma = [one.sigma_alerts for one in watched if one.sigma_alerts is not None]
        notifications = sum(one.notifications for one in watched) if watched else None
        raw_alerts = sum(one.raw_alerts for one in watched) if watched else None
        return {
            "faults": len(self._one.faults),
            "detected": len(found) if watched else None,
            "false_incidents": sum(one.figures.outside for one in watched) if watched else None,
            "explained_incidents": sum(one.figures.explained for one in watched) if watched else None,
            "extra_incidents": sum(one.figures.extra for one in watched) if watched else None,
            "clean_hours": sum(one.figures.fault_free_hours for one in watched) if watched else None,
            "raw_alerts": raw_alerts,
            "sigma_alerts": sum(sigma) if sigma else None,
            "alerts": sum(one.alerts for one in watched) if watched else None,
            "incidents": sum(len(one.incidents) for one in watched) if watched else None,
            "notifications": notifications,
            "noise_reduction": _reduction(notifications, raw_alerts),
            "sigma_noise_reduction": _reduction(notifications, sum(sigma) if sigma else None),
            "incident_recall": _ratio(len(found), len(seen)),
            "class_accuracy": _ratio(sum(one["class_correct"] for one in mapped), len(mapped)),
            "root_cause_top1": _ratio(sum(_within(one, 1) for one in seen), len(seen)),
            "root_cause_top3": _ratio(sum(_within(one, 3) for one in seen), len(seen)),
            "auto_resolved": None,
            "detect_seconds_p50": _nearest(delays, 0.5),
            "detect_seconds_p95": _nearest(delays, 0.95),
            "recovered_seconds_p50": None,
            "availability": None,
            "availability_sdk_only": None,
            "availability_bare": None,
        }

    def _dataset(self) -> Figures:
        one = self._one
        types = [fault.fault_type for fault in one.faults]
        return {
            "name": one.name,
            "known_as": one.known.name if one.known else None,
            "faults": len(one.faults),
            "copies_left_out": one.copies,
            "fault_types": {name: types.count(name) for name in types_of(one.faults)} if one.texts is None else None,
            "kinds": list(one.kinds),
            "granularity_seconds": one.granularity_s,
        }

    # Detection

    def _stretch(self, number: int, watched: Watched) -> Figures:
        figures, stretch = watched.figures, watched.stretch
        return {
            "stretch": number,
            "start": stretch.span.start,
            "end": stretch.span.end,
            "hours": figures.watched_hours,
            "seen": sorted(stretch.usable),
            "not_seen": sorted(stretch.partial),
            "recall": self._share(figures.recall),
            "by_type": {name: self._share(_recall_of(watched, name)) for name in types_of(stretch.faults)},
            "chance_recall": figures.chance_recall,
            "window_share": figures.window_share,
            "delay_seconds_p50": figures.delay_s(0.5),
            "delay_seconds_p90": figures.delay_s(0.9),
            "delay_seconds_max": figures.delay_s(1.0),
            "openings": figures.openings,
            "extra": figures.extra,
            "outside": figures.outside,
            "explained": figures.explained,
            "fault_free_hours": figures.fault_free_hours,
            "false_per_hour": figures.false_per_hour,
            "unexplained_per_hour": figures.unexplained_per_hour,
            "sigma_alerts": watched.sigma_alerts,
            "raw_alerts": watched.raw_alerts,
            "alerts": watched.alerts,
            "notifications": watched.notifications,
            "missed": [
                {
                    "case": fault.case,
                    "target": fault.root,
                    "fault_type": fault.fault_type,
                    "why": watched.missed[fault.case],
                }
                for fault in stretch.faults
                if fault.case in watched.missed
            ],
            "beside": [
                *(_beside(opening, "extra") for opening in watched.matches.extra),
                *(_beside(opening, "explained") for opening in watched.matches.explained),
                *(_beside(opening, "outside") for opening in watched.matches.outside),
            ],
        }

    # Diagnosis

    def _root_cause(self) -> Figures | None:
        asked = self._one.root_causes
        if asked is None or not asked.asked:
            return None
        return {
            "variants": [
                {
                    "onset": onset,
                    "logs": logs,
                    **self._ranking(asked.ranking(onset, logs)),
                    "by_type": {
                        name: self._ranking(asked.ranking(onset, logs, name)) for name in types_of(self._one.faults)
                    },
                }
                for onset, logs in asked.variants()
            ],
            "cases": [_case(one) for one in asked.asked],
            "not_recorded": asked.not_recorded(),
        }

    def _ranking(self, ranking: Ranking) -> Figures:
        return {
            "faults": len(ranking.ranks),
            "top1": self._share(ranking.top(1)),
            "top3": self._share(ranking.top(3)),
            "top5": self._share(ranking.top(5)),
            "mrr": ranking.mrr,
            "candidates": ranking.candidates,
            "chance_top1": ranking.chance(1),
            "chance_top3": ranking.chance(3),
        }

    def _classes(self) -> Figures:
        given, incidents = self._one.classes_given_onset(), self._one.classes_of_incidents()
        return {
            "mapped": len(self._one.mapped()),
            "not_mapped": len(self._one.faults) - len(self._one.mapped()),
            "of_incidents": self._naming(incidents) if incidents.answers else None,
            "given_labelled_onset": self._naming(given) if given.answers else None,
        }

    def _naming(self, classes: Classes) -> Figures:
        return {
            "faults": len(classes.answers),
            "accuracy": self._share(classes.accuracy),
            "with_target": self._share(classes.with_target),
            "macro_f1": classes.macro_f1(),
            "sure_and_wrong": self._share(classes.sure_and_wrong),
            "brier": classes.brier,
            "confusion": classes.confusion(),
        }

    # Other kinds of sets

    def _alert_set(self) -> Figures | None:
        found = self._one.alert_set
        if found is None:
            return None
        return {
            "alerts": found.alerts,
            "silent_roots": found.silent_roots,
            "without_alerts": found.without_alerts,
            "variants": [
                {
                    "variant": variant,
                    **self._ranking(found.ranking(variant)),
                    "by_type": {
                        name: self._ranking(found.ranking(variant, name)) for name in types_of(self._one.faults)
                    },
                }
                for variant in found.asked
            ],
        }

    def _texts(self) -> Figures | None:
        found = self._one.texts
        if found is None:
            return None
        return {
            "texts": found.texts,
            "incidents": found.incidents,
            "groups": found.groups,
            **_pairs(found.ours),
            "rule_of_a_pause": _pairs(found.rule),
            "by_source": {source: _pairs(pairs) for source, pairs in found.by_source.items()},
        }

    def _share(self, share: Ratio) -> Figures:
        return {
            "good": share.good,
            "of": share.total,
            "value": share.value,
            "interval": self._interval(share.good, share.total),
        }


def _class_correct(fault: Fault, said: str | None, target: str | None) -> bool | None:
    if fault.fault_class is None:
        return None
    return said == fault.fault_class and target in fault.roots


def _recall_of(watched: Watched, fault_type: str) -> Ratio:
    mine = [fault for fault in watched.stretch.faults if fault.fault_type == fault_type]
    return Ratio(sum(fault.case in watched.of for fault in mine), len(mine))


def _beside(opening: Opening, what: str) -> Figures:
    return {
        "what": what,
        "incident": opening.id,
        "at": opening.at,
        "title": opening.title,
        "series": sorted(opening.fingerprints)[:5],
    }


def _case(one: Asked) -> Figures:
    return {
        "case": one.fault.case,
        "fault_type": one.fault.fault_type,
        "target": one.fault.root,
        "onset": one.onset,
        "logs": one.logs,
        "rank": one.rank,
        "first": one.first,
        "evidence": list(one.evidence),
    }


def _pairs(pairs: Pairs) -> Figures:
    return {"pair_f1": pairs.f1, "pair_precision": pairs.precision, "pair_recall": pairs.recall}


def _within(scenario: Figures, most: int) -> bool:
    rank = scenario["root_cause_rank"]
    return rank is not None and rank <= most


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _reduction(sent: int | None, of: int | None) -> float | None:
    return 1 - sent / of if sent is not None and of else None


def _nearest(values: Sequence[float], q: float) -> float | None:
    """A quantile that is one of the values, as in the scorecard of drills."""
    return float(np.quantile(values, q, method="inverted_cdf")) if values else None
