"""What to try next to hear the platform: its stream, or asking again and again. Pure.

stream --three tries in a row without a snapshot--> poll every 2 s --after 60 s, or when the platform is back--> stream
"""

from enum import StrEnum

WAITS_S = (0.5, 10.0)  # after a failure: the shortest and the longest wait
POLL_S = 2.0
STREAM_AGAIN_S = 60.0
TRIES = 3


class Way(StrEnum):
    """How to hear the platform."""

    STREAM = "stream"
    POLL = "poll"


class Turns:
    """Decides for one client.

    Args:
        waits_s: The shortest and the longest wait after a failure.
        poll_s: Seconds between two polls, on average.
        stream_again_s: Seconds of polling after which the stream is tried again.
    """

    def __init__(
        self,
        waits_s: tuple[float, float] = WAITS_S,
        *,
        poll_s: float = POLL_S,
        stream_again_s: float = STREAM_AGAIN_S,
    ) -> None:
        self._waits_s, self._poll_s, self._stream_again_s = waits_s, poll_s, stream_again_s
        self._blocked = 0  # tries of the stream in a row that gave no snapshot
        self._failures = 0  # of any kind, in a row
        self._stream_at = 0.0
        self._poll_failed = False

    def next(self, now: float) -> Way:
        return Way.STREAM if self._blocked < TRIES or now >= self._stream_at else Way.POLL

    def streamed(self, snapshot: bool, now: float) -> None:
        """A stream has ended, which began with a snapshot or never did."""
        self._blocked = 0 if snapshot else min(self._blocked + 1, TRIES)
        self._failures = 1 if snapshot else self._failures + 1
        if self._blocked >= TRIES:
            self._stream_at, self._poll_failed = now + self._stream_again_s, False

    def polled(self, answered: bool, now: float) -> None:
        """A poll has been answered or has failed."""
        if answered and self._poll_failed:
            self._stream_at = now  # the platform is back, and its stream may be
        self._poll_failed = not answered
        self._failures = 0 if answered else self._failures + 1

    def wait_s(self, draw: float) -> float:
        """Seconds until the next try; full jitter: a fleet that lost its platform together does not come back together.

        Args:
            draw: A number from 0 to 1.
        """
        if not self._failures:
            return self._poll_s * (0.75 + draw / 2)
        least, most = self._waits_s
        return least + draw * (min(most, least * 2.0 ** min(self._failures, 16)) - least)
