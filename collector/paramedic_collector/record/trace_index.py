"""Which frame holds which trace: an index in memory, in blocks of arrays.

    frame 17 holds traces {a, b} --add--> open block --full--> sorted arrays
    find({b}) -> [17]

A trace is known by the first 8 bytes of its id; who reads the frame compares the whole id. Costs
about 12 bytes for each trace and frame.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Place = TypeVar("Place")

_FRAMES_OF_A_BLOCK: Final = 256


@dataclass(frozen=True, slots=True)
class _Block(Generic[Place]):
    newest: float
    places: list[Place]
    keys: NDArray[np.uint64]  # sorted
    owners: NDArray[np.int32]  # place in `places` of the frame that holds each key

    def find(self, wanted: NDArray[np.uint64]) -> list[Place]:
        low, high = np.searchsorted(self.keys, wanted), np.searchsorted(self.keys, wanted, side="right")
        owners = {int(owner) for a, b in zip(low, high, strict=True) for owner in self.owners[a:b]}
        return [self.places[owner] for owner in sorted(owners)]


class TraceIndex(Generic[Place]):
    """Knows where each trace was recorded. Not safe to share between threads."""

    def __init__(self) -> None:
        self._blocks: list[_Block[Place]] = []
        self._open: list[tuple[float, Place, NDArray[np.uint64]]] = []

    def add(self, at: float, place: Place, trace_keys: NDArray[np.uint64]) -> None:
        if not len(trace_keys):
            return
        self._open.append((at, place, trace_keys))
        if len(self._open) >= _FRAMES_OF_A_BLOCK:
            self._blocks.append(self._closed())
            self._open = []

    def find(self, trace_keys: Collection[int]) -> list[Place]:
        """Every frame that holds one of the traces, oldest first."""
        wanted = np.array(sorted(trace_keys), np.uint64)
        found = [place for block in self._blocks for place in block.find(wanted)]
        return found + [place for _, place, keys in self._open if np.isin(keys, wanted).any()]

    def forget_before(self, at: float) -> None:
        """Let go of blocks whose frames are all older."""
        self._blocks = [block for block in self._blocks if block.newest >= at]

    def _closed(self) -> _Block[Place]:
        keys = np.concatenate([one for _, _, one in self._open])
        owners = np.repeat(np.arange(len(self._open), dtype=np.int32), [len(one) for _, _, one in self._open])
        order = np.argsort(keys, kind="stable")
        newest = max(at for at, _, _ in self._open)
        return _Block(newest, [place for _, place, _ in self._open], keys[order], owners[order])
