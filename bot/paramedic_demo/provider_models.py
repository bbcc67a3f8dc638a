"""The models of the simulated providers: how fast they are, what they cost, how good they are. Data, nothing else."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Model:
    """What a caller can notice about a model."""

    name: str
    usd_per_million_in: float
    usd_per_million_out: float
    first_token_s: float  # median of a lognormal
    first_token_spread: float  # sigma of that lognormal
    tokens_per_s: float
    weak: bool = False  # says less, and leaves out facts


MODELS = {
    model.name: model
    for model in (
        Model("aurora-large", 2.50, 10.00, first_token_s=0.25, first_token_spread=0.35, tokens_per_s=80.0),
        Model("borealis-light", 0.15, 0.60, first_token_s=0.12, first_token_spread=0.30, tokens_per_s=160.0, weak=True),
    )
}


def cost_usd(model: str, input_tokens: int, output_tokens: int) -> float:
    """What a call costs, in US dollars.

    Raises:
        KeyError: There is no such model in the price table.
    """
    price = MODELS[model]
    return (input_tokens * price.usd_per_million_in + output_tokens * price.usd_per_million_out) / 1e6


def tokens_of(text: str) -> int:
    """About how many tokens a text has: four characters make one, as with English and today's vocabularies."""
    return -(-len(text) // 4)
