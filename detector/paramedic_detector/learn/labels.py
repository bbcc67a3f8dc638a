"""Examples from what people said: the diagnosis kept what it was told by, the person says what it was."""

from collections.abc import Iterable, Iterator

import numpy as np

from paramedic_detector.diagnosis.features import COLUMNS
from paramedic_detector.diagnosis.taxonomy import KINDS, UNKNOWN
from paramedic_detector.learn.examples import Example, Source
from paramedic_detector.store.labels import Labelled
from paramedic_detector.store.tables import DiagnosisRow


def labelled_examples(labelled: Iterable[Labelled]) -> Iterator[Example]:
    """One example for each diagnosis of an incident that was about the target that the person named.

    A diagnosis of another target says nothing of what the true one looked like and is left out, and so is one that was
    told by the numbers of another version of paramedic.
    """
    for one in labelled:
        if one.label.fault_class == UNKNOWN:
            continue
        for row in one.diagnoses:
            if _is_about(row, one.label.peer, one.label.zone):
                values = np.array(row.told, np.float64)
                share = float(row.suspects[0]["probability"])
                group = f"INC-{one.label.incident}"
                yield Example(values, _kind(values), one.label.fault_class, group, Source.PERSON, share)


def _is_about(row: DiagnosisRow, peer: str, zone: str) -> bool:
    if row.told is None or len(row.told) != len(COLUMNS) or not row.suspects:
        return False
    target = row.suspects[0]["target"]
    return not peer or (target["peer"], target["zone"]) == (peer, zone)


def _kind(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> str:
    return max(KINDS, key=lambda kind: float(values[COLUMNS.index(f"kind_{kind}")]))
