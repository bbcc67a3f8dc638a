"""When to try again, and when to leave an endpoint alone.

    try 1 --20 s--> 2 --5 min--> 3 --40 min--> 4 --3 h--> 5 --12 h--> 6 --> dead      (longest waits; full jitter)

The waits are drawn between nothing and their longest, so that messages that failed together do not come back
together. An endpoint that fails is left alone by all messages; one that has come back gets them one by one.

Source: M. Brooker, Exponential Backoff And Jitter (AWS Architecture Blog, 2015), "full jitter".
"""

from collections.abc import Callable
from typing import Final

LONGEST_WAITS_S: Final = (20.0, 300.0, 2400.0, 10_800.0, 44_080.0)  # sixteen hours in all
TRIES: Final = len(LONGEST_WAITS_S) + 1
LEAST_WAIT_S: Final = 1.0
LONGEST_REST_S: Final = 60.0  # of an endpoint
PACE_S: Final = 1.1  # between two messages to one endpoint; Slack takes one a second


def wait_s(tries: int, retry_after_s: float | None, rng: Callable[[], float]) -> float | None:
    """Seconds until the next try; None when that was the last.

    Args:
        tries: How many there were.
        retry_after_s: What the endpoint asked for; never less than that.
        rng: Uniform in [0, 1).
    """
    if tries >= TRIES:
        return None
    jittered = rng() * LONGEST_WAITS_S[tries - 1]
    return max(LEAST_WAIT_S, jittered, retry_after_s or 0.0)


class Endpoint:
    """Whether an endpoint may be asked now."""

    def __init__(self) -> None:
        self.failures = 0  # in a row
        self.ready_at = 0.0

    def ready(self, now: float) -> bool:
        return now >= self.ready_at

    def worked(self, now: float) -> None:
        self.failures, self.ready_at = 0, now + PACE_S

    def failed(self, now: float, retry_after_s: float | None) -> None:
        self.failures += 1
        rest_s = min(LONGEST_REST_S, 2.0 ** min(self.failures, 6))
        self.ready_at = now + max(rest_s, retry_after_s or 0.0)
