"""Windows to slots: Arrow columns become cells and details, each second of each batch apart.

WindowBatch, WindowBatch, ... --put together by family--> columns --decode--> Slot, Slot, ... of each batch
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from paramedic_collector.windows import KEYS, SCALE, WindowBatch
from paramedic_detector.series.slots import (
    BUCKETS,
    DURATION,
    FIRST_TOKEN,
    KINDS_FROM,
    LOWEST,
    SELF_TIME,
    Cell,
    Ints,
    Kinds,
    Slot,
    Triples,
    error_cell,
    triples,
)

SEPARATOR: Final = "\x1f"  # of the parts of a series' name
Numbering = Callable[[Sequence[str]], NDArray[np.int32]]  # names of series --> their numbers, -1 without room
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


def slots_of(batches: Sequence[WindowBatch], number: Numbering, kinds: Kinds) -> list[list[Slot]]:
    """The slots of each batch, one a second.

    Args:
        number: Numbers the series by their names; it is asked once a family.
        kinds: Interns what it has not met.
    """
    found: list[dict[int, Slot]] = [{} for _ in batches]
    for family in KEYS:
        parts = [(place, rows) for place, one in enumerate(batches) if (rows := one.tables.get(family))]
        if not parts:
            continue
        rows, of = _put_together(parts)
        names = _names(family, rows)
        idx = number(names.dictionary.to_pylist())[names.indices.to_numpy(zero_copy_only=False)]
        for place, slot in decode(rows, idx, kinds, of):
            home = found[place].setdefault(slot.ts, slot)
            if home is not slot:
                home.take(slot)
    return [list(slots.values()) for slots in found]


def before_new(batches: Sequence[WindowBatch], is_known: Callable[[str], bool]) -> int:
    """How many of the batches come before the first one with a series that is not known."""
    first = len(batches)
    for family in KEYS:
        parts = [(place, rows) for place, one in enumerate(batches) if (rows := one.tables.get(family))]
        if not parts:
            continue
        rows, of = _put_together([(place, rows.select([*KEYS[family]])) for place, rows in parts])
        names = _names(family, rows)
        new = np.array([not is_known(name) for name in names.dictionary.to_pylist()], bool)
        found = of[new[names.indices.to_numpy(zero_copy_only=False)]]
        first = min(first, int(found.min())) if len(found) else first
    return first


def _put_together(parts: list[tuple[int, pa.RecordBatch]]) -> tuple[pa.RecordBatch, NDArray[np.int32]]:
    """The rows of several batches in one, and which batch each row is of."""
    of = np.repeat(np.array([place for place, _ in parts], np.int32), [len(rows) for _, rows in parts])
    if len(parts) == 1:
        return parts[0][1], of
    return pa.Table.from_batches([rows for _, rows in parts]).combine_chunks().to_batches()[0], of


def _names(family: str, rows: pa.RecordBatch) -> pa.DictionaryArray:
    """The name of the series of each row."""
    columns = [rows.column(name).cast(pa.string()).fill_null("") for name in KEYS[family]]
    return pc.binary_join_element_wise(pa.scalar(family), *columns, SEPARATOR).dictionary_encode()


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
