"""What a call cost, from tokens and a price list that a team can change."""

from datetime import date

import pytest

from paramedic_collector.prices import Prices, PricesInvalid, Rates


@pytest.fixture(scope="module")
def prices():
    return Prices.load()


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "own.yaml"
        path.write_text(text)
        return path

    return write


OWN = """
prices:
  - provider: ours
    models:
      house-model: {input: 1, output: 2}
      gpt-4o: {input: 7, cache_read: 3, output: 8}
      tuned-*: {input: 4, output: 5}
"""


def test_every_price_that_comes_with_it_is_in_order(prices):
    """What is read from a cache is cheaper, what is written is never free: a slip of a decimal point shows."""
    built_in = [one for group in prices._lists for one in group]
    assert len(built_in) >= 40
    for one in built_in:
        rates = one.rates
        assert 0 < rates.cache_read <= rates.input <= rates.output < 200, one
        assert rates.input <= rates.cache_write <= 2 * rates.input, one


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-4o-2024-11-20", "gpt-4o"),
        ("GPT-4o", "gpt-4o"),
        ("openai/gpt-4o-mini", "gpt-4o-mini"),
        ("azure/eu/gpt-4.1", "gpt-4.1"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("claude-opus-4-20250514", "claude-opus-4"),
        ("models/gemini-2.0-flash-001", "gemini-2.0-flash"),
        ("codestral-latest", "codestral"),
        ("amazon.nova-lite-v1:0", "nova-lite"),
    ],
)
def test_a_dated_or_hosted_name_has_the_price_of_its_family(prices, model, family):
    assert prices.rates_of(model) == prices.rates_of(family) is not None


@pytest.mark.parametrize(
    "model", ["gpt-4o-audio-preview", "gpt-4o:free", "gpt-4o-", "gpt", "claude-opus-4-77", "", "llama3:8b"]
)
def test_another_model_of_a_like_name_is_not_guessed(prices, model):
    assert prices.rates_of(model) is None


def test_the_longest_name_wins(prices):
    assert prices.rates_of("gpt-4o-2024-05-13") == Rates(5.0, 15.0, 5.0, 5.0)
    assert prices.rates_of("gpt-4o-2024-08-06") == Rates(2.5, 10.0, 1.25, 2.5)


def test_a_price_holds_from_its_first_day(prices):
    days = [date(2026, 10, 6), date(2026, 10, 7), date.max]
    assert [prices.rates_of("claude-sonnet-5-5", on=day).cache_read for day in days] == [0.2, 0.1, 0.1]


def test_cached_tokens_are_part_of_the_input_and_cost_their_own_rate():
    rates = Rates(input=2.0, output=10.0, cache_read=0.5, cache_write=3.0)
    assert rates.cost_usd(1_000_000, 100_000) == pytest.approx(3.0)
    assert rates.cost_usd(1_000_000, 0, cache_read=600_000, cache_write=300_000) == pytest.approx(0.2 + 0.3 + 0.9)
    assert rates.cost_usd(10, 0, cache_read=1_000_000) == pytest.approx(0.5)  # who counts the cached ones apart


def test_a_teams_own_file_goes_before_the_built_in_list(written, prices):
    own = Prices.load(written(OWN))
    assert own.rates_of("gpt-4o-2024-11-20") == Rates(7.0, 8.0, 3.0, 7.0)
    assert own.rates_of("house-model") == Rates(1.0, 2.0, 1.0, 1.0)
    assert own.rates_of("tuned-anything:v2").output == 5.0
    assert own.rates_of("gpt-4o-mini") == prices.rates_of("gpt-4o-mini")


def test_a_providers_own_price_is_preferred_and_a_routers_name_does_not_matter(written):
    two = "prices:\n" + "".join(
        f"  - provider: {name}\n    models: {{m: {{input: {n}, output: 1}}}}\n" for name, n in (("a*", 1), ("b", 2))
    )
    own = Prices.load(written(two))
    assert [own.rates_of("m", provider).input for provider in ("azure", "b", "router")] == [1.0, 2.0, 1.0]


def test_every_mistake_in_a_file_is_one_sentence(written):
    text = """
prices:
  - provider: x
    sauce: y
    models:
      a: {input: -1, output: 2}
      b: {input: cheap}
      c: {input: 1, output: 2, from: yesterday, cached: 1}
      d: 5
  - models: {}
"""
    with pytest.raises(PricesInvalid) as caught:
        Prices.load(written(text))
    assert caught.value.mistakes == [
        "own.yaml: prices[0].sauce is not known; there are provider, source, checked, models",
        "own.yaml: prices[0].models.a.input must be US dollars for a million tokens, 0 or more, got -1",
        "own.yaml: prices[0].models.b.input must be US dollars for a million tokens, 0 or more, got 'cheap'",
        "own.yaml: prices[0].models.b.output must be US dollars for a million tokens, 0 or more, got None",
        "own.yaml: prices[0].models.c.cached is not known; there are input, output, cache_read, cache_write, from",
        "own.yaml: prices[0].models.c.from must be a day like 2026-10-07, got 'yesterday'",
        "own.yaml: prices[0].models.d must have `input` and `output`, got 5",
        "own.yaml: prices[1] must have `provider` (a pattern or a list of them) and `models`, got {'models': {}}",
    ]


@pytest.mark.parametrize(
    "text", ["prices: 3", "", "- a", "prices: [", "prices: [1]", "prices: [{provider: x, models: {a: [null]}}]"]
)
def test_a_file_of_another_form_is_refused(written, text):
    with pytest.raises(PricesInvalid, match=r"own\.yaml"):
        Prices.load(written(text))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(PricesInvalid, match=r"PARAMEDIC_PRICES: .*none\.yaml cannot be read"):
        Prices.load(tmp_path / "none.yaml")
