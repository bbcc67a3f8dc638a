"""Whose turn it is: the members of a router in the order in which one call asks them.

    a probe of a closed path, at most one
      --> ready members by priority, and within one priority in weighted random order
      --> those that asked to be left alone, then those that their breaker, a command or the operator keeps calls from

A member that came back after it was away takes its share again bit by bit: a tenth at once, all of it `ramp_s`
later. What it does not take yet goes to the others of its priority, or to the next priority.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

FIRST_SHARE = 0.1  # of its weight, when a member has just come back


class Kept(IntEnum):
    """What keeps calls away from a member, the least first."""

    NOTHING = 0
    ITS_WISH = 1  # it answered Retry-After
    BREAKER = 2
    COMMAND = 3
    OPERATOR = 4


@dataclass(frozen=True, slots=True)
class Seen:
    """What is seen of a member when a call is planned.

    Attributes:
        kept: What keeps calls away from it.
        probe: Whether this call may probe it although a command closed it.
        since: When it came back after it was away, by the clock of the router; None when it never was.
    """

    kept: Kept = Kept.NOTHING
    probe: bool = False
    since: float | None = None


WELL = Seen()  # as nearly always


@dataclass(frozen=True, slots=True)
class Turn:
    """One member's turn.

    Attributes:
        member: Its place among the members.
        probe: Whether the call probes a closed path; None when the path is not closed.
    """

    member: int
    probe: bool | None = None


class Turns:
    """Decides for one router.

    Args:
        weights: Of each member, above 0.
        priorities: Of each member; the lowest number is asked first.
        ramp_s: Seconds in which a member that came back takes on its whole weight again; 0 for at once.
    """

    __slots__ = ("_members", "_plain", "_priorities", "_ramp_s", "_weights")

    def __init__(self, weights: Sequence[float], priorities: Sequence[int], ramp_s: float) -> None:
        self._weights, self._priorities, self._ramp_s = tuple(weights), tuple(priorities), ramp_s
        self._members = tuple(range(len(self._weights)))
        self._plain = [Turn(i) for i in self._members]

    def order(self, seen: Sequence[Seen], now: float, draw: Callable[[], float]) -> list[Turn]:
        """All members, each once, in the order in which to ask them.

        Args:
            seen: What is seen of each member.
            now: Seconds of the router's clock.
            draw: Numbers from 0 up to 1.
        """
        if all(one is WELL for one in seen):
            drawn = [(self._priorities[i], -math.log(1 - draw()) / self._weights[i], i) for i in self._members]
            return [self._plain[i] for _, _, i in sorted(drawn)]
        shares = [share_of(one.since, now, self._ramp_s) for one in seen]
        keys = [-math.log(1 - draw()) / (self._weights[i] * shares[i]) for i in self._members]
        shuffled = sorted(self._members, key=keys.__getitem__)
        probed = next((i for i in shuffled if seen[i].probe), None)
        ready = self._by_priority((i for i in shuffled if seen[i].kept is Kept.NOTHING), shares, draw)
        others = sorted((i for i in shuffled if seen[i].kept), key=lambda i: (seen[i].kept, self._priorities[i]))
        return [
            *([Turn(probed, True)] if probed is not None else []),
            *(Turn(i) for i in ready),
            *(Turn(i, False if seen[i].kept is Kept.COMMAND else None) for i in others if i != probed),
        ]

    def _by_priority(self, ready: Iterable[int], shares: Sequence[float], draw: Callable[[], float]) -> list[int]:
        """One priority after the other; one whose members are all still coming back is put off for a share of calls."""
        tiers: dict[int, list[int]] = {}
        for i in ready:
            tiers.setdefault(self._priorities[i], []).append(i)
        asked: list[int] = []
        put_off: list[int] = []
        for priority in sorted(tiers):
            share = max(shares[i] for i in tiers[priority])
            late = share < 1 and priority != max(tiers) and draw() >= share
            (put_off if late else asked).extend(tiers[priority])
        return asked + put_off


def share_of(since: float | None, now: float, ramp_s: float) -> float:
    """How much of its weight a member has that came back at `since`: from a tenth up to 1."""
    if since is None or now >= since + ramp_s:
        return 1.0
    return FIRST_SHARE + (1 - FIRST_SHARE) * max(0.0, now - since) / ramp_s
