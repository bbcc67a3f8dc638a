"""One turn of a conversation, from the customer's message to the reply. The same for every arm.

message --> intent, confidence --> 0.9 and more: answer
                               --> 0.7 to 0.9:   second look --> agrees: answer      disagrees: a person
                               --> below 0.7:    a person, and the customer is told so
"""

import json
import logging
from collections import OrderedDict
from enum import Enum

from paramedic_demo.agent import run_agent
from paramedic_demo.answers import (
    APOLOGY,
    ASK_NUMBER,
    NOBODY,
    NOT_SURE,
    TO_A_PERSON,
    TOPICS,
    Order,
    Way,
    is_about,
    no_such_order,
    order_sentence,
)
from paramedic_demo.handover import HumanQueue
from paramedic_demo.intents import Guess, IntentModel, order_number
from paramedic_demo.memory import Memory, Turn
from paramedic_demo.support_bot.calls import Calls, Message, Prompt, Unreachable
from paramedic_demo.support_bot.troubles import Troubles
from paramedic_demo.support_bot.wire import Ask, Reply

SURE, LIKELY = 0.9, 0.7
SHORT_WORDS = 6  # a message that gives little more than a number answers the question before it
REPEATS_KEPT = 2000
SHOP, PERSON = "shop", "person"

log = logging.getLogger("support-bot")


class Route(Enum):
    """What a confidence allows."""

    ANSWER = "answered"
    CHECK = "checked"
    HAND_OVER = "handed_over"


def route(confidence: float) -> Route:
    if confidence >= SURE:
        return Route.ANSWER
    return Route.CHECK if confidence >= LIKELY else Route.HAND_OVER


