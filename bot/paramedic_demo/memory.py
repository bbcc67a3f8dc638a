"""What was said in each conversation: the last turns only, of the last conversations only, for a while only.

    conversation id --> [Turn, Turn, ...]   oldest first

The front door remembers and sends the turns along with each message, so a bot can be killed between two messages and
the other zone goes on as if nothing had happened. A bot that gets no turns uses its own memory.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """One message and what the customer read in answer to it."""

    message: str
    reply: str
    intent: str


@dataclass(slots=True)
class Said:
    """What is kept of a conversation."""

    turns: tuple[Turn, ...]
    count: int  # of all its turns, the forgotten ones too
    at: float


class Memory:
    """Bounded in every direction.

    Args:
        conversations: Most that are kept; the one that was silent longest goes first.
        turns: Most that are kept of each.
        ttl_s: Seconds of silence after which a conversation is forgotten.
        clock: Seconds that never run backwards.
    """

    def __init__(
        self,
        *,
        conversations: int = 10_000,
        turns: int = 4,
        ttl_s: float = 1800.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most, self._turns, self._ttl_s, self._clock = conversations, turns, ttl_s, clock
        self._said: OrderedDict[str, Said] = OrderedDict()  # silent longest first

    def turns(self, conversation: str) -> tuple[Turn, ...]:
        """The last turns, oldest first."""
        said = self._fresh(conversation)
        return said.turns if said else ()

    def count(self, conversation: str) -> int:
        """How many turns the conversation had."""
        said = self._fresh(conversation)
        return said.count if said else 0

    def add(self, conversation: str, turn: Turn) -> None:
        before = self._fresh(conversation) or Said((), 0, 0.0)
        turns = (*before.turns, turn)[-self._turns :]
        self._said[conversation] = Said(turns, before.count + 1, self._clock())
        self._said.move_to_end(conversation)
        while len(self._said) > self._most:
            self._said.popitem(last=False)

    def _fresh(self, conversation: str) -> Said | None:
        said = self._said.get(conversation)
        if said is not None and self._clock() - said.at > self._ttl_s:
            del self._said[conversation]
            return None
        return said

    def __len__(self) -> int:
        return len(self._said)
