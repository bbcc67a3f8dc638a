"""What the simulated models say: believable sentences of customer support, made from the conversation alone.

    messages --> an order that stands in them, as JSON --+
             --> other facts in the system message ------+--> sentences; the same conversation always gets the same ones
             --> what the customer asks about -----------+

No language model is behind it, so an answer costs microseconds and a test can know it beforehand.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Message = Mapping[str, Any]
ORDER_NUMBER = re.compile(r"(?<!\d)(\d{4,8})(?!\d)")

# What a customer may want: the words that give it away, the wish, and what a shop says when no facts are given.
TOPICS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("refund", "money back", "reimburse"),
        "wants a refund",
        "Refunds go back to the card or account that you paid with, usually within five working days of our having the "
        "parcel again.",
    ),
    (
        ("return", "send back", "exchange", "wrong size"),
        "wants to return or exchange something",
        "You can return anything within 30 days. Open the order, choose Return an item and print the label.",
    ),
    (
        ("cancel",),
        "wants to cancel an order",
        "An order can be cancelled until it leaves our warehouse. Open it under Orders and choose Cancel.",
    ),
    (
        ("address", "moved"),
        "wants to change the delivery address",
        "You can change the delivery address under Orders until the parcel is handed to the courier.",
    ),
    (
        ("broken", "damaged", "defect", "faulty", "does not work", "doesn't work", "not working"),
        "reports a damaged item",
        "I am sorry that it arrived like this. Please send us a photo under Orders, Report a problem; we then send a "
        "new one at once.",
    ),
    (
        ("pay", "card", "invoice", "charged", "bill"),
        "asks about a payment or an invoice",
        "We take cards, bank transfer and PayPal. The invoice stands under Orders as a PDF.",
    ),
    (
        ("password", "log in", "login", "account", "sign in"),
        "cannot get into the account",
        "Choose Forgot password on the sign-in page and we will mail you a link. If nothing arrives, look into your "
        "spam folder first.",
    ),
    (
        ("deliver", "ship", "arrive", "parcel", "package", "track", "where is", "late"),
        "wants to know when the order arrives",
        "Parcels within the EU take two to four working days. As soon as yours is with the courier you get a message "
        "with a tracking link.",
    ),
    (
        ("human", "agent", "person", "complain"),
        "wants to talk to a person",
        "I understand, and I am passing this on to a colleague, who sees our whole conversation.",
    ),
    (
        ("size", "colour", "color", "stock", "available", "product", "warranty"),
        "asks about a product",
        "The product page shows what is in stock today, with sizes and materials. If yours is gone, choose Tell me, "
        "and we write when it is back.",
    ),
)
SOMETHING = (
    (),
    "asks for help",
    "I am happy to help with orders, deliveries, returns, payments and your account. Tell me the number of your order, "
    "if it is about one, and I will look it up for you.",
)
OPENINGS = ("Thank you for your message.", "Thanks for asking.", "Of course, let me help.", "Good that you ask.")
CLOSINGS = (
    "Is there anything else that I can do for you?",
    "Just write again if anything is unclear.",
    "Let me know if I can help with anything else.",
)
# What the state of an order means for the person who waits for it.
STATES = {
    "placed": "we have it and will start packing it today",
    "paid": "the payment has arrived and we will pack it next",
    "packed": "it is packed and waits for the courier",
    "shipped": "it is on its way to you",
    "delivered": "it has been delivered",
    "returned": "it has come back to us",
    "cancelled": "it was cancelled, and nothing will be charged",
    "delayed": "it is held up at the courier, and we are sorry for the wait",
}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What the model wants to have looked up before it answers."""

    id: str
    name: str
    arguments: str  # JSON text, as the API has it


def answer(messages: Sequence[Message], *, weak: bool = False) -> str:
    """The model's next message.

    Args:
        messages: As in the request: role and content, oldest first.
        weak: Say it as a small model would: shorter, and with fewer of the facts.
    """
    question, system = last_question(messages), system_text(messages)
    if "what the customer" in system:  # it shall sum up, not answer
        return f"The customer {topic_of(question)[1]}: {first_sentences(question, 2)}"
    order = order_facts(messages)
    facts = system.partition("Facts:")[2].strip()
    body = about_order(order, weak=weak) if order is not None else facts or topic_of(question)[2]
    if weak:
        return first_sentences(body, 2)
    return " ".join((pick(OPENINGS, question), body, pick(CLOSINGS, question)))


