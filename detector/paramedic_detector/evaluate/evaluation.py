"""Everything that is measured of one recorded set, in the order in which it is done.

faults, coverage --> replay through the engine --> root causes --> alert sets --> texts --> what cannot be measured
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from paramedic_detector.evaluate.alert_sets import AlertSet
from paramedic_detector.evaluate.classes import MISSED, Answer, Classes
from paramedic_detector.evaluate.coverage import Stretch
from paramedic_detector.evaluate.published import Known
from paramedic_detector.evaluate.replay import Watched, said_of
from paramedic_detector.evaluate.root_cause import RootCauses
from paramedic_detector.evaluate.texts import TextGroups
from paramedic_detector.evaluate.truth import Fault
from paramedic_detector.values import Diagnosis


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The results of one set; what it does not have is empty or None."""

    name: str
    faults: tuple[Fault, ...]
    kinds: tuple[str, ...]  # of telemetry that are there: "spans", "metrics", "logs", "alerts", "updates"
    granularity_s: float | None
    copies: int = 0  # rows of faults.csv that are marked as made up
    undated: int = 0  # rows without a start
    stretches: tuple[Stretch, ...] = ()
    watched: tuple[Watched, ...] = ()
    root_causes: RootCauses | None = None
    alert_set: AlertSet | None = None
    texts: TextGroups | None = None
    known: Known | None = None
    detected_with: frozenset[str] = field(default_factory=frozenset)

    @property
    def streamed(self) -> bool:
        """Whether the set has telemetry that runs through time."""
        return bool(self.stretches)

    def watched_of(self, fault: Fault) -> Watched | None:
        return next((one for one in self.watched if fault in one.stretch.faults), None)

    def mapped(self) -> list[Fault]:
        """Faults whose label stands for a class of the taxonomy."""
        return [fault for fault in self.faults if fault.fault_class is not None]

    def classes_of_incidents(self) -> Classes:
        """What the incidents said of the faults that they found; a fault that was watched and missed is one too."""
        answers = []
        for fault in self.mapped():
            watched = self.watched_of(fault)
            if watched is not None:
                incident = watched.of.get(fault.case)
                answers.append(_answer(fault, said_of(fault, incident) if incident else None))
        return Classes(tuple(answers))

    def classes_given_onset(self) -> Classes:
        """What a diagnosis says that is told the labelled onset."""
        named = self.root_causes.named if self.root_causes else {}
        return Classes(tuple(_answer(fault, named[fault.case]) for fault in self.mapped() if fault.case in named))


def _answer(fault: Fault, said: Diagnosis | None) -> Answer:
    truth = fault.fault_class or ""
    if said is None:
        return Answer(truth, MISSED, 0.0, False)
    right = bool(said.suspects) and said.suspects[0].target.peer in fault.roots
    return Answer(truth, said.fault_class, said.probability, right)


def not_measured(one: Evaluation) -> list[str]:
    """One plain sentence for everything that the set cannot tell."""
    return [
        *_of_the_kinds(one),
        *_of_the_stretches(one),
        *_of_the_labels(one),
        *_of_the_size(one),
    ]


def _of_the_kinds(one: Evaluation) -> list[str]:
    found = []
    if not one.streamed:
        found.append(
            "There is no telemetry that runs through time: detection, delay and false alarms cannot be measured."
        )
    else:
        if "spans" not in one.kinds:
            found.append("There are no spans: calls, their errors and who calls whom are not seen.")
        if "metrics" not in one.kinds:
            found.append("There are no metrics: processor, memory and other levels are not seen.")
        if "logs" not in one.kinds:
            found.append("There are no logs: faults that show in logs alone cannot be told.")
    if one.granularity_s is not None and one.granularity_s >= 15 and "spans" not in one.detected_with:
        found.append(
            f"Metrics have one point in {one.granularity_s:g} s and nothing finer is watched: "
            "shorter delays cannot be measured."
        )
    return found


def _of_the_stretches(one: Evaluation) -> list[str]:
    found = []
    for number, stretch in enumerate(one.stretches, 1):
        for kind in sorted(stretch.partial):
            found.append(
                f"In stretch {number} there are {kind} around faults only: detection does not see them there, "
                "since their being there would give the faults away; they serve diagnosis."
            )
    if one.watched:
        hours = sum(watched.figures.fault_free_hours for watched in one.watched)
        if hours <= 0:
            found.append("There is no time without a fault: how often it would raise a false alarm cannot be said.")
        elif hours < 1:
            found.append(f"There is only {hours:.2f} h without a fault: the rate of false alarms is a rough one.")
    outside = [fault for fault in one.faults if one.streamed and not any(fault in s.faults for s in one.stretches)]
    if outside:
        found.append(f"{_count(len(outside), 'fault lies', 'faults lie')} outside of the recorded time.")
    return found


def _of_the_labels(one: Evaluation) -> list[str]:
    found = []
    if one.copies:
        found.append(f"{_count(one.copies, 'row is', 'rows are')} marked as made-up copies and left out.")
    if one.undated:
        found.append(f"{_count(one.undated, 'row says', 'rows say')} not when the fault began and are left out.")
    endless = sum(fault.end <= fault.start for fault in one.faults)
    if endless and one.texts is None:
        found.append(f"{_count(endless, 'fault has', 'faults have')} no end: found means within a minute of the start.")
    nobody = sum(not fault.roots for fault in one.faults)
    if nobody:
        found.append(f"{_count(nobody, 'fault names', 'faults name')} no root cause.")
    unmapped = len(one.faults) - len(one.mapped())
    if unmapped and one.texts is None:
        found.append(
            f"{unmapped} of {len(one.faults)} labels stand for no class of the taxonomy: class figures leave them out."
        )
    absent = one.root_causes.not_recorded() if one.root_causes else []
    if absent:
        found.append(
            f"Nothing was recorded of the root cause of {_count(len(absent), 'fault', 'faults')}: "
            "no ranking can name it."
        )
    return found


def _of_the_size(one: Evaluation) -> list[str]:
    if len(one.faults) >= 10:
        return []
    many = "is only 1 fault" if len(one.faults) == 1 else f"are only {len(one.faults)} faults"
    return [f"There {many}: look at the intervals of all shares."]


def broken(one: Evaluation) -> list[str]:
    """What of paramedic itself failed meanwhile, a sentence each: a figure with one of these is not to be trusted."""
    stages = Counter[str]()
    for watched in one.watched:
        stages.update(watched.broken)
    found = [f"Stage {name} of the engine failed {times} times." for name, times in stages.items()]
    failed = one.root_causes.failed if one.root_causes else {}
    return found + [f"Ranking root causes failed {times} times: {error}." for error, times in failed.items()]


def _count(number: int, singular: str, plural: str) -> str:
    return f"{number} {singular if number == 1 else plural}"


def types_of(faults: Sequence[Fault]) -> list[str]:
    """The labels that occur, the most frequent first."""
    names = [fault.fault_type for fault in faults]
    return sorted(set(names), key=lambda name: (-names.count(name), name))
