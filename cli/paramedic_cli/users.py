"""What a run was like for its users: availability, and when their success came back. Pure.

Success counts as lost while, of the messages sent in some five seconds, fewer than 95 % get a useful answer
(and at least two do not: one bad answer in five quiet seconds is no outage).

    sent  . . . . x x . x . . . . . . . . . .      x no useful answer
          ^ injected      ^ last lost     ^ healed
          |-- recovered --|-- proof ------|
"""

from collections.abc import Sequence
from dataclasses import dataclass

from paramedic_cli.evidence import Injection, Request
from paramedic_cli.intervals import wilson

USERS_OK = 0.95
WINDOW_S = 5.0
PROOF_S = 5.0  # users must be well this long, fault still injected, before it counts as a recovery
PROOF_REQUESTS = 10


@dataclass(frozen=True, slots=True)
class Share:
    """Useful answers of all messages."""

    good: int
    total: int

    @property
    def value(self) -> float | None:
        return self.good / self.total if self.total else None

    @property
    def interval(self) -> list[float] | None:
        """The 95 % interval, low and high."""
        bounds = wilson(self.good, self.total)
        return list(bounds) if bounds else None


def availability(requests: Sequence[Request]) -> Share:
    return Share(sum(r.useful for r in requests), len(requests))


def sent_between(requests: Sequence[Request], begin: float, end: float) -> list[Request]:
    return [r for r in requests if begin <= r.at < end]


@dataclass(frozen=True, slots=True)
class Recovery:
    """Whether and when users' success came back while the fault was still injected."""

    seconds: float | None  # since the injection; None: it did not come back, or nobody was there to see
    noticed: bool  # whether users' success was ever lost

    @property
    def came_back(self) -> bool:
        return self.seconds is not None


def recovery(requests: Sequence[Request], injection: Injection) -> Recovery:
    """How users' success went during one fault."""
    during = sent_between(requests, injection.injected_at, injection.healed_at)
    lost_at = _last_lost(during)
    since = injection.injected_at if lost_at is None else lost_at
    proof = [r for r in during if r.at > since]
    if injection.healed_at - since < PROOF_S or len(proof) < PROOF_REQUESTS:
        return Recovery(None, lost_at is not None)
    return Recovery(0.0 if lost_at is None else lost_at - injection.injected_at, lost_at is not None)


def _last_lost(during: Sequence[Request]) -> float | None:
    """When the last message went out that no useful answer came to while success was lost; None: never lost.

    A window is looked at from each bad message on, so none is missed between two ticks of a clock.
    """
    last = None
    for begin in (r.at for r in during if not r.useful):
        window = sent_between(during, begin, begin + WINDOW_S)
        bad = [r.at for r in window if not r.useful]
        if len(bad) >= 2 and 1 - len(bad) / len(window) < USERS_OK:
            last = max(bad) if last is None else max(last, *bad)
    return last