def tool_call(messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> ToolCall | None:
    """The call that the model makes before it answers; None when it has what it needs, or nothing is on offer."""
    if order_facts(messages) is not None or any(message.get("role") == "tool" for message in since_question(messages)):
        return None
    number = ORDER_NUMBER.search(last_question(messages))
    functions = [tool["function"] for tool in tools if isinstance(tool.get("function"), Mapping)]
    chosen = next((function for function in functions if "order" in str(function.get("name"))), None)
    if number is None or chosen is None:
        return None
    wanted = chosen.get("parameters", {}).get("properties") or {"order_id": {}}
    argument = next((name for name in wanted if "id" in name or "number" in name), next(iter(wanted)))
    call_id = "call_" + digest(json.dumps(list(messages), default=str))[:24]
    return ToolCall(call_id, str(chosen["name"]), json.dumps({argument: number[1]}))


def order_facts(messages: Sequence[Message]) -> Mapping[str, Any] | None:
    """The newest order that stands as JSON in what the bot gave the model; None when there is none."""
    for message in reversed(messages):
        if message.get("role") == "assistant":
            continue
        for found in json_objects(text_of(message)):
            if "status" in found and ("id" in found or "order_id" in found):
                return found
    return None


def about_order(order: Mapping[str, Any], *, weak: bool) -> str:
    """What a customer wants to know about an order, as far as it is known."""
    number, status = order.get("id") or order.get("order_id"), str(order["status"])
    sentences = [f"Your order {number} is {status}: {STATES.get(status, 'our team is looking after it')}."]
    if weak:
        return sentences[0]
    if items := order.get("items"):
        sentences.append(f"It holds {', '.join(map(str, items)) if isinstance(items, list) else items}.")
    if order.get("carrier") and order.get("tracking"):
        sentences.append(f"{order['carrier']} has it under the tracking number {order['tracking']}.")
    if order.get("expected_on") and status not in ("delivered", "returned", "cancelled"):
        sentences.append(f"We expect it to reach you on {order['expected_on']}.")
    if order.get("delivered_on"):
        sentences.append(f"It reached you on {order['delivered_on']}.")
    return " ".join(sentences)


def topic_of(question: str) -> tuple[tuple[str, ...], str, str]:
    lowered = question.lower()
    return next((topic for topic in TOPICS if any(word in lowered for word in topic[0])), SOMETHING)


def system_text(messages: Sequence[Message]) -> str:
    return " ".join(text_of(message) for message in messages if message.get("role") in ("system", "developer"))


def last_question(messages: Sequence[Message]) -> str:
    """The customer's last message; empty when there is none."""
    return next((text_of(message) for message in reversed(messages) if message.get("role") == "user"), "")


def since_question(messages: Sequence[Message]) -> Sequence[Message]:
    """What came after the customer's last message."""
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].get("role") == "user":
            return messages[index + 1 :]
    return messages


def text_of(message: Message) -> str:
    """The text of a message, whose content is a text, or a list of parts, or missing."""
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    return content if isinstance(content, str) else ""


def json_objects(text: str) -> Iterator[Mapping[str, Any]]:
    """The JSON objects that stand in a text, outermost first."""
    decoder, start = json.JSONDecoder(), text.find("{")
    while start >= 0:
        try:
            found, _ = decoder.raw_decode(text, start)
        except ValueError:
            found = None
        if isinstance(found, dict):
            yield found
        start = text.find("{", start + 1)


def first_sentences(text: str, count: int) -> str:
    return " ".join(re.split(r"(?<=[.!?]) ", text)[:count])


def pick(choices: Sequence[str], text: str) -> str:
    """One of the choices; the same text always gets the same one."""
    return choices[int(digest(text)[:8], 16) % len(choices)]


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
