"""Whether an answer was of use, seen from the customer's chair: what was written, what came back, and when.

    status 200? --> within 10 s? --> any text? --> no apology? --> whole sentences? --> right hands? --> on topic?

A hand-over is of use exactly where the script says that a person is needed: to send everybody to a person while
something is broken helps nobody. The bot's own opinion of its answer (intent, confidence) is not looked at.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paramedic_demo.answers import reads_like_language
from paramedic_demo.load.conversations import Need
from paramedic_demo.load.plan import USER_S, Message

FOR_A_PERSON = (Need.PERSON, Need.VAGUE)
ABOUT_AN_ORDER = (Need.ORDER_STATUS, Need.NUMBER, Need.FOLLOW_UP, Need.REFUND, Need.CANCEL)
WORDS: Mapping[Need, str] = {
    Need.GREETING: r"help|welcome|hello",
    Need.ORDER_STATUS: r"placed|paid|packed|shipped|delivered|returned|cancelled|delayed",
    Need.NUMBER: r"placed|paid|packed|shipped|delivered|returned|cancelled|delayed",
    Need.FOLLOW_UP: r"placed|paid|packed|shipped|delivered|returned|cancelled|delayed",
    Need.ASK_NUMBER: r"\bnumber\b",
    Need.REFUND: r"refund|pay back|paid back",
    Need.CANCEL: r"cancel",
    Need.SHIPPING: r"working days|delivery costs",
    Need.RETURNS: r"30 days",
    Need.ADDRESS: r"delivery address",
    Need.PAYMENT: r"paypal|cards",
    Need.ACCOUNT: r"forgot password|link",
    Need.STOCK: r"in stock|product page",
    Need.INVOICE: r"invoice",
    Need.DAMAGED: r"photo|new one",
    Need.WARRANTY: r"warranty",
    Need.STORES: r"stores|open",
    Need.DISCOUNT: r"code|percent",
    Need.THANKS: r"welcome|pleasure|glad|have a good|anything else|again",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one request was worth to the customer."""

    useful: bool
    why: str  # "useful", or what was wrong, in words that can be counted


USEFUL = Verdict(True, "useful")


def judge(message: Message, status: int, body: Any, seconds: float) -> Verdict:
    """Judge one answer.

    Args:
        message: What was asked.
        status: Of the HTTP answer.
        body: Its JSON; None when it was none.
        seconds: From sending the message to having the whole answer.
    """
    why = wrong_with_answer(status, body, seconds) or wrong_for(message, body)
    return Verdict(False, why) if why else USEFUL


def wrong_with_answer(status: int, body: Any, seconds: float) -> str:
    """What is wrong with an answer whatever was asked; empty when nothing is."""
    if status != 200:
        return f"http {status}"
    if seconds > USER_S:
        return "late"
    text = body.get("reply") if isinstance(body, dict) else None
    if not isinstance(text, str):
        return "not a reply"
    if not text.strip():
        return "empty"
    if body.get("status") == "apology":
        return "apology"
    if not reads_like_language(text):
        return "garbage"
    return "" if ends_well(text) else "cut off"


def wrong_for(message: Message, body: Mapping[str, Any]) -> str:
    """What makes a proper answer useless for this message; empty when nothing does."""
    handed_over = body.get("status") == "handed_over"
    if message.need in FOR_A_PERSON:
        return "" if handed_over else "no person"
    if handed_over:
        return "needless hand-over"
    text = str(body["reply"])
    if message.need in ABOUT_AN_ORDER and message.order not in text:
        return "not about the order"
    return "" if re.search(WORDS[message.need], text, re.IGNORECASE) else "off topic"


def ends_well(text: str) -> bool:
    """Whether the last sentence came to its end."""
    return text.rstrip().endswith((".", "!", "?", ")", '"'))
