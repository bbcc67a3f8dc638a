"""What is wrong and where: a fault class with its probability, and suspects in ranked order with their evidence.

    alerts --whom they blame--> suspects --weighed on the graph--> the target
    its calls since onset --features--> the taxonomy's sums, counted the more the more calls there are --> the class

The probability is that of class and target together. Few calls cannot give much of it, whatever they look like.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from paramedic.contract.command import Target
from paramedic_detector.diagnosis.features import Facts, facts_of, kind_of
from paramedic_detector.diagnosis.reading import Reader, Reading, Span
from paramedic_detector.diagnosis.taxonomy import UNKNOWN, Taxonomy
from paramedic_detector.diagnosis.wording import evidence_of, summary_of
from paramedic_detector.incidents.grouping import OPENING, blamed, causes
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import Alert, Diagnosis, Suspect

HALF_SURE_CALLS: Final = 4.5  # bad calls after which the evidence counts half
CAUSE: Final = 4.5  # how far, in log-odds, the deepest abnormal peer lies over those that it explains
MEMBER: Final = 5.0  # likewise one hurt zone over its whole peer, while another zone is well
NOTHING: Final = Diagnosis(UNKNOWN, 0.0, {UNKNOWN: 1.0}, (), "nothing is abnormal now")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A target that may be the cause, with what its calls show."""

    target: Target
    kind: str
    weight: float  # log-odds against the other candidates
    facts: Facts

    @property
    def strength(self) -> float:
        """0 to 1: how much the evidence counts."""
        return self.facts.evidence / (self.facts.evidence + HALF_SURE_CALLS)


class Diagnoser:
    """Diagnoses with the weights of a taxonomy; a trained model may take its place behind the same call."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy
        self._reader = Reader()

    @classmethod
    def load(cls, taxonomy_path: Path | None = None) -> "Diagnoser":
        """Raises ValueError when the file has mistakes; see `Taxonomy.load`."""
        return cls(Taxonomy.load(taxonomy_path))

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
        peers = {blamed(alert).peer for alert in alerts if alert.signal in OPENING}
        candidates = _candidates(alerts, self._reader.read(peers, table, topology, now, onset, past))
        if not candidates:
            return NOTHING
        odds = _softmax([candidate.weight for candidate in candidates])
        ranked = sorted(zip(candidates, odds, strict=True), key=lambda pair: (-pair[1], str(pair[0].target)))
        best, share = ranked[0]
        classes = self.classes_of(best)
        fault_class = max(classes, key=lambda name: classes[name])
        suspects = [
            Suspect(one.target, one.kind, float(odd), evidence_of(one.target, one.kind, one.facts, alerts, topology))
            for one, odd in ranked
        ]
        return Diagnosis(
            fault_class=fault_class,
            probability=float(share) * classes[fault_class],
            classes=classes,
            suspects=tuple(suspects[:8]),
            summary=summary_of(best.target, best.kind, best.facts),
        )

    def classes_of(self, candidate: Candidate) -> Mapping[str, float]:
        """Probability of every class, given that the candidate is the target."""
        fitting = [fault for fault in self.taxonomy.classes if candidate.kind in fault.kinds]
        sums = [candidate.strength * fault.sum_of(candidate.facts.features) for fault in fitting]
        shares = _softmax([*sums, self.taxonomy.unknown])
        found = dict.fromkeys(self.taxonomy.names, 0.0)
        found |= {fault.name: float(share) for fault, share in zip(fitting, shares[:-1], strict=True)}
        return found | {UNKNOWN: float(shares[-1])}


def _candidates(alerts: Sequence[Alert], reading: Reading) -> list[Candidate]:
    """Every blamed peer, and each hurt zone of a peer with several."""
    topology = reading.topology
    opening = [alert for alert in alerts if alert.signal in OPENING]
    roots = set(causes(opening, topology))
    found: list[Candidate] = []
    for peer in sorted({blamed(alert).peer for alert in opening}):
        base = (CAUSE if peer in roots else 0.0) + _surprise(opening, peer)
        zones = topology.members(peer)
        facts = {zone: facts_of(Target(peer, zone), alerts, reading) for zone in zones}
        hurt = [zone for zone in zones if facts[zone].hurt]
        well = [zone for zone in zones if facts[zone].well]
        for zone in hurt if len(zones) > 1 else []:
            weight = base + (MEMBER if well else -MEMBER / 2) - 2.0 * (len(hurt) - 1)
            found.append(Candidate(Target(peer, zone), "zone", weight, facts[zone]))
        whole = facts_of(Target(peer), alerts, reading)
        found.append(Candidate(Target(peer), kind_of(peer, topology), base, whole))
    return found


def _surprise(alerts: Sequence[Alert], peer: str) -> float:
    """A little for the peer that is most abnormal: it decides only between equals."""
    total = sum(alert.score for alert in alerts if blamed(alert).peer == peer)
    return float(0.5 * np.log1p(total))


def _softmax(values: Sequence[float]) -> list[float]:
    shifted = np.exp(np.asarray(values, np.float64) - max(values))
    return list(shifted / shifted.sum())
