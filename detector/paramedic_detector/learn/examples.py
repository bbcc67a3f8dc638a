"""What a model learns from: one case at one moment, with its truth.

episode (alerts, table, topology, now, onset, truth) --the diagnoser's own eyes--> Example
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from paramedic.contract.command import Target
from paramedic_detector.diagnosis.features import COLUMNS
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import Alert


class Source(StrEnum):
    """Where an example comes from."""

    SIMULATED = "simulated"
    RECORDED = "recorded"
    PERSON = "person"  # what people said of an incident


class Episode(Protocol):
    """One moment of an incident whose truth is known."""

    @property
    def alerts(self) -> Sequence[Alert]: ...
    @property
    def table(self) -> SeriesTable: ...
    @property
    def topology(self) -> Topology: ...
    @property
    def now(self) -> float: ...
    @property
    def onset(self) -> float: ...
    @property
    def truth_class(self) -> str: ...
    @property
    def truth_target(self) -> Target: ...


@dataclass(frozen=True, slots=True)
class Example:
    """One target at one moment.

    `values` are those of the true target, for telling the class; `seen` those of the target that was ranked first, with
    its `share`, for telling how sure to be. They are the same when the ranking was right.
    """

    values: NDArray[np.float64]  # (COLUMNS,)
    kind: str
    fault_class: str  # the truth
    group: str  # examples of one case share it, and are never on both sides of a split
    source: Source = Source.SIMULATED
    share: float = 1.0  # probability that the ranking gave its first suspect
    seen: NDArray[np.float64] | None = None  # (COLUMNS,) of the first suspect, when that was wrong
    seen_kind: str = ""

    @property
    def system(self) -> str:
        """What it was seen in: cases of one simulated system are alike, and are told by models that have not met it."""
        return self.group.partition("-")[0] if self.source is Source.SIMULATED else self.group

    @property
    def target_right(self) -> bool:
        return self.seen is None

    @property
    def first(self) -> tuple[NDArray[np.float64], str]:
        """Values and kind of the suspect that was ranked first."""
        return (self.values, self.kind) if self.seen is None else (self.seen, self.seen_kind)


def save(path: Path, examples: Sequence[Example]) -> None:
    """Keep examples in one file of arrays, so that a second training need not simulate again."""
    np.savez_compressed(
        path,
        columns=np.array(COLUMNS),
        values=np.array([one.values for one in examples], np.float32),
        seen=np.array([one.first[0] for one in examples], np.float32),
        right=np.array([one.target_right for one in examples], bool),
        share=np.array([one.share for one in examples], np.float64),
        text=np.array([(one.kind, one.fault_class, one.group, one.source.value, one.seen_kind) for one in examples]),
    )


def load(path: Path) -> list[Example]:
    """The examples of a file.

    Raises:
        ValueError: It is no file of examples, or its columns are those of another version.
    """
    with np.load(path, allow_pickle=False) as file:
        if "columns" not in file.files or tuple(file["columns"].tolist()) != COLUMNS:
            raise ValueError(f"{path}: the columns are those of another version; simulate the episodes again")
        values, seen = file["values"].astype(np.float64), file["seen"].astype(np.float64)
        rows = zip(values, seen, file["right"], file["share"], file["text"].tolist(), strict=True)
        return [
            Example(value, kind, fault, group, Source(source), float(share), None if right else first, seen_kind)
            for value, first, right, share, (kind, fault, group, source, seen_kind) in rows
        ]


def only(examples: Iterable[Example], classes: Iterable[str]) -> list[Example]:
    wanted = set(classes)
    return [one for one in examples if one.fault_class in wanted]


def relabelled(example: Example, fault_class: str) -> Example:
    return replace(example, fault_class=fault_class)
