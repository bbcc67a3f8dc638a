"""What is true of a recorded set, and what was seen of it: the two sides that every figure compares. Pure values.

faults.csv --> Fault (one a row)          VirtualDesk --> Opening (one an incident)
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from paramedic_detector.diagnosis.taxonomy import Taxonomy

GRACE_S: Final = 60.0  # an incident that opens this long after a fault's end still tells of it
MANY: Final = "|"  # between the names where a fault has several root causes
YES: Final = frozenset({"true", "1", "yes"})


class FaultRow(Protocol):
    """One row of faults.csv, as the reader of recorded sets gives it."""

    @property
    def case(self) -> str: ...
    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...
    @property
    def root_cause_service(self) -> str: ...
    @property
    def fault_type(self) -> str: ...
    @property
    def more(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Fault:
    """One labelled fault; moments are unix seconds."""

    case: str
    start: float
    end: float
    roots: tuple[str, ...]  # names that are right; empty where the set does not say
    fault_type: str  # as the set calls it
    fault_class: str | None  # of our taxonomy; None where the label stands for none of its classes

    @property
    def window(self) -> tuple[float, float]:
        """When an incident that tells of it may open: both ends count."""
        return self.start, self.end + GRACE_S

    @property
    def root(self) -> str:
        return MANY.join(self.roots)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time with a name: an injection that the labels leave out, a stretch of recording."""

    start: float
    end: float
    name: str = ""

    @property
    def seconds(self) -> float:
        return max(0.0, self.end - self.start)


@dataclass(frozen=True, slots=True)
class Opening:
    """One incident, with what it said when it was last asked while its fault was there."""

    id: str
    at: float  # when it opened
    onset: float  # since when, by its own estimate
    resolved_at: float | None
    target: str  # the service it blames; "" before a diagnosis
    fault_class: str  # "" before a diagnosis
    probability: float
    title: str = ""
    fingerprints: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Truth:
    """The faults of a set in order of their start, and how many rows of it cannot be measured by."""

    faults: tuple[Fault, ...]
    copies: int = 0  # marked as made up
    undated: int = 0  # without a start


def faults_of(rows: Sequence[FaultRow], taxonomy: Taxonomy) -> Truth:
    """What the rows of faults.csv say."""
    own = [row for row in rows if str(row.more.get("augmented", "")).strip().lower() not in YES]
    dated = [row for row in own if math.isfinite(row.start)]
    faults = sorted((_fault_of(row, taxonomy) for row in dated), key=lambda fault: (fault.start, fault.case))
    return Truth(tuple(faults), len(list(rows)) - len(own), len(own) - len(dated))


def _fault_of(row: FaultRow, taxonomy: Taxonomy) -> Fault:
    roots = tuple(name.strip() for name in row.root_cause_service.split(MANY) if name.strip())
    said = [row.fault_type, row.more.get("fault_class", "")]
    named = (class_of(label, taxonomy) for label in said if label)
    return Fault(row.case, row.start, row.end, roots, row.fault_type, next((one for one in named if one), None))


def class_of(label: str, taxonomy: Taxonomy) -> str | None:
    """The class that a label stands for: by the taxonomy's own table, or because it is the name of a class."""
    if label in taxonomy.labels:
        return taxonomy.labels[label]
    return label if label in taxonomy.names else None


def covered_s(windows: Iterable[tuple[float, float]], within: Span) -> float:
    """Seconds of `within` that at least one of the windows covers."""
    total, at = 0.0, within.start
    for start, end in sorted(windows):
        begin, stop = max(at, start), min(within.end, end)
        total += max(0.0, stop - begin)
        at = max(at, min(stop, within.end))
    return total


def inside(moment: float, spans: Sequence[Span], grace_s: float = 0.0) -> bool:
    """Whether a moment lies in one of the spans, or up to `grace_s` after it."""
    return any(span.start <= moment <= span.end + grace_s for span in spans)
