"""Answers that wait until the platform has them: 256 at most, the newest word on each command. Pure."""

from collections import OrderedDict
from collections.abc import Iterable

from paramedic.contract.command import Ack

KEPT = 256
WAITS_S = (0.5, 30.0)  # after a post that failed


class Outbox:
    """The owner holds the lock and reads the clock."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, Ack] = OrderedDict()
        self._failures = 0
        self._post_at = 0.0

    def put(self, acks: Iterable[Ack]) -> int:
        """Keep acks, each in place of an older one about its command; how many others had to go for them."""
        lost = 0
        for ack in acks:
            self._waiting.pop(ack.command_id, None)
            self._waiting[ack.command_id] = ack
            while len(self._waiting) > KEPT:
                self._waiting.popitem(last=False)
                lost += 1
        return lost

    def due_in_s(self, now: float) -> float | None:
        """Seconds until they should be posted; None while there is nothing to say."""
        return max(0.0, self._post_at - now) if self._waiting else None

    def batch(self) -> list[Ack]:
        return list(self._waiting.values())

    def posted(self, acks: Iterable[Ack]) -> None:
        """They have arrived, or nobody wants them; what has been said since is kept."""
        for ack in acks:
            if self._waiting.get(ack.command_id) is ack:
                del self._waiting[ack.command_id]
        self.platform_is_back()

    def failed(self, now: float, draw: float) -> None:
        """They have not arrived, and are tried again after a while."""
        self._failures = min(self._failures + 1, 16)
        least, most = WAITS_S
        self._post_at = now + least + draw * (min(most, least * 2.0**self._failures) - least)

    def platform_is_back(self) -> None:
        self._failures, self._post_at = 0, 0.0
