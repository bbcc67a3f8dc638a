"""What is wrong and where: a fault class with its probability, and suspects in ranked order with their evidence.

    alerts, table, graph --causes--> suspects in ranked order --the first of them--> the target
    its series since onset and before --features--> model (or the taxonomy's weights) --> classes and `unknown`
    both --calibrated on cases that the model had not seen--> the probability that class and target are right

With few calls neither is sure, whatever they look like.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Final

import numpy as np

from paramedic.contract.command import Target
from paramedic_detector.diagnosis.causes.ranking import Causes
from paramedic_detector.diagnosis.features import Facts, facts_of, kind_of_target, vector
from paramedic_detector.diagnosis.model import Model, Values
from paramedic_detector.diagnosis.reading import Reader, Span
from paramedic_detector.diagnosis.taxonomy import UNKNOWN, Taxonomy
from paramedic_detector.diagnosis.wording import detail_of, evidence_of, summary_of
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import Alert, Diagnosis

log = logging.getLogger("paramedic.diagnosis")
HALF_SURE_CALLS: Final = 4.5  # bad calls after which the evidence counts half, where no model tells
CLEAR: Final = (
    0.85  # share by the taxonomy's weights from which a case is no unknown one, however new it is to the model
)
MOST_SUSPECTS: Final = 8
NOTHING: Final = Diagnosis(UNKNOWN, 0.0, {UNKNOWN: 1.0}, (), "nothing is abnormal now")


@dataclass(frozen=True, slots=True)
class Look:
    """One target as a diagnosis sees it."""

    target: Target
    kind: str  # of KINDS
    facts: Facts
    values: Values  # (COLUMNS,)
    detail: str  # "version 2.4.1"; "" when nothing narrower than the target is told


class Diagnoser:
    """Diagnoses with a trained model, or with the weights of the taxonomy where there is none.

    Args:
        model: None for the weights alone.
    """

    def __init__(self, taxonomy: Taxonomy, model: Model | None = None) -> None:
        self.taxonomy, self._model, self.causes = taxonomy, model, Causes()
        self._reader = Reader()
        self._path: Path | None = None
        self._wanted, self._loading = False, Lock()

    @classmethod
    def load(
        cls, taxonomy_path: Path | None = None, model_path: Path | None = None, *, trained: bool = True
    ) -> "Diagnoser":
        """A diagnoser that reads its model when it is first asked, or when `warm_up` is called: that takes seconds.

        Args:
            taxonomy_path: None for the taxonomy that comes with paramedic.
            model_path: None for the model that comes with paramedic.
            trained: False for the taxonomy's weights alone.

        Raises:
            ValueError: The taxonomy has mistakes; see `Taxonomy.load`.
        """
        found = cls(Taxonomy.load(taxonomy_path))
        found._path, found._wanted = model_path, trained
        return found

    @property
    def model(self) -> Model | None:
        """The trained model; None when there is none, or none that can be read here."""
        self.warm_up()
        return self._model

    def warm_up(self) -> None:
        """Read the model now, not with the first incident."""
        with self._loading:
            if not self._wanted:
                return
            self._wanted = False
            self.causes.warm_up()
            try:
                self._model = Model.load(self._path)
            except FileNotFoundError as error:
                log.info("no trained model (%s); diagnoses go by the weights of the taxonomy", error)
            except (ValueError, OSError) as error:
                log.warning("%s; diagnoses go by the weights of the taxonomy until then", error)

    def use(self, model: Model | None) -> None:
        """Take another model from the next diagnosis on."""
        with self._loading:
            self._model, self._wanted = model, False

    def diagnose(
        self,
        alerts: Sequence[Alert],
        table: SeriesTable,
        topology: Topology,
        now: float,
        onset: float,
        past: Sequence[Span] = (),
    ) -> Diagnosis:
        """The diagnosis of one incident.

        Args:
            alerts: All alerts of the incident so far.
            table: What happened lately.
            topology: Who calls whom.
            now: Unix seconds.
            onset: When the fault began, as well as is known.
            past: Earlier incidents, from and to in unix seconds: they are not usual.
        """
        suspects = self.causes.rank(alerts, table, topology, now, onset, tuple(past))
        if not suspects:
            return NOTHING
        first = suspects[0]
        look = self.look(first.target, alerts, table, topology, now, onset, past)
        classes, probability = self.judge(look, first.probability)
        fault_class = max(classes, key=lambda name: classes[name])
        evidence = tuple(dict.fromkeys((*first.evidence[:1], *evidence_of(look), *first.evidence[1:])))
        return Diagnosis(
            fault_class=fault_class,
            probability=probability,
            classes=classes,
            suspects=(replace(first, evidence=evidence, detail=look.detail), *suspects[1:MOST_SUSPECTS]),
            summary=summary_of(look),
            told=tuple(look.values.tolist()),
            model=self._model.version if self._model else "",
        )

    def look(
        self,
        target: Target,
        alerts: Sequence[Alert],
        table: SeriesTable,
        topology: Topology,
        now: float,
        onset: float,
        past: Sequence[Span] = (),
    ) -> Look:
        """All that is told of one target."""
        reading = self._reader.read([target.peer], table, topology, now, onset, past)
        facts, kind = facts_of(target, alerts, reading), kind_of_target(target, topology)
        return Look(target, kind, facts, vector(facts, kind), detail_of(target, facts, reading))

    def judge(self, look: Look, share: float) -> tuple[dict[str, float], float]:
        """Probability of every class of a target, and that the likeliest class and the target are both right.

        Args:
            share: How likely the target is.
        """
        model = self.model
        by_weights = self._by_weights(look)
        if model is None:
            return by_weights, share * max(by_weights.values())
        told, novelty = model.judge(look.values, look.kind)
        classes = self._joined(told, by_weights, model.classes)
        best = max(classes, key=lambda name: classes[name])
        clear = max(by_weights, key=lambda name: by_weights[name])
        if best == UNKNOWN != clear and by_weights[clear] >= CLEAR:
            return by_weights, share * by_weights[clear]  # new to the model, and plain to the taxonomy
        if best not in model.classes:
            return classes, share * classes[best]
        return classes, model.probability(classes, share, novelty, look.values)

    def _by_weights(self, look: Look) -> dict[str, float]:
        """What the taxonomy's sums say: the more calls, the more they count."""
        strength = look.facts.evidence / (look.facts.evidence + HALF_SURE_CALLS)
        fitting = [fault for fault in self.taxonomy.classes if look.kind in fault.kinds]
        sums = [strength * fault.sum_of(look.facts.features) for fault in fitting]
        shares = _softmax([*sums, self.taxonomy.unknown])
        found = dict.fromkeys(self.taxonomy.names, 0.0)
        found |= {fault.name: float(share) for fault, share in zip(fitting, shares[:-1], strict=True)}
        return found | {UNKNOWN: float(shares[-1])}

    def _joined(
        self, told: Mapping[str, float], by_weights: Mapping[str, float], met: Sequence[str]
    ) -> dict[str, float]:
        """What the model says, and of classes that it has never met what the weights say."""
        own = {name: by_weights[name] for name in self.taxonomy.names if name not in met and name != UNKNOWN}
        rest = 1.0 - sum(own.values())
        return {name: own.get(name, rest * told.get(name, 0.0)) for name in self.taxonomy.names}


def _softmax(values: Sequence[float]) -> list[float]:
    shifted = np.exp(np.asarray(values, np.float64) - max(values))
    return list(shifted / shifted.sum())
