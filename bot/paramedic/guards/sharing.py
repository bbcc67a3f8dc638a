"""What all guards of one peer share in this process: the budget of retries."""

import threading

from paramedic.policy.retry import RetryBudget

MOST_PEERS = 1000  # whoever names peers by user or request must not fill the memory


class RetryBudgets:
    """By peer. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, RetryBudget] = {}

    def of(self, peer: str) -> RetryBudget:
        """The budget of a peer, full when it is new."""
        with self._lock:
            if peer not in self._held and len(self._held) >= MOST_PEERS:
                self._held.pop(next(iter(self._held)))
            return self._held.setdefault(peer, RetryBudget())

    def left(self) -> dict[str, float]:
        """Tokens that are left, by peer."""
        with self._lock:
            return {peer: budget.tokens for peer, budget in self._held.items()}

    def clear(self) -> None:
        """Begin anew: between tests."""
        with self._lock:
            self._held.clear()

    def after_fork(self) -> None:
        self._lock = threading.Lock()


retry_budgets = RetryBudgets()
