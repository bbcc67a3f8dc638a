"""Names and series as small numbers that live as long as the collector, so that facts of many batches can be joined."""

from collections.abc import Callable

import pyarrow as pa

from paramedic_collector.interner import Interner, KeyColumns
from paramedic_collector.prices import Prices
from paramedic_collector.sketch import Ints, group
from paramedic_collector.windows import KEYS


class Tables:
    """The names and series that one collector knows.

    Args:
        limit: Most series a family; more share one overflow series.
        keep_s: Seconds that an unused series keeps its number.
        clock: Seconds that never run backwards.
        prices: For calls that do not say what they cost.
    """

    def __init__(self, *, limit: int, keep_s: float, clock: Callable[[], float], prices: Prices | None = None) -> None:
        self.prices = prices or Prices.load(None)
        self.names: Interner[str] = Interner("", "_overflow", limit=8 * limit, keep_s=keep_s, clock=clock)
        self.series: dict[str, Interner[tuple[str, ...]]] = {
            family: Interner(("",) * len(key), ("_overflow",) * len(key), limit=limit, keep_s=keep_s, clock=clock)
            for family, key in KEYS.items()
        }

        self._columns = {family: KeyColumns(table, len(KEYS[family])) for family, table in self.series.items()}

    @property
    def overflows(self) -> int:
        return self.names.overflows + sum(table.overflows for table in self.series.values())

    def names_of(self, family: str, series: Ints) -> list[pa.Array]:
        """The key columns of series, by their numbers."""
        return self._columns[family].take(series)

    def series_of(self, family: str, *parts: Ints) -> Ints:
        """The series numbers of key columns that are given as numbers of names."""
        numbers, first = group(*parts)
        columns = [[self.names[name] for name in part[first].tolist()] for part in parts]
        keys: list[tuple[str, ...]] = list(zip(*columns, strict=True))
        return self.series[family].intern(keys)[numbers]
