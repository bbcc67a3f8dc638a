"""How long to wait between two tries of one request: the Collector's `retry_on_failure`.

5 s, 7.5 s, 11.25 s ... 30 s, each times a random 0.5 to 1.5, for 300 s in all
"""

import random
from collections.abc import Callable
from typing import Final

from paramedic_collector.config.model import Retry

_SHORTEST_S: Final = 0.01  # settings of 0 must not turn into a busy loop


class Backoff:
    """The pauses of one request.

    Args:
        dice: From 0 up to 1; spreads the tries of many collectors over time.
    """

    def __init__(self, retry: Retry, dice: Callable[[], float] = random.random) -> None:
        self._retry, self._dice = retry, dice
        self._interval_s = retry.initial_s

    def next_s(self, least_s: float, elapsed_s: float) -> float | None:
        """Seconds until the next try; None when there will be none.

        Args:
            least_s: What the backend asks for.
            elapsed_s: Since the first try began.
        """
        retry, spread = self._retry, self._retry.randomization
        pause_s = max(self._interval_s * (1 + spread * (2 * self._dice() - 1)), least_s, _SHORTEST_S)
        self._interval_s = min(self._interval_s * retry.multiplier, retry.most_s)
        gives_up = retry.give_up_s > 0 and elapsed_s + pause_s > retry.give_up_s
        return None if gives_up or not retry.enabled else pause_s
