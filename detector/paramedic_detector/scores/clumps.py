"""How far the times of calls that end together are alike: ten calls of one request are not ten witnesses.

    admitted calls --> blocks of 4 s --> how much of the spread is between blocks? --> calls that count as one

Statements in a loop of one request, or requests that wait for the same lock, are slow together and by chance. Where
that is usual, so many calls weigh as one (the design effect of cluster sampling). What a few blocks may show by
chance is taken off, so that a series whose calls have nothing to do with each other keeps all its witnesses.

Source: Kish, Survey Sampling (Wiley, 1965), 5.4. The share between blocks is that of a one-way analysis of variance,
its standard error that of Donner, Int. Stat. Review 54 (1986).
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.scores.recent import Floats
from paramedic_detector.series.slots import BUCKETS, DURATION, SELF_TIME

BLOCK_S: Final = 4
CHANNELS: Final = (DURATION, SELF_TIME)
LEAST_BLOCKS: Final = 3.0  # before that, a block is taken for one witness
SETTLED_BLOCKS: Final = 16.0  # from here chance is taken off; before, a high guess is the safe one
DOUBT: Final = 2.0  # standard errors that are taken off

Flags = NDArray[np.bool_]
Numbers = NDArray[np.int64]
_SUMS: Final = ("n", "n_squared", "x", "x_squared", "between", "blocks")


class Clumps:
    """Sums over blocks for each channel and series; x is the bucket of a call's time, so its logarithm."""

    def __init__(self) -> None:
        self._allocate(0)

    def _allocate(self, size: int) -> None:
        self.sums = {name: np.zeros((len(CHANNELS), size)) for name in _SUMS}
        self._block_n = np.zeros((len(CHANNELS), size), np.float32)
        self._block_x = np.zeros((len(CHANNELS), size), np.float32)

    def grow(self, size: int) -> None:
        old, block_n, block_x = self.sums, self._block_n, self._block_x
        had = block_n.shape[1]
        self._allocate(size)
        for name, array in old.items():
            self.sums[name][:, :had] = array
        self._block_n[:, :had], self._block_x[:, :had] = block_n, block_x

    def add(self, idx: NDArray[np.int32], code: NDArray[np.int16], amount: Floats) -> None:
        """Calls of one second: `code` is channel * BUCKETS + bucket."""
        mine = code < len(CHANNELS) * BUCKETS
        if not mine.all():
            idx, code, amount = idx[mine], code[mine], amount[mine]
        channel = (code // BUCKETS).astype(np.int64)
        bucket = (code - channel * BUCKETS).astype(np.float32)
        at = channel * self._block_n.shape[1] + idx
        np.add.at(self._block_n.reshape(-1), at, amount)
        np.add.at(self._block_x.reshape(-1), at, amount * bucket)
        np.add.at(self.sums["x_squared"].reshape(-1), at, amount * bucket * bucket)

    def close(self, which: Flags) -> None:
        """The block of these series is over."""
        for channel in range(len(CHANNELS)):
            at = np.flatnonzero(which & (self._block_n[channel] > 0))
            if not len(at):
                continue
            n, x = self._block_n[channel, at].astype(np.float64), self._block_x[channel, at].astype(np.float64)
            for name, more in zip(
                ("n", "n_squared", "x", "between", "blocks"), (n, n * n, x, x * x / n, np.ones(len(at))), strict=True
            ):
                self.sums[name][channel, at] += more
            self._block_n[channel, at] = self._block_x[channel, at] = 0

    def fade(self, left: Floats) -> None:
        for array in self.sums.values():
            array *= left

    def witnesses(self, channel: int, numbers: Numbers) -> NDArray[np.float64]:
        """(numbers,) how many calls weigh as one, at least 1."""
        if channel not in CHANNELS:
            return np.ones(len(numbers))
        n, squared, x, q, between, blocks = (np.maximum(self.sums[name][channel, numbers], 0) for name in _SUMS)
        known = (blocks >= LEAST_BLOCKS) & (n - blocks >= LEAST_BLOCKS)
        doubt = np.where(blocks >= SETTLED_BLOCKS, DOUBT, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            one = (squared / n) - 1  # calls in the block of a call, beside itself
            outer = np.maximum(between - x * x / n, 0) / (blocks - 1)
            inner = np.maximum(q - between, 1e-9) / (n - blocks)
            size = (n - squared / n) / (blocks - 1)
            alike = np.clip((outer - inner) / (outer + (size - 1) * inner), 0, 1)
            error = (1 - alike) * (1 + (size - 1) * alike) * np.sqrt(2 / (size * (size - 1) * (blocks - 1)))
            alike = np.where(known & np.isfinite(error), np.clip(alike - doubt * error, 0, 1), blocks < LEAST_BLOCKS)
            found = 1 + np.maximum(one, 0) * alike
        return np.where(np.isfinite(found), found, 1.0)

    # Surviving a restart

    def arrays(self) -> dict[str, NDArray[Any]]:
        return dict(self.sums)

    def place(self, arrays: dict[str, NDArray[Any]], moved: Numbers, size: int) -> None:
        """Take up what `arrays` gave; `moved` says which number each series has now, -1 for one that is gone."""
        self._allocate(size)
        here = np.flatnonzero(moved >= 0)
        for name, array in arrays.items():
            self.sums[name][:, moved[here]] = array[:, here]
