"""Attributes of recorded spans: a column each, or all of them in one column `attributes`.

    http.status_code                      a column of that name
    attributes: {"http.status_code": 503} a struct, a map, a list of keys and values, or JSON as text

Only the names that make a series or a value are read: those of `paramedic_collector.columns.keys`.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from paramedic_collector.columns.keys import NUMBERS, RESOURCE_TEXTS, TEXTS
from paramedic_collector.recorded.columns import Columns, Texts, no_texts, texts_of
from paramedic_collector.sketch import Floats

_INSIDE: Final = ("attributes", "resource_attributes", "tags")  # columns that hold many attributes
_SHORT: Final = {  # columns of the form's own, instead of an attribute
    "peer": "peer",
    "peer_zone": "peer_zone",
    "model": "model",
    "zone": "zone",
    "version": "version",
    "error_type": "error",
    "status_code": "code",
}
_WANTED: Final = tuple(
    key for names in (TEXTS, NUMBERS, RESOURCE_TEXTS) for keys in names.values() for key in keys if key
)
_WANTED_SET: Final = frozenset(_WANTED)


class Attributes:
    """The attributes of one table's spans.

    Args:
        columns: The table; a column of attributes that cannot be read is one mistake.
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._found: dict[str, pa.ChunkedArray] = {key: columns.table[key] for key in _WANTED if columns.has(key)}
        for name in _INSIDE:
            if columns.has(name):
                self._found = _inside(columns, name) | self._found

    def text(self, slot: str, keys: Sequence[str]) -> Texts:
        """The text of each span under the first of `keys` that it has, "" for none."""
        short = [one for one, means in _SHORT.items() if means == slot and self._columns.has(one)]
        found = [self._found[key] for key in keys if key in self._found] + [self._columns.table[one] for one in short]
        if not found:
            return no_texts(len(self._columns))
        texts = [_as_texts(column) for column in found]
        try:
            return texts_of(texts[0] if len(texts) == 1 else pc.coalesce(*texts))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            self._columns.mistake(f"the attribute {keys[0]} should hold texts")
            return no_texts(len(self._columns))

    def number(self, keys: Sequence[str]) -> Floats | None:
        """The number of each span under the first of `keys` that it has; NaN for none, None when no span has one."""
        found = [_as_numbers(self._found[key]) for key in keys if key in self._found]
        if not found:
            return None
        both = found[0] if len(found) == 1 else pc.coalesce(*found)
        return np.asarray(both.fill_null(np.nan).to_numpy(), np.float64)


def _as_texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Empty texts as nulls, so that the next name is looked at; 503.0, as tables with gaps have it, as 503."""
    if pa.types.is_floating(column.type):
        whole = pc.all(pc.equal(pc.floor(column), column)).as_py()
        column = column.cast(pa.int64()) if whole else column
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        column = pc.list_element(column, 0)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    texts = column.cast(pa.string())
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def _as_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column.cast(pa.float64())
    lower = pc.utf8_lower(pc.utf8_trim_whitespace(column.cast(pa.string())))
    lower = pc.if_else(pc.equal(lower, "true"), "1", pc.if_else(pc.equal(lower, "false"), "0", lower))
    number = pc.match_substring_regex(lower, r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[-+]?[0-9]+)?$")
    return pc.if_else(number, lower, pa.scalar(None, pa.string())).cast(pa.float64())


def _inside(columns: Columns, name: str) -> dict[str, pa.ChunkedArray]:
    """The wanted attributes in a column that holds many."""
    column = columns.table[name]
    kind = column.type
    if pa.types.is_null(kind):
        return {}
    if pa.types.is_struct(kind):
        has = {field.name for field in kind}
        return {key: pc.struct_field(column, key) for key in _WANTED if key in has}
    if pa.types.is_map(kind):
        return _of_pairs([(chunk, chunk.keys, chunk.items) for chunk in column.chunks], len(column))
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type) and kind.value_type.num_fields == 2:
        flat = [(chunk, chunk.flatten().field(0), chunk.flatten().field(1)) for chunk in column.chunks]
        return _of_pairs(flat, len(column))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        return _of_json(columns, name)
    columns.mistake(f"{name} should be a struct, a map or JSON, it has the type {kind}")
    return {}


def _of_pairs(chunks: Sequence[tuple[pa.Array, pa.Array, pa.Array]], rows: int) -> dict[str, pa.ChunkedArray]:
    out: dict[str, list[pa.Array]] = {key: [] for key in _WANTED}
    some: set[str] = set()
    for chunk, keys, values in chunks:
        first, offsets = chunk.offsets[0].as_py(), np.asarray(chunk.offsets, np.int64)
        parents = np.repeat(np.arange(len(chunk)), np.diff(offsets))
        keys, values = keys[: offsets[-1]], values[: offsets[-1]]
        if len(keys) == offsets[-1] and first:  # of a slice: what lies before it is not its own
            keys, values = keys[first:], values[first:]
        code = np.asarray(pc.index_in(keys, value_set=pa.array(_WANTED)).fill_null(-1))
        for place, key in enumerate(_WANTED):
            at = np.flatnonzero(code == place)
            some |= {key} if len(at) else set()
            out[key].append(_spread(values.take(pa.array(at)), parents[at], len(chunk)))
    return {key: pa.chunked_array(out[key]) for key in _WANTED if key in some}


def _of_json(columns: Columns, name: str) -> dict[str, pa.ChunkedArray]:
    texts = texts_of(columns.table[name])
    at: dict[str, list[int]] = {}
    said: dict[str, list[str]] = {}
    for place, text in enumerate(texts.values):
        one = _object(text)
        if one is None:
            columns.mistake(f"{name} should hold JSON objects, a row has {text[:60]!r}")
            return {}
        for key in one.keys() & _WANTED_SET:
            value = _plain(one[key])
            if value is not None:
                at.setdefault(key, []).append(place)
                said.setdefault(key, []).append(value)
    rows = pa.array(texts.codes)
    return {
        key: pa.chunked_array([_spread(pa.array(said[key]), at[key], len(texts.values)).take(rows)]) for key in said
    }


def _spread(values: pa.Array, at: Sequence[int] | NDArray[np.int64], rows: int) -> pa.Array:
    """Values at some of `rows` places, null at the others."""
    where = np.full(rows, -1, np.int64)
    where[at] = np.arange(len(values))
    return values.take(pa.array(where, mask=where < 0))


def _object(text: str) -> dict[str, Any] | None:
    try:
        one = json.loads(text) if text else {}
    except ValueError:
        return None
    return one if isinstance(one, dict) else None


def _plain(value: Any) -> str | None:
    """A value as text; of a list the first one."""
    if isinstance(value, list):
        value = value[0] if value else None
    if value is None or isinstance(value, dict):
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)
