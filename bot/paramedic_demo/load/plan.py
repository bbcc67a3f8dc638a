"""Who writes what and when, as one list that depends on the seed and the rate alone.

    arrival time --> a conversation whose next message is due: its next turn
                 --> none is due: a new conversation

Between two messages of one customer lies more time than a customer waits for an answer, so no message ever depends on
an answer, and all arms of a comparison see the same texts at the same moments.
"""

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass

from paramedic_demo.load.arrivals import arrival_times
from paramedic_demo.load.conversations import SCRIPTS, TEXTS, Need
from paramedic_demo.orders_data import FIRST_ORDER, LAST_ORDER

USER_S = 10.0  # a customer leaves after that
THINKS_S = (11.0, 25.0)  # from one message to the next, at least


@dataclass(frozen=True, slots=True)
class Message:
    """One message of one customer."""

    at_s: float  # after the start
    conversation: str
    turn: int
    text: str
    need: Need
    order: str  # the number of the order that the conversation is about


@dataclass(slots=True)
class Customer:
    """Somebody in the middle of a conversation."""

    conversation: str
    order: str
    needs: tuple[Need, ...]
    turn: int = 0

    def writes(self, at_s: float, rng: random.Random) -> Message:
        need = self.needs[self.turn]
        self.turn += 1
        text = rng.choice(TEXTS[need]).format(order=self.order)
        return Message(at_s, self.conversation, self.turn, text, need, self.order)

    @property
    def is_done(self) -> bool:
        return self.turn == len(self.needs)


def messages(seed: int, rate_per_s: float) -> Iterator[Message]:
    """All messages in the order of their time, without end.

    Args:
        seed: The same seed and rate give the same messages.
        rate_per_s: Messages a second, on average.
    """
    rng = random.Random(f"load {seed}")
    due: list[tuple[float, int, Customer]] = []  # when the next message may come; who came first breaks ties
    for number, at_s in enumerate(arrival_times(random.Random(f"arrivals {seed}"), rate_per_s), 1):
        customer = heapq.heappop(due)[2] if due and due[0][0] <= at_s else new_customer(seed, number, rng)
        yield customer.writes(at_s, rng)
        if not customer.is_done:
            heapq.heappush(due, (at_s + rng.uniform(*THINKS_S), number, customer))


def new_customer(seed: int, number: int, rng: random.Random) -> Customer:
    (script,) = rng.choices(SCRIPTS, [script.weight for script in SCRIPTS])
    return Customer(f"s{seed}-{number}", str(rng.randint(FIRST_ORDER, LAST_ORDER)), script.needs)
