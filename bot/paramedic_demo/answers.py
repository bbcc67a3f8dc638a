"""What Northtrail, the demo's outdoor shop, knows without asking anybody: one topic an intent, and fixed sentences.

    intent --> Topic: facts that go into the prompt, the words it is known by

A rule of the house answers everybody in the same words, with or without a model. Where the customer's own case matters
(a torn strap, a colour in stock) the facts alone would be an evasion, and without a model the bot apologises instead.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

Order = Mapping[str, Any]

NOBODY = "nobody"  # who served an apology

APOLOGY = (
    "I am sorry, I cannot answer you right now because of a problem on our side. Please try again in a few minutes; "
    "nothing has been changed on your orders."
)
ASK_NUMBER = "Gladly. Which order is it about? Please send me its number; it stands in your confirmation mail."
NOT_SURE = (
    "I am not sure that I understand you rightly, so I have passed our conversation on to a colleague, "
    "who will answer you here."
)
TO_A_PERSON = "Of course. I have passed our conversation on to a colleague, who will answer you here."


class Way(Enum):
    """How a topic is answered."""

    FIXED = "fixed"  # the same sentence for everybody; a model would only make it slower
    MODEL = "model"
    ORDER = "order"  # a model, with the order looked up before
    AGENT = "agent"  # a model that looks the order up itself, and a rule that decides
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Topic:
    """What the shop says about one intent."""

    way: Way
    words: str  # a regular expression: who writes about this topic uses one of them
    answer: str = ""  # the facts for the model; for FIXED the answer itself
    general: bool = (
        False  # the facts alone answer everybody who asks; without, it takes a model to fit them to the case
    )

    @property
    def needs_order(self) -> bool:
        return self.way in (Way.ORDER, Way.AGENT)

    @property
    def template(self) -> str:
        """What answers without a model; empty when nothing would."""
        return self.answer if self.general else ""


TOPICS: Mapping[str, Topic] = {
    "greeting": Topic(
        Way.FIXED,
        r"hello|hi\b|hey|good (morning|evening|day)",
        "Hello, welcome to Northtrail! How can I help you today?",
    ),
    "thanks": Topic(Way.FIXED, r"thank|thx|cheers|bye|great", "You are welcome. Have a good time outdoors!"),
    "store_hours": Topic(
        Way.FIXED,
        r"open|close|store|shop|showroom",
        "Our stores in Berlin, Munich and Hamburg are open Monday to Saturday from 10:00 to 19:00, and closed on "
        "Sundays and public holidays.",
    ),
    "discount": Topic(
        Way.FIXED,
        r"discount|code|coupon|voucher|sale|promo",
        "New customers get 10 percent with our newsletter code, which you enter at the last step of the checkout. "
        "One code an order; it does not count for items that are on sale already.",
    ),
    "shipping_info": Topic(
        Way.MODEL,
        r"deliver|ship|courier|parcel|working days",
        "Parcels within the EU take two to four working days. Delivery costs 4.90 euros, above 60 euros it is free, "
        "and express delivery on the next working day costs 12 euros.",
        general=True,
    ),
    "returns_policy": Topic(
        Way.MODEL,
        r"return|send(ing)? .*back|exchange|give it back|swap",
        "You can return anything within 30 days. Open the order, choose Return an item and print the label; the return "
        "is free.",
        general=True,
    ),
    "change_address": Topic(
        Way.MODEL,
        r"address|street|postcode|house number|moved",
        "You can change the delivery address under Orders until the parcel is handed to the courier. After that the "
        "courier's own page lets you send it to a neighbour or a parcel shop.",
        general=True,
    ),
    "payment": Topic(
        Way.MODEL,
        r"pay|card|paypal|charge|checkout|invoice",
        "We take cards, bank transfer and PayPal. A charge that you see twice is a reservation that your bank releases "
        "within two days.",
        general=True,
    ),
    "account_access": Topic(
        Way.MODEL,
        r"password|log ?in|sign|account|code",
        "Choose Forgot password on the sign-in page and we will mail you a link that works for 30 minutes. If nothing "
        "arrives, look into your spam folder first.",
        general=True,
    ),
    "product_availability": Topic(
        Way.MODEL,
        r"stock|available|colou?r|size|sell|left",
        "The product page shows what is in stock today, with sizes and colours. If yours is gone, choose Tell me, and "
        "we write when it is back.",
    ),
    "invoice": Topic(
        Way.MODEL,
        r"invoice|bill|receipt|vat",
        "The invoice stands under Orders as a PDF, where you can also correct the name and the VAT number on it.",
        general=True,
    ),
    "damaged_item": Topic(
        Way.MODEL,
        r"broke|damage|defect|faulty|wrong|missing|crack|torn|photo",
        "I am sorry that it arrived like this. Please send us a photo under Orders, Report a problem; we then send a "
        "new one at once.",
    ),
    "warranty": Topic(
        Way.MODEL,
        r"warranty|guarantee|covered",
        "Everything we sell has a warranty of two years from the day of delivery. Send us a photo and the order number "
        "under Orders, Report a problem.",
    ),
    "order_status": Topic(Way.ORDER, r"order|parcel|package|deliver|arrive|track|shipped|number"),
    "refund_request": Topic(
        Way.AGENT,
        r"refund|money|reimburse|charged|pa(y|id)( me)? back",
        "Refunds go back to the card or account that you paid with, within five working days of our having the parcel "
        "again.",
    ),
    "cancel_order": Topic(
        Way.AGENT, r"cancel|stop|withdraw|undo", "An order can be cancelled until it leaves our warehouse."
    ),
    "human": Topic(Way.PERSON, r"human|person|agent|somebody|someone|complain|call|manager"),
}

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
LONGEST_WORD = 30
LEAST_LETTERS = 0.7  # of a text: letters and spaces
NOT_SENT_YET = ("placed", "paid", "packed")


def is_about(intent: str, text: str) -> bool:
    """Whether a text, a customer's or a model's, uses the words of a topic."""
    return re.search(TOPICS[intent].words, text, re.IGNORECASE) is not None


def order_sentence(order: Order) -> str:
    """The state of an order, in the words that a person would use."""
    status = str(order["status"])
    expected = f" We expect it to reach you on {order['expected_on']}." if order.get("expected_on") else ""
    return f"Your order {order['id']} is {status}: {STATES.get(status, 'our team is looking after it')}.{expected}"


def no_such_order(number: str) -> str:
    return f"I cannot find an order {number} in our book. Please check the number; it stands in your confirmation mail."


def decision(intent: str, order: Order) -> str:
    """What the shop does about a wish to cancel or for a refund. A rule decides about money, never a model."""
    number, status = order["id"], str(order["status"])
    if status == "cancelled":
        return f"Order {number} was cancelled before, so there is nothing left to pay or to pay back."
    if intent == "cancel_order":
        if status in NOT_SENT_YET:
            return f"I have asked the warehouse to cancel order {number}; you will get a mail when it is done."
        return f"Order {number} is {status} and can no longer be cancelled, but you can return it free of charge."
    if status == "returned":
        return f"The refund for order {number} is on its way and reaches you within five working days."
    return f"As soon as order {number} is back with us, the refund reaches you within five working days."


def reads_like_language(text: str) -> bool:
    """Whether a text can be one that a person reads: mostly letters, in words of a believable length."""
    letters = sum(char.isalpha() or char.isspace() for char in text)
    return letters >= LEAST_LETTERS * len(text) and all(len(word) <= LONGEST_WORD for word in text.split())
