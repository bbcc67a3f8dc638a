"""What customers write, and what would be of use to them. None of these texts stands in the training set.

    SCRIPTS: kinds of conversations, as the needs of their turns --> TEXTS: several ways to say each

Some messages are rightly for a person: who asks for one, and who is so vague that nobody could know what is meant. Only
for these is a hand-over of use; a question that the shop answers every day must be answered.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Need(Enum):
    """What a message is after."""

    GREETING = "greeting"
    ORDER_STATUS = "order_status"
    ASK_NUMBER = "ask_number"  # about an order without its number: to be asked for it is of use
    NUMBER = "number"  # the number, after being asked: the state of the order is of use
    FOLLOW_UP = "follow_up"  # about the order that was named before
    REFUND = "refund"
    CANCEL = "cancel"
    SHIPPING = "shipping"
    RETURNS = "returns"
    ADDRESS = "address"
    PAYMENT = "payment"
    ACCOUNT = "account"
    STOCK = "stock"
    INVOICE = "invoice"
    DAMAGED = "damaged"
    WARRANTY = "warranty"
    STORES = "stores"
    DISCOUNT = "discount"
    THANKS = "thanks"
    PERSON = "person"
    VAGUE = "vague"


@dataclass(frozen=True, slots=True)
class Script:
    """A kind of conversation and how often it comes, compared with the others."""

    weight: int
    needs: tuple[Need, ...]


N = Need
SCRIPTS = (
    Script(14, (N.GREETING, N.ORDER_STATUS, N.THANKS)),
    Script(10, (N.ORDER_STATUS, N.FOLLOW_UP, N.THANKS)),
    Script(8, (N.ASK_NUMBER, N.NUMBER, N.SHIPPING)),
    Script(8, (N.GREETING, N.SHIPPING, N.PAYMENT, N.THANKS)),
    Script(8, (N.RETURNS, N.REFUND, N.THANKS)),
    Script(6, (N.CANCEL, N.THANKS)),
    Script(5, (N.GREETING, N.ACCOUNT, N.ACCOUNT)),
    Script(5, (N.STOCK, N.SHIPPING, N.DISCOUNT)),
    Script(5, (N.DAMAGED, N.RETURNS, N.WARRANTY)),
    Script(4, (N.ORDER_STATUS, N.ADDRESS, N.THANKS)),
    Script(4, (N.INVOICE, N.PAYMENT)),
    Script(3, (N.STORES, N.STOCK)),
    Script(3, (N.GREETING, N.DISCOUNT, N.THANKS)),
    Script(3, (N.ORDER_STATUS, N.REFUND, N.PERSON)),
    Script(2, (N.VAGUE, N.ORDER_STATUS, N.THANKS)),
    Script(2, (N.GREETING, N.VAGUE, N.PERSON)),
)

TEXTS: Mapping[Need, tuple[str, ...]] = {
    N.GREETING: (
        "hello, can you help me please?",
        "hi there, I have a question",
        "good morning, I need some help please",
        "hey, is anyone there?",
        "hello, I have a quick question",
        "good evening, can you help?",
    ),
    N.ORDER_STATUS: (
        "where is my order {order}?",
        "could you tell me the status of order {order} please?",
        "I am still waiting for order {order}, where is it?",
        "when will my order {order} arrive?",
        "has order {order} been shipped already?",
        "please track order {order} for me",
        "can you check where my parcel is, order {order}",
        "any update on my order {order}?",
        "did order {order} leave the warehouse?",
    ),
    N.ASK_NUMBER: (
        "where is my parcel?",
        "can you tell me where my order is?",
        "I am waiting for my order, when does it arrive?",
        "my package still has not arrived, where is it?",
    ),
    N.NUMBER: ("{order}", "it is {order}", "the number is {order}", "order number {order}", "#{order}", "ORD-{order}"),
    N.FOLLOW_UP: (
        "and when will my order arrive?",
        "was my order shipped already?",
        "can you tell me where my order is now?",
        "when can I expect my order?",
    ),
    N.REFUND: (
        "I would like a refund for order {order}",
        "please refund my order {order}",
        "can I get my money back for order {order}?",
        "I want my money back for {order} please",
        "I am waiting for the refund of order {order}",
        "pay me back for {order}",
    ),
    N.CANCEL: (
        "please cancel my order {order}",
        "I want to cancel order {order}, is that possible?",
        "can I still cancel {order}?",
        "could you cancel order {order} for me please?",
        "I need to cancel order {order}",
    ),
    N.SHIPPING: (
        "how long does your delivery take?",
        "do you deliver to spain and how long does shipping take?",
        "what does delivery cost to italy?",
        "how much is shipping to france?",
        "do you ship to denmark?",
        "how many days does shipping take?",
    ),
    N.RETURNS: (
        "how can I return an item?",
        "what is your return policy for shoes?",
        "how do I return a jacket that does not fit?",
        "can I return something after two weeks?",
        "how many days do I have for a return?",
    ),
    N.ADDRESS: (
        "can I change my delivery address?",
        "I moved, how do I change the delivery address?",
        "the delivery address is wrong, can you change it?",
        "how can I update my address?",
    ),
    N.PAYMENT: (
        "which payment methods do you take?",
        "can I pay by paypal?",
        "do you accept credit cards?",
        "how can I pay, do you accept paypal?",
        "can I pay with my card?",
    ),
    N.ACCOUNT: (
        "I forgot my password, what can I do?",
        "I can't log in to my account",
        "how can I reset the password of my account?",
        "my login does not work any more",
        "my account is locked, can you help?",
    ),
    N.STOCK: (
        "is the rain jacket in stock?",
        "when will the wool jumper be available again?",
        "are the trail shoes in stock in size 42?",
        "do you have the tent in stock?",
        "is the sleeping mat available in another colour?",
    ),
    N.INVOICE: (
        "where can I find the invoice of my order?",
        "please send me an invoice",
        "I need an invoice for my company",
        "how do I download my invoice?",
    ),
    N.DAMAGED: (
        "my jacket arrived damaged",
        "the tent is broken, one pole is missing",
        "the bottle arrived broken",
        "my head torch is defective",
        "the delivered shoes are damaged",
    ),
    N.WARRANTY: (
        "how long is the warranty on the tent?",
        "do you give a warranty on boots?",
        "is my rucksack still under warranty?",
        "what does the warranty cover?",
    ),
    N.STORES: (
        "what are the opening hours of your store?",
        "when is your store in munich open?",
        "are your shops open on saturday?",
        "do you have a store in berlin?",
    ),
    N.DISCOUNT: (
        "do you have a discount code for new customers?",
        "my discount code does not work",
        "is there a voucher that I can use?",
        "do you have a student discount code?",
    ),
    N.THANKS: (
        "thank you very much, that is all",
        "thanks for your help",
        "great, thank you, bye",
        "ok thanks a lot",
        "perfect, thank you so much",
    ),
    N.PERSON: (
        "I want to talk to a real person please",
        "can I speak to a human?",
        "please connect me to an agent",
        "let me talk to a real human",
    ),
    N.VAGUE: (
        "hmm it is somehow odd, no?",
        "it went blue again",
        "so like last time but the other way round",
        "well you know what I mean",
        "it hums at night",
        "yesterday it was green and now this",
    ),
}
