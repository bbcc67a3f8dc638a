"""One second of every series, as a sparse matrix: which series, which cell, how much.

    RecordBatch of a family --decode--> cells (idx, code, amount) + details (histogram buckets, kinds) --> Slot

Everything in a window is a sum, save the age of the oldest call in flight, which is a maximum. So a slot
is a list of (series, cell, amount) in which duplicates simply add up: partial and late rows cost nothing special,
and memory follows what happened, not how many series there are.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from paramedic_collector.windows import SCALE

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]


class Cell(IntEnum):
    """What is summed for each series and second."""

    COUNT = 0  # calls made and ended
    ERRORS = 1  # of them, all types
    SERVER_ERRORS = 2  # 5xx
    RATE_LIMITED = 3  # 429
    AUTH = 4  # 401, 403
    TIMEOUTS = 5
    CONNECTION = 6  # nobody answered, or the connection broke
    REFUSED_LOCAL = 7  # not made: the guard's own breaker or bulkhead
    REFUSED_COMMAND = 8  # not made: paramedic's own treatment, or an operator
    REFUSED_DEADLINE = 9  # not made: no time was left
    USELESS = 10
    PROBES = 11
    PROBE_ERRORS = 12
    SECONDS = 13  # sum of durations; of a gauge, the sum of its values
    TOKENS = 14
    COST = 15
    IN_FLIGHT = 16  # a level: the sum over the instances that said so in this second
    IN_FLIGHT_SAID = 17  # how many said so


CELLS: Final = len(Cell)
BUCKETS: Final = 168  # of 2^(1/8) each: 0.12 ms to 256 s; what is outside counts at the rim
LOWEST: Final = -104  # OTLP index of bucket 0 at scale 3
DURATION, SELF_TIME, FIRST_TOKEN = 0, 1, 2  # channels of histograms; SELF_TIME is the gap on edges and callees
CHANNELS: Final = 3
KINDS_FROM: Final = 1000  # codes of details: channel * BUCKETS + bucket below this, interned kinds from here
KINDS_MOST: Final = 5000  # distinct error types, refusers and useless kinds; the rest is called "other"

_CONNECTION_WORDS: Final = ("connect", "protocolerror", "readerror", "writeerror", "brokenpipe", "gaierror", "oserror")


def upper_edge_s(bucket: "NDArray[np.int64] | int") -> "NDArray[np.float64]":
    """The largest duration that falls into a bucket, in seconds."""
    return np.asarray(np.exp2((np.asarray(bucket, dtype=np.float64) + LOWEST + 1) / 2**SCALE))


def bucket_of(seconds: "NDArray[np.float64] | float") -> "NDArray[np.int64]":
    """The bucket that holds a duration; the rims hold what lies outside."""
    with np.errstate(divide="ignore"):
        exact = np.ceil(np.log2(np.asarray(seconds, dtype=np.float64)) * 2**SCALE) - 1 - LOWEST
    return np.asarray(np.clip(exact, 0, BUCKETS - 1).astype(np.int64))


def error_cell(error_type: str) -> Cell | None:
    """The cell that counts this error type beside ERRORS; None for one of no known group."""
    name = error_type.lower()
    if name == "429" or "ratelimit" in name:
        return Cell.RATE_LIMITED
    if name in ("401", "403") or "authentication" in name or "permissiondenied" in name:
        return Cell.AUTH
    if len(name) == 3 and name.startswith("5") and name.isdigit():
        return Cell.SERVER_ERRORS
    if "timeout" in name or "deadline" in name:
        return Cell.TIMEOUTS
    if any(word in name for word in _CONNECTION_WORDS):
        return Cell.CONNECTION
    return None


class Kinds:
    """Interns ("errors", "503"), ("refused", "breaker"), ("useless", "empty") as small numbers."""

    def __init__(self, names: list[tuple[str, str]] | None = None) -> None:
        self.names = list(names or [])
        self._codes = {name: code for code, name in enumerate(self.names)}

    def code(self, group: str, key: str) -> int:
        name = (group, key)
        if name not in self._codes and len(self.names) >= KINDS_MOST:
            name = (group, "other")
        if name not in self._codes:
            self._codes[name] = len(self.names)
            self.names.append(name)
        return KINDS_FROM + self._codes[name]


class Triples(NamedTuple):
    """A sparse matrix; entries with the same place add up."""

    idx: Ints
    code: NDArray[np.int16]
    amount: Floats

    def pick(self, mask: NDArray[np.bool_]) -> "Triples":
        return Triples(self.idx[mask], self.code[mask], self.amount[mask])

    def summed(self) -> "Triples":
        """The same matrix with one entry a place."""
        places, inverse = np.unique(self.idx.astype(np.int64) << 16 | self.code, return_inverse=True)
        amounts = np.bincount(inverse, weights=self.amount, minlength=len(places))
        return Triples((places >> 16).astype(np.int32), (places & 0xFFFF).astype(np.int16), amounts.astype(np.float32))


def triples(idx: Ints, code: "NDArray[np.int16] | int", amount: "NDArray[np.float64] | Floats") -> Triples:
    codes = np.broadcast_to(np.asarray(code, dtype=np.int16), idx.shape)
    return Triples(idx.astype(np.int32), codes, amount.astype(np.float32))


NOTHING: Final = triples(np.empty(0, np.int32), 0, np.empty(0, np.float32))


def joined(parts: list[Triples]) -> Triples:
    if len(parts) == 1:
        return parts[0]
    return Triples(*(np.concatenate(column) for column in zip(*parts, strict=True))) if parts else NOTHING


@dataclass(slots=True)
class Slot:
    """What happened in the seconds [ts, ts + span_s); one second until it fades."""

    ts: int
    span_s: int = 1
    cell_parts: list[Triples] = field(default_factory=list)
    detail_parts: list[Triples] = field(default_factory=list)
    oldest_parts: list[tuple[Ints, Floats]] = field(default_factory=list)
    exemplars: list[tuple[Ints, pa.Array]] = field(default_factory=list)

    @property
    def cells(self) -> Triples:
        if len(self.cell_parts) > 1:
            self.cell_parts = [joined(self.cell_parts)]
        return self.cell_parts[0] if self.cell_parts else NOTHING

    @property
    def details(self) -> Triples:
        if len(self.detail_parts) > 1:
            self.detail_parts = [joined(self.detail_parts)]
        return self.detail_parts[0] if self.detail_parts else NOTHING

    @property
    def oldest(self) -> tuple[Ints, Floats]:
        if len(self.oldest_parts) > 1:
            idx, age = zip(*self.oldest_parts, strict=True)
            self.oldest_parts = [(np.concatenate(idx), np.concatenate(age))]
        return self.oldest_parts[0] if self.oldest_parts else (np.empty(0, np.int32), np.empty(0, np.float32))

    @property
    def entries(self) -> int:
        return sum(len(part.idx) for part in (*self.cell_parts, *self.detail_parts))

    def take(self, more: "Slot") -> None:
        """Take in what else is known of the same time."""
        self.cell_parts += more.cell_parts
        self.detail_parts += more.detail_parts
        self.oldest_parts += more.oldest_parts
        self.exemplars += more.exemplars

    def absorb(self, later: "Slot") -> None:
        """Take in the next slot: history loses resolution, never calls."""
        self.span_s = later.ts + later.span_s - self.ts
        self.cell_parts = [joined([self.cells, later.cells]).summed()]
        self.detail_parts = [joined([self.details, later.details]).summed()]
        self.oldest_parts = [self.oldest, later.oldest]
        self.exemplars = []
