"""The intent classifier: how right it is on texts that it has not seen, and whether its confidence can be believed."""

from collections import Counter

import pytest
from sklearn.model_selection import train_test_split

from paramedic_demo.intents import MODEL_FILE, Guess, IntentModel, features, order_number
from paramedic_demo.intents_training import digest, fit, model_of, read_examples
from paramedic_demo.load.conversations import TEXTS, Need
from paramedic_demo.support_bot.turns import LIKELY, SURE

INTENT_OF = {
    Need.GREETING: "greeting",
    Need.ORDER_STATUS: "order_status",
    Need.ASK_NUMBER: "order_status",
    Need.FOLLOW_UP: "order_status",
    Need.REFUND: "refund_request",
    Need.CANCEL: "cancel_order",
    Need.SHIPPING: "shipping_info",
    Need.RETURNS: "returns_policy",
    Need.ADDRESS: "change_address",
    Need.PAYMENT: "payment",
    Need.ACCOUNT: "account_access",
    Need.STOCK: "product_availability",
    Need.INVOICE: "invoice",
    Need.DAMAGED: "damaged_item",
    Need.WARRANTY: "warranty",
    Need.STORES: "store_hours",
    Need.DISCOUNT: "discount",
    Need.THANKS: "thanks",
    Need.PERSON: "human",
}


@pytest.fixture(scope="module")
def held_out():
    """A quarter of the training set, stratified by intent with seed 1, and a classifier that has seen the rest only."""
    texts, intents = read_examples()
    seen, unseen, seen_intents, unseen_intents = train_test_split(
        texts, intents, test_size=0.25, random_state=1, stratify=intents
    )
    return fit(seen, seen_intents), unseen, unseen_intents


@pytest.fixture(scope="module")
def guesses(held_out) -> list[tuple[Guess, str]]:
    fitted, texts, intents = held_out
    model = model_of(fitted)
    return [(model.guess(text), intent) for text, intent in zip(texts, intents, strict=True)]


@pytest.fixture(scope="module")
def shipped() -> IntentModel:
    return IntentModel.load()


def share_right(guesses: list[tuple[Guess, str]]) -> float:
    return sum(guess.intent == intent for guess, intent in guesses) / len(guesses)


def test_the_training_set_has_twelve_intents_of_25_different_texts_and_more():
    texts, intents = read_examples()
    assert len({text.lower() for text in texts}) == len(texts)
    assert len(set(intents)) >= 12
    assert min(Counter(intents).values()) >= 25


def test_of_unseen_texts_at_least_85_percent_are_understood(guesses):
    assert share_right(guesses) >= 0.85


def test_a_sure_guess_is_nearly_always_right_and_an_unsure_one_often_is_not(guesses):
    """What lets a bot answer at once from 0.9 on, and hand over below 0.7."""
    sure = [pair for pair in guesses if pair[0].confidence >= SURE]
    unsure = [pair for pair in guesses if pair[0].confidence < LIKELY]
    assert share_right(sure) >= 0.93
    assert len(sure) >= 0.6 * len(guesses)
    assert share_right(unsure) <= 0.75


def test_plain_python_gives_the_probabilities_of_scikit_learn(held_out):
    fitted, texts, _ = held_out
    model = model_of(fitted)
    for text, wanted in zip(texts, fitted.predict_proba(texts), strict=True):
        assert model.chances(text) == pytest.approx(wanted, abs=0.01)


def test_the_weights_that_ship_were_trained_on_the_set_that_ships():
    assert f'"trained_on":"{digest()}"' in MODEL_FILE.read_text()[:200].replace(" ", ""), (
        "run: python -m paramedic_demo.intents_training"
    )


def test_the_intents_that_ship_are_those_of_the_set(shipped):
    assert set(shipped.intents) == set(read_examples()[1])


def test_no_text_of_the_customers_was_trained_on():
    trained = {text.lower() for text in read_examples()[0]}
    assert not [text for texts in TEXTS.values() for text in texts if text.lower() in trained]


@pytest.mark.parametrize("need", INTENT_OF, ids=lambda need: need.value)
def test_what_customers_write_is_understood(shipped, need):
    for text in TEXTS[need]:
        guess = shipped.guess(text.format(order="10234"))
        assert guess.intent == INTENT_OF[need], text
        assert guess.confidence >= LIKELY, text


def test_what_nobody_could_understand_is_left_to_a_person(shipped):
    assert not [text for text in TEXTS[Need.VAGUE] if shipped.guess(text).confidence >= LIKELY]


def test_some_of_what_customers_write_needs_the_second_look(shipped):
    confidences = [shipped.guess(text.format(order="10234")).confidence for text in TEXTS[Need.ORDER_STATUS]]
    assert any(LIKELY <= confidence < SURE for confidence in confidences)


def test_a_text_without_a_known_word_is_anything_but_sure(shipped):
    assert shipped.guess("ξψζ").confidence < 0.3


def test_the_chances_are_a_distribution(shipped):
    chances = shipped.chances("where is my order 10234?")
    assert sum(chances) == pytest.approx(1.0)
    assert len(chances) == len(shipped.intents)


@pytest.mark.parametrize("written", ["10234", "#10234", "ORD-10234", "ord-10234"])
def test_an_order_number_is_found_and_is_one_word_however_it_is_written(written):
    assert order_number(f"it is {written}, thanks") == "10234"
    assert "ordernumber" in features(f"it is {written}, thanks")


@pytest.mark.parametrize("text", ["size 42", "I bought it in week 7", "123456789012", "no number at all"])
def test_other_numbers_are_no_order_numbers(text):
    assert order_number(text) is None
