"""Simulated spans as columns, kept until the second in which they end.

    walk --add--> Spans --take(until)--> those that ended, for the fold; the rest waits

Names are small numbers: an `op` base is (service, operation, kind, peer, model), an edge (caller, callee).
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SPAN: Final = np.dtype(
    [
        ("begin", "f8"), ("end", "f8"), ("own", "f8"), ("gap", "f8"), ("first", "f8"), ("cost", "f8"), ("work", "f8"),
        ("trace", "i8"), ("tokens_in", "i4"), ("tokens_out", "i4"), ("base", "i4"), ("edge", "i4"), ("zone", "i2"),
        ("callee_zone", "i2"), ("version", "i2"), ("error", "i2"), ("refused", "i2"), ("useless", "i2"),
    ]
)  # fmt: skip
Table = NDArray[np.void]
NONE: Final = -1
_EMPTY: Final[dict[str, float]] = {"own": np.nan, "gap": np.nan, "first": np.nan, "edge": NONE}


class Names:
    """Numbers of names, in the order in which they came."""

    def __init__(self, *first: Any) -> None:
        self.names: list[Any] = list(first)
        self._numbers = {name: number for number, name in enumerate(first)}

    def __getitem__(self, name: Any) -> int:
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self.names)
            self.names.append(name)
        return number

    def __len__(self) -> int:
        return len(self.names)


class Spans:
    """Collects spans; see the module."""

    def __init__(self, zones: tuple[str, ...]) -> None:
        self.zones = Names(*zones)
        self.bases, self.edges = Names(), Names()
        self.words, self.versions = Names(""), Names()  # of errors, refusals and useless answers
        self._parts: list[Table] = []

    def add(self, count: int, **columns: Any) -> None:
        """Spans, by columns; what is not given is nothing."""
        if not count:
            return
        table = np.zeros(count, SPAN)
        for name, value in (_EMPTY | columns).items():
            table[name] = value
        self._parts.append(table)

    @property
    def all(self) -> Table:
        """Everything that has not been taken."""
        if len(self._parts) != 1:
            self._parts = [np.concatenate([np.empty(0, SPAN), *self._parts])]
        return self._parts[0]

    def take(self, until: float) -> Table:
        """The spans that ended before `until`; they are not kept."""
        table = self.all
        ended = table["end"] < until
        self._parts = [table[~ended]]
        return np.asarray(table[ended])

    def forget(self, lost: NDArray[np.bool_]) -> None:
        """Drop some of `all`."""
        self._parts = [self.all[~lost]]
