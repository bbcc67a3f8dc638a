"""The slots of a table in the order of time: fresh ones by the second, older ones folded, all within a bound.

    merge(slot) --> fresh seconds --240 s--> single seconds --15 min--> slots of ten seconds --history_s--> gone

When more than `capacity` entries are held, the oldest neighbours are added together first, so that history loses
resolution from the far end, and no calls. What was merged lately stays in a short journal, so that whoever keeps
running sums need not read everything again.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from typing import Final, NamedTuple

from paramedic_detector.series.slots import Slot

FRESH_S: Final = 240  # seconds that never fold: what scores look at, and some
SINGLE_S: Final = 900  # seconds that fold only when there is no room
COARSE_S: Final = 10  # length of the slots after that
RESOLUTION: Final = 12  # without room, a slot is at most this part of its age long, while that is enough
EXEMPLARS_S: Final = 20  # seconds whose exemplars are kept
JOURNAL: Final = 4096  # slots merged lately that are remembered


class Arrivals(NamedTuple):
    """What was merged since a place in the journal."""

    slots: list[Slot] | None  # None: more than the journal remembers; read the table anew
    place: int  # where to go on from


class History:
    """Slots by second.

    Args:
        history_s: Seconds kept.
        capacity: Entries (10 bytes each) in folded slots from which the oldest are folded further.
    """

    def __init__(self, history_s: int, capacity: int) -> None:
        self.history_s, self.capacity = history_s, capacity
        self._fresh: dict[int, Slot] = {}
        self._old: list[Slot] = []  # oldest first
        self._starts: list[int] = []  # of the old ones
        self._entries = 0  # in the old ones
        self._with_exemplars: deque[Slot] = deque()
        self._journal: deque[Slot] = deque(maxlen=JOURNAL)
        self._merged = 0

    # What comes in

    def merge(self, slot: Slot, newest: int) -> bool:
        """Add a slot to what is known of its second; False when it is older than the history."""
        if slot.ts < newest - self.history_s:
            return False
        self._journal.append(Slot(slot.ts, slot.span_s, list(slot.cell_parts), list(slot.detail_parts)))
        self._merged += 1
        home = self._fresh.get(slot.ts) or self._old_at(slot.ts)
        if slot.exemplars:
            self._with_exemplars.append(home or slot)
        if home is None:
            self._fresh[slot.ts] = slot
            return True
        self._entries += slot.entries if home.ts not in self._fresh else 0
        home.take(slot)
        return True

    def arrivals(self, place: int) -> Arrivals:
        """What was merged since `place` (0 at first), in the order of arrival."""
        missed = self._merged - place
        if missed > len(self._journal) or missed < 0:
            return Arrivals(None, self._merged)
        return Arrivals([self._journal[at] for at in range(len(self._journal) - missed, len(self._journal))],
                        self._merged)  # fmt: skip

    def prune(self, newest: int) -> None:
        """Let go of what is too old, and fold what is old enough."""
        ripe = newest - min(FRESH_S, self.history_s)
        if self._fresh and min(self._fresh) < ripe:
            for ts in sorted(ts for ts in self._fresh if ts < ripe):
                self._put_away(self._fresh.pop(ts))
        while self._with_exemplars and self._with_exemplars[0].ts < newest - EXEMPLARS_S:
            self._with_exemplars.popleft().exemplars = []
        gone = 0
        while gone < len(self._old) and self._old[gone].ts + self._old[gone].span_s <= newest - self.history_s:
            self._entries -= self._old[gone].entries
            gone += 1
        del self._old[:gone], self._starts[:gone]
        self._coarsen(newest)
        if len(self._old) > 8 and self._entries > self.capacity:
            self._fold()

    def _put_away(self, slot: Slot) -> None:
        at = bisect_left(self._starts, slot.ts)
        self._old.insert(at, slot)
        self._starts.insert(at, slot.ts)
        self._entries += slot.entries

    def _coarsen(self, newest: int) -> None:
        """Fold every ten seconds that have become old into one slot."""
        last = bisect_left(self._starts, (newest - SINGLE_S) // COARSE_S * COARSE_S)
        first = last
        while first > 0 and self._old[first - 1].span_s < COARSE_S:
            first -= 1
        if first == last:
            return
        before = sum(slot.entries for slot in self._old[first:last])
        folded: list[Slot] = []
        for slot in self._old[first:last]:
            if folded and folded[-1].ts == slot.ts // COARSE_S * COARSE_S:
                folded[-1].absorb(slot)
            else:
                slot.span_s += slot.ts % COARSE_S
                slot.ts -= slot.ts % COARSE_S
                folded.append(slot)
        for slot in folded:
            slot.span_s = max(slot.span_s, COARSE_S)
        self._old[first:last] = folded
        self._starts[first:last] = [slot.ts for slot in folded]
        self._entries += sum(slot.entries for slot in folded) - before

    def _fold(self) -> None:
        """Add neighbours together where that costs little resolution for their age; else the two shortest."""
        newest, folded = self._old[-1].ts + FRESH_S, self._old[:1]
        for slot in self._old[1:]:
            before = folded[-1]
            if slot.ts + slot.span_s - before.ts <= max(2.0, (newest - slot.ts) / RESOLUTION):
                before.absorb(slot)
            else:
                folded.append(slot)
        if len(folded) == len(self._old):
            at = min(range(1, len(folded)), key=lambda place: folded[place - 1].span_s + folded[place].span_s)
            folded[at - 1].absorb(folded.pop(at))
        self._old, self._starts = folded, [slot.ts for slot in folded]
        self._entries = sum(slot.entries for slot in folded)

    # What goes out

    def _old_at(self, ts: int) -> Slot | None:
        at = bisect_right(self._starts, ts) - 1
        return self._old[at] if at >= 0 and ts < self._old[at].ts + self._old[at].span_s else None

    def between(self, t0: float, t1: float) -> list[Slot]:
        """The slots that touch [t0, t1), oldest first; t0 is rounded down."""
        first = int(t0 // 1)
        at = max(0, bisect_right(self._starts, first) - 1)
        old = [slot for slot in self._old[at : bisect_left(self._starts, t1)] if slot.ts + slot.span_s > first]
        if t1 - first < len(self._fresh):
            wanted = [ts for ts in range(first, -int(-t1 // 1)) if ts in self._fresh]
        else:
            wanted = sorted(ts for ts in self._fresh if first <= ts < t1)
        return old + [self._fresh[ts] for ts in wanted]

    def fresh(self) -> list[Slot]:
        """The slots of the last seconds, the newest first."""
        return [self._fresh[ts] for ts in sorted(self._fresh, reverse=True)]
