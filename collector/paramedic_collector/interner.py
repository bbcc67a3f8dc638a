"""Names and series keys as small numbers, never more than `limit` of them at once.

    intern("503") -> 7 ... names[7] -> "503"; one too many -> OVERFLOW, counted

Numbers that were not used for `keep_s` seconds are given to others when room runs short, so whoever
holds a number longer than that must have let go of it. Used by one thread.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Final, Generic, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from paramedic_collector.columns.marks import Marks

Name = TypeVar("Name", bound=Hashable)

EMPTY: Final = 0  # the number of the first name, which stands for "nothing" and stays
OVERFLOW: Final = 1  # the number that all names share for which there was no room


class Interner(Generic[Name]):
    """A table of names.

    Args:
        empty: What number EMPTY stands for.
        overflow: What number OVERFLOW stands for.
        limit: Most names at once.
        keep_s: Seconds that an unused name keeps its number.
        clock: Seconds that never run backwards.
    """

    def __init__(self, empty: Name, overflow: Name, *, limit: int, keep_s: float, clock: Callable[[], float]) -> None:
        if limit < 1:
            raise ValueError(f"limit must be at least 1 name, got {limit!r}")
        self.overflows = 0  # names turned away, counted each time
        self._limit, self._keep_s, self._clock = limit, keep_s, clock
        self._names: list[Name] = [empty, overflow]
        self._numbers: dict[Name, int] = {empty: EMPTY, overflow: OVERFLOW}
        self._used_at: NDArray[np.float64] = np.full(1024, np.inf)
        self._free: list[int] = []
        self._swept_at = clock()
        self._marks = Marks()
        self.given_again = 0  # times that a number was given to another name

    def __len__(self) -> int:
        return len(self._numbers) - 2

    @property
    def size(self) -> int:
        """Numbers that were ever given; all of them have a name."""
        return len(self._names)

    def __getitem__(self, number: int) -> Name:
        return self._names[number]

    def intern(self, names: Sequence[Name]) -> NDArray[np.int64]:
        """The numbers of `names`; best called with each name once."""
        now = self._clock()
        return np.fromiter((self._number(name, now) for name in names), np.int64, len(names))

    def numbers_of(self, marks: NDArray[np.int64], name_at: Callable[[int], Name]) -> NDArray[np.int64]:
        """The numbers of names that are given by their marks; mark 0 is EMPTY.

        Args:
            marks: (n,) one mark stands for one name, always.
            name_at: The name of element i; asked only for marks that are not known.
        """
        numbers, now = self._marks.look_up(marks), self._clock()
        self._used_at[numbers[numbers > OVERFLOW]] = now  # first: learning new names may give unused numbers away
        unknown = np.flatnonzero(numbers < 0)
        if len(unknown):
            distinct, first = np.unique(marks[unknown], return_index=True)
            asked = zip(distinct.tolist(), unknown[first].tolist(), strict=True)
            found = [self._learn(mark, name_at(at), now) for mark, at in asked]
            numbers[unknown] = np.array(found)[np.searchsorted(distinct, marks[unknown])]
        return numbers

    def _learn(self, mark: int, name: Name, now: float) -> int:
        number = self._number(name, now)
        if number != OVERFLOW:
            self._marks.put(mark, number)
        return number

    def _number(self, name: Name, now: float) -> int:
        number = self._numbers.get(name)
        if number is not None:
            if number > OVERFLOW:
                self._used_at[number] = now
            return number
        if len(self) >= self._limit:
            self._sweep(now)
        if len(self) >= self._limit:
            self.overflows += 1
            return OVERFLOW
        return self._add(name, now)

    def _add(self, name: Name, now: float) -> int:
        if self._free:
            number = self._free.pop()
            self.given_again += 1
            self._names[number] = name
        else:
            number = len(self._names)
            self._names.append(name)
            if number >= len(self._used_at):
                self._used_at = np.concatenate((self._used_at, np.full(len(self._used_at), np.inf)))
        self._numbers[name] = number
        self._used_at[number] = now
        return number

    def _sweep(self, now: float) -> None:
        if now - self._swept_at < self._keep_s / 10:
            return  # a full table must not be searched for each new name
        self._swept_at = now
        self._marks.clear()  # they are learnt again
        for number in np.flatnonzero(self._used_at < now - self._keep_s).tolist():
            del self._numbers[self._names[number]]
            self._used_at[number] = np.inf
            self._free.append(number)


class KeyColumns:
    """The names of a table of series keys as Arrow columns, made once and added to."""

    def __init__(self, table: Interner[tuple[str, ...]], width: int) -> None:
        self._table, self._width = table, width
        self._columns = [pa.array([], pa.string())] * width
        self._given_again = 0

    def take(self, numbers: NDArray[np.int64]) -> list[pa.Array]:
        """The key columns of `numbers`."""
        if self._table.given_again != self._given_again:
            self._columns, self._given_again = [pa.array([], pa.string())] * self._width, self._table.given_again
        known, wanted = len(self._columns[0]), int(numbers.max(initial=-1)) + 1
        if wanted > known:
            new = [self._table[number] for number in range(known, self._table.size)]
            for place, column in enumerate(self._columns):
                self._columns[place] = pa.concat_arrays([column, pa.array([key[place] for key in new], pa.string())])
        which = pa.array(numbers)
        return [column.take(which) for column in self._columns]


def intern_column(table: Interner[str], column: pa.Array) -> NDArray[np.int64]:
    """The numbers of a column of text; null is EMPTY."""
    if not len(column):
        return np.empty(0, np.int64)
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if column.null_count == len(column):
        return np.zeros(len(column), np.int64)
    encoded = column.fill_null("").dictionary_encode()
    numbers: NDArray[np.int64] = table.intern(encoded.dictionary.to_pylist())[np.asarray(encoded.indices)]
    return numbers
