"""One second of every series, as a sparse matrix: which series, which cell, how much.

    RecordBatch of a family --decode--> cells (idx, code, amount) + details (histogram buckets, kinds) --> Slot

Everything in a window is a sum, save the age of the oldest call in flight, which is a maximum. So a slot
is a list of (series, cell, amount) in which duplicates simply add up: partial and late rows cost nothing special,
and memory follows what happened, not how many series there are.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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

_SECONDS: Final = 40  # bits of a unix second

_CHANNEL_COLUMNS: Final = {"duration": DURATION, "self_time": SELF_TIME, "gap": SELF_TIME, "first_token": FIRST_TOKEN}
_REFUSED: Final = {
    "breaker": Cell.REFUSED_LOCAL,
    "bulkhead": Cell.REFUSED_LOCAL,
    "deadline": Cell.REFUSED_DEADLINE,
}
_PLAIN: Final = {
    "count": Cell.COUNT,
    "probes": Cell.PROBES,
    "probe_errors": Cell.PROBE_ERRORS,
    "input_tokens": Cell.TOKENS,
    "output_tokens": Cell.TOKENS,
    "cost_usd": Cell.COST,
    "in_flight": Cell.IN_FLIGHT,
    "sum": Cell.SECONDS,
}
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


def decode(rows: pa.RecordBatch, idx: Ints, kinds: Kinds, part: Ints | None = None) -> list[tuple[int, Slot]]:
    """Turn the rows of one family into slots, one for each part and second.

    Args:
        rows: One table of a WindowBatch, or those of several put together.
        idx: (rows,) number of the series of each row; -1 for a row to leave out.
        kinds: Interns what it has not met.
        part: (rows,) of which batch a row is; all of batch 0 when not given.

    Returns:
        (part, slot) in the order of part and second.
    """
    seconds = rows.column("ts").to_numpy(zero_copy_only=False)
    places = seconds if part is None else seconds | part.astype(np.int64) << _SECONDS
    known = np.flatnonzero(idx >= 0)
    distinct, inverse = np.unique(places[known], return_inverse=True)
    group = np.full(len(rows), -1, np.int32)
    group[known] = inverse
    cells, details = _plain_cells(rows), []
    for name in ("errors", "refused", "useless"):
        if name in rows.schema.names:
            entry = _kinds_of(rows.column(name), name, kinds)
            details.append(entry)
            cells += _kind_cells(*entry, name, kinds)
    details += [_buckets_of(rows.column(name), channel) for name, channel in _CHANNEL_COLUMNS.items()
                if name in rows.schema.names]  # fmt: skip
    slots = [Slot(second) for second in (distinct & (1 << _SECONDS) - 1).tolist()]
    for slot, mine in zip(slots, _by_group(_together(cells), group, idx, len(slots)), strict=True):
        slot.cell_parts = [mine]
    for slot, mine in zip(slots, _by_group(_together(details), group, idx, len(slots)), strict=True):
        slot.detail_parts = [mine]
    _levels(slots, rows, group, idx)
    return list(zip((distinct >> _SECONDS).tolist(), slots, strict=True))


Entry = tuple[Ints, NDArray[np.int16], NDArray[np.float64]]  # row, code, amount


def _together(entries: list[Entry]) -> Entry:
    if not entries:
        return np.empty(0, np.int32), np.empty(0, np.int16), np.empty(0)
    row, code, amount = zip(*entries, strict=True)
    return np.concatenate(row), np.concatenate(code), np.concatenate(amount)


def _by_group(entry: Entry, group: Ints, idx: Ints, groups: int) -> list[Triples]:
    """The entries of each group, in their order."""
    row, code, amount = entry
    order, ends = _sorted(group[row], groups)
    whole = triples(idx[row[order]], code[order], amount[order])
    return [Triples(whole.idx[a:b], whole.code[a:b], whole.amount[a:b]) for a, b in pairwise(ends)]


def _sorted(group: Ints, groups: int) -> tuple[NDArray[np.int64], list[int]]:
    """Places sorted by group, those of group -1 left out, and where each group starts and ends among them."""
    sizes = np.bincount(group + 1, minlength=groups + 1)
    if groups == 1 and not sizes[0]:
        return np.arange(len(group)), [0, len(group)]
    order = np.argsort(group, kind="stable")[sizes[0] :]
    return order, [0, *np.cumsum(sizes[1:]).tolist()]


def _plain_cells(rows: pa.RecordBatch) -> list[Entry]:
    found: list[Entry] = []
    for name, cell in _PLAIN.items():
        if name not in rows.schema.names:
            continue
        column = rows.column(name)
        amount = column.fill_null(0).to_numpy(zero_copy_only=False).astype(np.float64)
        found.append(_nonzero(amount, cell))
        if cell is Cell.IN_FLIGHT:
            said = column.is_valid().to_numpy(zero_copy_only=False).astype(np.float64)
            found.append(_nonzero(said, Cell.IN_FLIGHT_SAID))
    if "duration" in rows.schema.names:
        total = pc.struct_field(rows.column("duration"), "sum").fill_null(0).to_numpy(zero_copy_only=False)
        found.append(_nonzero(total.astype(np.float64), Cell.SECONDS))
    return found


def _nonzero(amount: NDArray[np.float64], code: int) -> Entry:
    row = np.flatnonzero(amount).astype(np.int32)
    return row, np.full(len(row), code, np.int16), amount[row]


def _list_rows(column: pa.Array) -> tuple[Ints, pa.Array]:
    """The row of each element of a list column, and the elements."""
    offsets = column.offsets.to_numpy()
    lengths = np.diff(offsets)
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    if not valid.all() and lengths[~valid].any():  # a null list may hide elements
        column = pa.array(column.to_pylist(), column.type)
        return _list_rows(column)
    values = column.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
    return np.repeat(np.arange(len(column), dtype=np.int32), lengths), values


def _kinds_of(column: pa.Array, group: str, kinds: Kinds) -> Entry:
    row, values = _list_rows(column)
    if not len(row):
        return row, np.empty(0, np.int16), np.empty(0)
    keys = values.field("key").dictionary_encode()
    names = [kinds.code(group, name or "other") for name in keys.dictionary.to_pylist()]
    code = np.array(names, np.int16)[keys.indices.to_numpy(zero_copy_only=False)]
    return row, code, values.field("count").to_numpy(zero_copy_only=False).astype(np.float64)


def _kind_cells(
    row: Ints, code: NDArray[np.int16], amount: NDArray[np.float64], group: str, kinds: Kinds
) -> list[Entry]:
    """The same counts once more, in the cells that scores read."""
    total = {"errors": Cell.ERRORS, "useless": Cell.USELESS}.get(group)
    found: list[Entry] = [] if total is None else [(row, np.full(len(row), total, np.int16), amount)]
    rule: Callable[[str], Cell | None] = {
        "errors": error_cell,
        "refused": lambda by: _REFUSED.get(by, Cell.REFUSED_COMMAND),
        "useless": lambda _kind: None,
    }[group]
    for present in np.unique(code):
        cell = rule(kinds.names[int(present) - KINDS_FROM][1])
        if cell is not None:
            mask = code == present
            found.append((row[mask], np.full(int(mask.sum()), cell, np.int16), amount[mask]))
    return found


def _buckets_of(column: pa.Array, channel: int) -> Entry:
    """Histogram buckets at our own scale: finer ones are shifted together, coarser ones put at their middle."""
    if column.null_count == len(column):
        return _together([])
    row, index = _list_rows(pc.struct_field(column, "index"))
    _, counts = _list_rows(pc.struct_field(column, "count"))
    at = index.to_numpy(zero_copy_only=False).astype(np.int64)
    scale = pc.struct_field(column, "scale").fill_null(SCALE).to_numpy(zero_copy_only=False).astype(np.int64)
    shift = scale[row] - SCALE
    finer, coarser = np.maximum(shift, 0), np.maximum(-shift, 0)
    at = ((at >> finer) << coarser) + ((1 << coarser) >> 1)
    bucket = np.clip(at - LOWEST, 0, BUCKETS - 1)
    amount = counts.to_numpy(zero_copy_only=False).astype(np.float64)
    zero = pc.struct_field(column, "zero").fill_null(0).to_numpy(zero_copy_only=False)
    zero_row, _, zeros = _nonzero(zero.astype(np.float64), 0)
    rows = np.concatenate([row, zero_row])
    codes = np.concatenate([bucket, np.zeros(len(zero_row), np.int64)]) + channel * BUCKETS
    return rows, codes.astype(np.int16), np.concatenate([amount, zeros])


def _levels(slots: list[Slot], rows: pa.RecordBatch, group: Ints, idx: Ints) -> None:
    """Put the oldest calls and the exemplars into their slots."""
    if "oldest_s" in rows.schema.names:
        column = rows.column("oldest_s")
        said = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
        order, ends = _sorted(group[said], len(slots))
        mine = said[order]
        series, age = idx[mine], column.to_numpy(zero_copy_only=False)[mine].astype(np.float32)
        for slot, (a, b) in zip(slots, pairwise(ends), strict=True):
            if b > a:
                slot.oldest_parts = [(series[a:b], age[a:b])]
    if "exemplars" in rows.schema.names:
        column = rows.column("exemplars")
        shown = np.flatnonzero(_list_lengths(column))
        order, ends = _sorted(group[shown], len(slots))
        mine = shown[order]
        series, examples = idx[mine], column.take(pa.array(mine))
        for slot, (a, b) in zip(slots, pairwise(ends), strict=True):
            if b > a:
                slot.exemplars = [(series[a:b], examples.slice(a, b - a))]


def _list_lengths(column: pa.Array) -> NDArray[np.int64]:
    """Elements of each list; 0 where it is null."""
    return np.asarray(np.nan_to_num(column.value_lengths().to_numpy(zero_copy_only=False), nan=0).astype(np.int64))