class SupportBot:
    """Answers one message at a time; holds nothing that a kill would lose for a customer.

    Args:
        calls: The outside world, as this arm protects it.
        intents: The classifier.
        humans: Where messages for people go.
        zone: Of this bot.
        memory: For callers that send no history along.
        troubles: What drills do to it.
    """

    def __init__(
        self,
        calls: Calls,
        intents: IntentModel,
        humans: HumanQueue,
        zone: str,
        memory: Memory,
        troubles: Troubles,
    ) -> None:
        self._calls, self._intents, self._humans, self._zone, self._memory = calls, intents, humans, zone, memory
        self._troubles = troubles
        self._replies: OrderedDict[tuple[str, int], Reply] = OrderedDict()  # for messages that come twice

    async def reply(self, ask: Ask) -> Reply:
        turn = ask.turn or self._memory.count(ask.conversation) + 1
        known = self._replies.get((ask.conversation, turn))
        if known is not None:
            return known
        reply = await self._reply(ask, turn)
        if reply.status != "apology":
            self._remember(ask, reply)
        return reply

    async def _reply(self, ask: Ask, turn: int) -> Reply:
        past = self._past(ask)
        guess = continued(ask.message, past) or await self._understand(ask.message)
        chosen = await self._route(ask.message, guess)
        if chosen is Route.HAND_OVER:
            text, by = await self._hand_over(ask, turn, guess), PERSON
        else:
            text, by = await self._answer_or_apologise(ask.message, guess.intent, past)
        status = "apology" if by == NOBODY else chosen.value
        return Reply(
            reply=text,
            status=status,
            intent=guess.intent,
            confidence=round(guess.confidence, 4),
            served_by=by,
            zone=self._zone,
            turn=turn,
        )

    async def _understand(self, message: str) -> Guess:
        return await self._calls.understand(self._intents.guess, self._troubles.heard(message))

    async def _route(self, message: str, guess: Guess) -> Route:
        if TOPICS[guess.intent].way is Way.PERSON:
            return Route.HAND_OVER
        chosen = route(guess.confidence)
        if chosen is not Route.CHECK:
            return chosen
        wish = await self._calls.second_look(message)
        return Route.CHECK if is_about(guess.intent, wish) else Route.HAND_OVER

    async def _hand_over(self, ask: Ask, turn: int, guess: Guess) -> str:
        asked_for = TOPICS[guess.intent].way is Way.PERSON and guess.confidence >= LIKELY
        ticket = self._humans.ticket(
            ask.conversation,
            turn,
            ask.message,
            reason="asked for a person" if asked_for else "not sure",
            intent=guess.intent,
            confidence=guess.confidence,
            zone=self._zone,
        )
        await self._humans.put(ticket)
        return TO_A_PERSON if asked_for else NOT_SURE

    async def _answer_or_apologise(self, message: str, intent: str, past: tuple[Turn, ...]) -> tuple[str, str]:
        try:
            return await self._answer(message, intent, past)
        except Unreachable as error:
            log.info("%s", error)
            return APOLOGY, NOBODY

    async def _answer(self, message: str, intent: str, past: tuple[Turn, ...]) -> tuple[str, str]:
        """The reply, and who wrote it."""
        topic = TOPICS[intent]
        if topic.way is Way.FIXED:
            return topic.answer, SHOP
        if not topic.needs_order:
            answer = await self._calls.answer(prompt(message, past, topic.answer, template=topic.template))
            return answer.text, answer.by
        number = order_number(message) or remembered_number(past)
        if number is None:
            return ASK_NUMBER, SHOP
        return await self._about_order(message, intent, past, number)

    async def _about_order(self, message: str, intent: str, past: tuple[Turn, ...], number: str) -> tuple[str, str]:
        if order_number(message) is None:
            message = f"{message} (order {number})"
        if TOPICS[intent].way is Way.AGENT:
            asked, rounds = prompt(message, past, TOPICS[intent].answer), self._troubles.rounds()
            outcome = await run_agent(self._calls, asked, intent, number, rounds)
            return outcome.text, outcome.by
        order = await self._calls.order(number)
        if order is None:
            return no_such_order(number), SHOP
        answer = await self._calls.answer(prompt(message, past, facts(order), template=order_sentence(order)))
        return answer.text, answer.by

    def _past(self, ask: Ask) -> tuple[Turn, ...]:
        if ask.history is None:
            return self._memory.turns(ask.conversation)
        return tuple(Turn(turn.message, turn.reply, turn.intent) for turn in ask.history)

    def _remember(self, ask: Ask, reply: Reply) -> None:
        self._memory.add(ask.conversation, Turn(ask.message, reply.reply, reply.intent))
        self._replies[(ask.conversation, reply.turn)] = reply
        if len(self._replies) > REPEATS_KEPT:
            self._replies.popitem(last=False)


def continued(message: str, past: tuple[Turn, ...]) -> Guess | None:
    """The intent that goes on: a number, right after we asked for one. None when the message stands for itself."""
    if not past or past[-1].reply != ASK_NUMBER:
        return None
    is_the_number = order_number(message) is not None and len(message.split()) <= SHORT_WORDS
    return Guess(past[-1].intent, 1.0) if is_the_number else None


def remembered_number(past: tuple[Turn, ...]) -> str | None:
    """The order that the conversation was about last; None when no number was named."""
    numbers = (order_number(turn.message) for turn in reversed(past))
    return next((number for number in numbers if number is not None), None)


def facts(order: Order) -> str:
    return f"The order, as the order book has it now: {json.dumps(order)}"


def prompt(message: str, past: tuple[Turn, ...], known: str, template: str = "") -> Prompt:
    """The conversation for the model: its role, what the shop knows, the last turns, the message."""
    system = (
        "You are the support assistant of Northtrail, an online shop for outdoor gear. Answer in two or three short, "
        f"friendly sentences and only from these facts.\nFacts:\n{known}"
    )
    said: list[Message] = [{"role": "system", "content": system}]
    for turn in past:
        said += [{"role": "user", "content": turn.message}, {"role": "assistant", "content": turn.reply}]
    return Prompt((*said, {"role": "user", "content": message}), template=template)
