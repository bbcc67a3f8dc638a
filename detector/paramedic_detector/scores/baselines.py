"""What is usual for each series: how often, how bad, how long, of the calls that looked healthy.

    a call --waits 10, 30 or 120 s--> admitted, unless its series was suspicious since, or is frozen

Calls wait before they count, so that the first ones of a fault, which look only a little odd, are not learned as
normal before it is recognised; those of a rare series wait longer, because it takes longer to recognise. Outcomes and
times are remembered by count (see `histories`), rates by time alone. A series is warm after some admitted seconds
and calls; before that its usual is not known. A new version of something old is judged by what the old one did.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paramedic_collector.windows import SeriesKey
from paramedic_detector.scores.clumps import BLOCK_S, Clumps
from paramedic_detector.scores.histories import FELT_SHARE, HALF_LIFE_S, KEPT, Histories
from paramedic_detector.scores.recent import MINUTE, Recent
from paramedic_detector.series.packing import pack, unpack
from paramedic_detector.series.slots import BUCKETS, CELLS, CHANNELS, DURATION, Cell, Slot
from paramedic_detector.series.table import SeriesTable

QUARANTINE_S: Final = 10  # seconds wait this long before they count in rates
DELAYS_S: Final = (10, 30, 120)  # calls wait so long, by how rare they are
TO_RECOGNISE: Final = 8.0  # calls that a fault may take to be recognised
BURN_IN_S: Final = 4  # first seconds of a series: cold caches and connections
WARM_SECONDS: Final = 10  # admitted seconds
WARM_CALLS: Final = 20
FADE_EVERY_S: Final = 30
CATCH_UP_S: Final = 120  # after a pause, no more than so many seconds are learned
NEW_NORMAL_S: Final = 1800.0  # a series suspicious for this long without an incident has changed for good
SILENCE_S: Final = 8  # a series that was silent this long and comes back is cold again
LATE_S: Final = 4  # a call whose callee only its server names is told this much later
NEVER: Final = -1.0

Flags = NDArray[np.bool_]
Numbers = NDArray[np.int64]
ATTEMPTS: Final = [Cell.COUNT, Cell.REFUSED_LOCAL, Cell.REFUSED_COMMAND, Cell.REFUSED_DEADLINE]
_IS_ATTEMPT: Final = np.isin(np.arange(CELLS), ATTEMPTS)


class Baselines:
    """The usual of every series, in arrays that follow the table's numbers."""

    def __init__(self) -> None:
        self.started: int | None = None  # first second with data
        self.times, self.clumps = Histories(), Clumps()
        self._until: list[int] | None = None  # for each of DELAYS_S: seconds before this one were judged
        self._looked_until = 0  # seconds before this one were looked at for silence
        self._faded_at = 0
        self._restored: dict[str, int] | None = None  # series of a checkpoint, until the table is known
        self._allocate(0)

    def _allocate(self, size: int) -> None:
        self.first = np.full(size, NEVER)  # first second with a call
        self.seconds = np.zeros(size, np.float32)  # admitted, fading
        self.active = np.zeros(size, np.float32)  # of them, with a call
        self.attempts = np.zeros(size, np.float32)  # in them
        self.sums = np.zeros((size, CELLS), np.float32)  # of admitted calls, fading by count
        self.tries = np.zeros(size, np.float32)  # of them, calls made or refused
        self.token_squares = np.zeros(size, np.float64)  # sum over seconds of tokens squared a call
        self.token_seconds = np.zeros(size, np.float32)
        self.flying = np.zeros(size, np.float32)  # sum over admitted seconds of calls in flight
        self.oldest_high = np.zeros(size, np.float32)  # usual upper end of the age of the oldest call in flight
        self.suspicious_at = np.full(size, NEVER)
        self.suspicious_since = np.full(size, NEVER)
        self.admitted_to = np.zeros(size)  # calls of the seconds before this one were judged
        self.last_call = np.full(size, NEVER)
        self.resumed_at = np.full(size, NEVER)

    @property
    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {name: array for name, array in vars(self).items() if isinstance(array, np.ndarray)}

    def follow(self, table: SeriesTable) -> None:
        """Make room for the table's new series; place what a checkpoint brought."""
        old = self._arrays
        if self._restored is not None:
            self._place(table, old)
            return
        size = len(self.first)
        if table.size > size:
            self._allocate(max(table.size, size + size // 2))
            self.times.grow(len(self.first))
            self.clumps.grow(len(self.first))
            for name, array in old.items():
                getattr(self, name)[:size] = array

    def _place(self, table: SeriesTable, old: dict[str, NDArray[Any]]) -> None:
        names, self._restored = self._restored or {}, None
        self._allocate(table.size)
        moved = np.full(len(names), -1, np.int64)
        for number, key in enumerate(table.keys):
            place = names.get(str(key))
            if place is not None:
                moved[place] = number
        here = np.flatnonzero(moved >= 0)
        for name, array in old.items():
            getattr(self, name)[moved[here]] = array[here]
        for part in ("times", "clumps"):
            getattr(self, part).place(self._parts_of_checkpoint[part], moved, table.size)

    # What is usual

    @property
    def warm(self) -> Flags:
        """(size,) whether enough healthy seconds and calls are known to call anything unusual."""
        return np.asarray((self.seconds >= WARM_SECONDS) & (self.tries >= WARM_CALLS))

    @property
    def rate(self) -> NDArray[np.float32]:
        """(size,) usual calls a second, made or refused."""
        return np.asarray(self.attempts / np.maximum(self.seconds, 1))

    def typical_s(self, numbers: Iterable[int]) -> float:
        """Median duration of the calls of these series together; 0 when nothing is known yet."""
        return self.times.median_of(np.asarray(list(numbers), np.int64), DURATION)

    # Learning

    def learn(self, table: SeriesTable, now: float, frozen: Flags, typical_s: float, recent: Recent) -> None:
        """Admit the seconds whose wait is over, let old ones fade, refresh what counts as slow."""
        mark = table.watermark
        if mark is None:
            return
        seen_until = min(mark, int(now))
        if self._until is None:
            first = table.slots(mark - table.history_s, now + 1)
            self.started = first[0].ts if first else seen_until
            self._until = [self.started] * len(DELAYS_S)
        self._notice_silence(table, seen_until)
        fit = np.zeros(len(self.first), bool)
        fit[: len(frozen)] = ~frozen
        delays = self._delays(recent, now)
        details: list[tuple[NDArray[Any], ...]] = []
        for which, delay_s in enumerate(DELAYS_S):
            until = seen_until - delay_s
            for second in range(max(self._until[which], until - CATCH_UP_S), until):
                found = table.slots(second, second + 1)
                if not found or found[0].span_s > 1:
                    continue  # nobody said anything in that second: not a silence of the series
                may = self._may_learn(second, now, fit)
                if not which:
                    self._admit_rates(found[0], may)
                details.append(self._admit_calls(found[0], may & (delays == which)))
                self.clumps.add(*details[-1])
                if second % BLOCK_S == BLOCK_S - 1:
                    self.clumps.close(delays == which)
            self._until[which] = max(self._until[which], until)
        if now - self._faded_at >= FADE_EVERY_S:
            self._fade(now)
        idx, code, amount = (np.concatenate(one) for one in zip(*details, strict=True)) if details else _NOTHING
        self.times.add(idx, code, amount, now, FELT_SHARE * typical_s)

    def suspect(self, numbers: Numbers, now: float) -> None:
        """Quarantine these series: nothing they did lately counts as usual."""
        fresh = now - self.suspicious_at[numbers] > 2 * DELAYS_S[-1]
        self.suspicious_since[numbers] = np.where(fresh, now, self.suspicious_since[numbers])
        self.suspicious_at[numbers] = now

    def _delays(self, recent: Recent, now: float) -> NDArray[np.int64]:
        """Which of DELAYS_S each series waits: until a fault would have been recognised."""
        calls = np.zeros(len(self.first), np.float32)
        calls[: recent.size] = recent.of(Cell.COUNT)[MINUTE]
        age_s = np.clip(now - self.first, 1, 60)
        wait_s = TO_RECOGNISE * age_s / np.maximum(calls, 1e-3)
        return np.searchsorted(np.array(DELAYS_S[:-1]), wait_s)

    def _may_learn(self, second: int, now: float, fit: Flags) -> Flags:
        quarantined = (self.suspicious_at >= second) & (now - self.suspicious_since < NEW_NORMAL_S)
        since_s = second - self.resumed_at
        cold = (self.resumed_at != NEVER) & (since_s >= 0) & (since_s < BURN_IN_S)
        cold |= (self.first == NEVER) | (second < self.first + BURN_IN_S)
        return np.asarray(fit & ~quarantined & ~cold)

    def _admit_rates(self, slot: Slot, may: Flags) -> None:
        cells = slot.cells
        tried = _IS_ATTEMPT[cells.code] & may[cells.idx]
        idx = cells.idx[tried]
        self.seconds[may] += 1
        np.add.at(self.attempts, idx, cells.amount[tried])
        self.active[_distinct(idx, len(self.first))] += 1
        level = (cells.code == Cell.IN_FLIGHT) & may[cells.idx]
        np.add.at(self.flying, cells.idx[level], cells.amount[level])
        numbers, age = slot.oldest
        self.oldest_high[may] *= 0.997
        np.maximum.at(self.oldest_high, numbers[may[numbers]], age[may[numbers]])

    def _admit_calls(self, slot: Slot, may: Flags) -> tuple[NDArray[Any], ...]:
        """Learn the outcomes of a second; its times, for `Histories.add`."""
        may = may & (self.admitted_to <= slot.ts)
        cells, details = slot.cells, slot.details
        mine = may[cells.idx]
        idx, code, amount = cells.idx[mine], cells.code[mine], cells.amount[mine]
        np.add.at(self.sums.reshape(-1), idx.astype(np.int64) * CELLS + code, amount)
        tried = _IS_ATTEMPT[code]
        np.add.at(self.tries, idx[tried], amount[tried])
        if (code == Cell.TOKENS).any():
            self._admit_tokens(idx, code, amount)
        self.admitted_to[idx] = slot.ts + 1
        mine = (details.code < CHANNELS * BUCKETS) & may[details.idx]
        return details.idx[mine], details.code[mine], details.amount[mine]

    def _admit_tokens(self, idx: NDArray[np.int32], code: NDArray[np.int16], amount: NDArray[np.float32]) -> None:
        tokens = np.bincount(idx, np.where(code == Cell.TOKENS, amount, 0), len(self.first))
        calls = np.bincount(idx, np.where(code == Cell.COUNT, amount, 0), len(self.first))
        some = (tokens > 0) & (calls > 0)
        self.token_squares[some] += tokens[some] ** 2 / calls[some]
        self.token_seconds[some] += 1

    def _notice_silence(self, table: SeriesTable, until: int) -> None:
        """Remember when each series was first and last called, and which came back after an unusual silence."""
        busy = self.rate * SILENCE_S >= 5
        for slot in table.slots(max(self._looked_until - LATE_S, until - 30), until):
            cells = slot.cells
            calls = _distinct(cells.idx[_IS_ATTEMPT[cells.code]], len(self.first))
            unseen = calls[self.first[calls] == NEVER]
            self.first[unseen] = slot.ts
            calls = _distinct(cells.idx[cells.code == Cell.COUNT], len(self.first))
            silent = (slot.ts - self.last_call[calls] > SILENCE_S) & (self.last_call[calls] != NEVER)
            back = calls[silent & busy[calls]]
            self.resumed_at[back] = slot.ts
            self.last_call[calls] = np.maximum(self.last_call[calls], slot.ts)
        self._looked_until = max(self._looked_until, until)

    def _fade(self, now: float) -> None:
        left = 2.0 ** (-FADE_EVERY_S / HALF_LIFE_S)
        for array in (self.seconds, self.active, self.attempts, self.flying):
            array *= left
        kept = np.maximum(left, np.minimum(1, KEPT / np.maximum(self.tries, 1))).astype(np.float32)
        self.tries *= kept
        self.clumps.fade(kept)
        self.sums *= kept[:, None]
        self.token_squares *= kept
        self.token_seconds *= kept
        self._faded_at = int(now)

    # Surviving a restart

    def checkpoint(self, keys: list[SeriesKey]) -> bytes:
        names = [str(key) for key in keys] if self._restored is None else list(self._restored)
        parts = {"times": self.times.arrays(), "clumps": self.clumps.arrays()}
        if self._restored is not None:
            parts = self._parts_of_checkpoint
        else:
            parts["clumps"] = {name: array[:, : len(names)] for name, array in parts["clumps"].items()}
        arrays = {name: array[: len(names)] for name, array in self._arrays.items()}
        arrays |= {f"{part}_{name}": array for part, found in parts.items() for name, array in found.items()}
        about = {"until": self._until, "started": self.started, "looked_until": self._looked_until, "series": names,
                 "felt_s": self.times.felt_s, "faded_at": self._faded_at}  # fmt: skip
        return pack("baselines", arrays, json.dumps(about))

    @classmethod
    def restore(cls, data: bytes) -> "Baselines":
        """The baselines that `checkpoint` wrote; they find their series by name.

        Raises:
            ValueError: Not a checkpoint of this version.
        """
        arrays, text = unpack("baselines", data)
        about, baselines = json.loads(text), cls()
        for name in baselines._arrays:
            setattr(baselines, name, arrays[name])
        baselines._parts_of_checkpoint = {
            part: {name.removeprefix(f"{part}_"): one for name, one in arrays.items() if name.startswith(f"{part}_")}
            for part in ("times", "clumps")
        }
        baselines.times.felt_s, baselines._faded_at = about["felt_s"], about["faded_at"]
        baselines._until, baselines.started = about["until"], about["started"]
        baselines._looked_until = about["looked_until"]
        baselines._restored = {name: place for place, name in enumerate(about["series"])}
        return baselines

    _parts_of_checkpoint: dict[str, dict[str, NDArray[Any]]]


def _distinct(numbers: NDArray[np.int32], size: int) -> Numbers:
    """Each number once, ascending."""
    seen = np.zeros(size, bool)
    seen[numbers] = True
    return np.flatnonzero(seen)


_NOTHING: Final = (np.empty(0, np.int32), np.empty(0, np.int16), np.empty(0, np.float32))
