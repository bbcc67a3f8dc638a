"""Columns of recorded tables, whatever their order, type and spelling.

    table --texts_of("service")--> Texts(codes, values)     each distinct text once
    table --moments("start_unix")--> unix nanoseconds       from _ns, _us, _ms, _s, or a timestamp

What is wrong is told in a sentence that names the file, the column and the value.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from paramedic_collector.sketch import Floats, Ints

UNITS: Final = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_OLDEST_NS: Final = 315_532_800 * UNITS["s"]  # 1980: an earlier moment was written in another unit
_NEWEST_NS: Final = 7_258_118_400 * UNITS["s"]  # 2200: nor a later one


@dataclass(frozen=True, slots=True)
class Texts:
    """A column of texts, each distinct one written once."""

    codes: NDArray[np.int32]  # places in `values`
    values: list[str]

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, order: Ints) -> "Texts":
        return Texts(self.codes[order], self.values)

    def mapped(self, change: Callable[[str], str]) -> "Texts":
        """Another text for each; equal ones stay apart."""
        return Texts(self.codes, [change(value) for value in self.values])


def no_texts(rows: int) -> Texts:
    return Texts(np.zeros(rows, np.int32), [""])


class Columns:
    """One recorded table, read column by column.

    Args:
        file: Name of the file, as a mistake should tell it.
        table: What is in it.
        mistakes: Where mistakes are put.
    """

    def __init__(self, file: str, table: pa.Table, mistakes: list[str]) -> None:
        self.file, self.table, self._mistakes = file, table, mistakes

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def has(self, name: str) -> bool:
        return name in self.table.column_names

    def first(self, names: Iterable[str]) -> str | None:
        """The first of these columns that is there."""
        return next((name for name in names if self.has(name)), None)

    def mistake(self, sentence: str) -> None:
        self._mistakes.append(f"{self.file}: {sentence}")

    def lacks(self, names: Sequence[str], why: str) -> bool:
        """Whether all of these columns are missing, which is then a mistake."""
        if self.first(names) is not None:
            return False
        wanted = names[0] if len(names) == 1 else f"{names[0]} (or {', '.join(names[1:])})"
        self.mistake(f"the column {wanted} is missing: {why}; there are {', '.join(self.table.column_names) or 'none'}")
        return True

    def texts(self, name: str) -> Texts:
        """A column of texts; whole numbers and booleans as their digits and words, null and a missing column as ""."""
        if not self.has(name):
            return no_texts(len(self))
        try:
            return texts_of(self.table[name])
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            self.mistake(f"{name} should hold texts, it has the type {self.table.schema.field(name).type}")
            return no_texts(len(self))

    def numbers(self, name: str) -> Floats:
        """A column of numbers; NaN where there is none."""
        column = self.table[name]
        try:
            cast = column.cast(pa.float64())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            self.mistake(f"{name} should hold numbers, it has the type {column.type}{_first_other(column)}")
            return np.full(len(self), np.nan)
        return np.asarray(cast.fill_null(np.nan).to_numpy(), np.float64)

    def moments(self, stem: str, plain: str = "", unit: str = "s") -> Ints:
        """Unix nanoseconds, from `stem`_ns, _us, _ms or _s, from `plain` in its `unit`, or from timestamps.

        Nulls are a mistake, and so is a number that means no year from 1980 to 2200 in its unit.
        """
        name = self.first([*(f"{stem}_{one}" for one in UNITS), stem, *([plain] if plain else [])])
        if name is None:
            return np.zeros(len(self), np.int64)
        said = name.rsplit("_", 1)[-1]
        read = self._amounts(name, UNITS[said] if name.startswith(f"{stem}_") and said in UNITS else UNITS[unit])
        if read is None or not len(read[0]):
            return np.zeros(len(self), np.int64)
        amounts, factor = read
        far = (amounts < _OLDEST_NS // factor) | (amounts > _NEWEST_NS // factor)
        if far.any():
            at = int(np.flatnonzero(far)[0])
            value, word = self.table[name][at].as_py(), {v: k for k, v in UNITS.items()}[factor]
            self.mistake(f"{name} should be a moment in unix {word}, row {at} has {value!r}: is it in another unit?")
            return np.zeros(len(self), np.int64)
        return _whole(amounts, factor)

    def lengths(self, stem: str) -> Ints:
        """Nanoseconds, from `stem`_ns, _us, _ms or _s, or from a duration; what is negative counts as 0."""
        name = self.first([*(f"{stem}_{one}" for one in UNITS), stem])
        if name is None:
            return np.zeros(len(self), np.int64)
        read = self._amounts(name, UNITS.get(name.rsplit("_", 1)[-1], 1))
        return np.zeros(len(self), np.int64) if read is None else np.maximum(_whole(*read), 0)

    def _amounts(self, name: str, factor: int) -> tuple[Ints | Floats, int] | None:
        """A column of times as it is written, and the nanoseconds of its unit; None when it is no such column."""
        column = self.table[name]
        if pa.types.is_floating(column.type):
            column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))
        if column.null_count:
            self.mistake(f"{name} has {column.null_count} rows without a value")
            return None
        if pa.types.is_timestamp(column.type) or pa.types.is_duration(column.type):
            factor, column = UNITS[column.type.unit], column.cast(pa.int64())
        if pa.types.is_integer(column.type):
            return np.asarray(column.cast(pa.int64()).to_numpy(), np.int64), factor
        values = self.numbers(name)
        return (values, factor) if np.isfinite(values).all() else None


def _whole(amounts: Ints | Floats, factor: int) -> Ints:
    """Nanoseconds."""
    return (
        np.rint(amounts * factor).astype(np.int64) if amounts.dtype.kind == "f" else amounts.astype(np.int64) * factor
    )


def texts_of(column: pa.ChunkedArray) -> Texts:
    """The distinct texts of a column, and which of them each row has.

    Raises:
        pyarrow.ArrowInvalid: It holds nothing that could be a text.
    """
    places: dict[str, int] = {}
    codes = [_codes(chunk, places) for chunk in column.chunks]
    return Texts(np.concatenate([np.empty(0, np.int32), *codes]), list(places) or [""])


def _codes(chunk: pa.Array, places: dict[str, int]) -> NDArray[np.int32]:
    if not pa.types.is_dictionary(chunk.type):
        chunk = chunk.cast(pa.string()).dictionary_encode()
    words = chunk.dictionary.cast(pa.string()).to_pylist()
    numbers = np.array([places.setdefault(word or "", len(places)) for word in words], np.int32)
    if chunk.null_count:
        numbers = np.append(numbers, np.int32(places.setdefault("", len(places))))
    at = chunk.indices.cast(pa.int64()).fill_null(len(words))
    return np.asarray(numbers[at.to_numpy(zero_copy_only=False)]) if len(chunk) else np.empty(0, np.int32)


def joined_texts(parts: Sequence[Texts]) -> Texts:
    """The columns of several files as one."""
    places: dict[str, int] = {}
    codes = [
        np.array([places.setdefault(value, len(places)) for value in part.values], np.int32)[part.codes]
        for part in parts
    ]
    return Texts(np.concatenate([np.empty(0, np.int32), *codes]), list(places) or [""])


def _first_other(column: pa.ChunkedArray) -> str:
    """What to show of a column that should hold numbers and does not."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return ""
    number = pc.match_substring_regex(column, r"^\s*[-+]?[0-9.]+([eE][-+]?[0-9]+)?\s*$")
    others = column.filter(pc.invert(number.combine_chunks().fill_null(True)))
    return f" and holds {others[0].as_py()!r}" if len(others) else ""
