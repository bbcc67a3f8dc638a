"""What a call cost: tokens times list prices, for spans that do not say it themselves.

    prices.yaml, and the team's own file before it --load--> Prices --rates_of("gpt-4o-2024-11-20")--> Rates | None

A model's name is matched as its provider, a router or a cloud writes it: `openai/gpt-4o`, `eu.anthropic.claude-...`.
A date, version or "latest" at its end belongs to its family; any other ending is another model, which is not known
rather than guessed: `gpt-4o-mini` is no `gpt-4o`. The longest pattern wins, of equal ones the newest price.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from numpy.typing import NDArray

VARIABLE: Final = "PARAMEDIC_PRICES"
Amounts = float | NDArray[np.float64]
_MILLION: Final = 1_000_000
_RATES: Final = ("input", "output", "cache_read", "cache_write")
_GROUP: Final = ("provider", "source", "checked", "models")
_VERSION: Final = re.compile(r"([-@](\d{4}-\d\d-\d\d|\d{8}|\d{6}|\d{4}|\d{3}|latest|v\d+(:\d+)?))+")
_PREFIX: Final = re.compile(r"^(.*/)?((us|eu|apac|jp|au|global)\.)?((anthropic|amazon|meta|mistral|cohere)\.)?")


class PricesInvalid(ValueError):
    """A file of prices that cannot be used; one sentence a mistake, each names the place, the value and the cure."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars for a million tokens."""

    input: float
    output: float
    cache_read: float
    cache_write: float

    def cost_usd(
        self, input_tokens: Amounts, output_tokens: Amounts, cache_read: Amounts = 0.0, cache_write: Amounts = 0.0
    ) -> Amounts:
        """What a call cost, or each of many calls.

        Args:
            input_tokens: All tokens of the prompt, as `gen_ai.usage.input_tokens` has it: also the cached ones.
            cache_read: Of them, read from a cache.
            cache_write: Of them, written to a cache.
        """
        fresh = np.maximum(0.0, input_tokens - cache_read - cache_write)
        dollars = fresh * self.input + output_tokens * self.output
        usd: Amounts = (dollars + cache_read * self.cache_read + cache_write * self.cache_write) / _MILLION
        return usd


@dataclass(frozen=True, slots=True)
class Price:
    """One line of a price list."""

    providers: tuple[str, ...]  # patterns of gen_ai.provider.name
    model: str  # pattern: a family's name, or with "*" any characters
    begins: date
    rates: Rates

    def fits(self, model: str) -> bool:
        if "*" in self.model:
            return fnmatchcase(model, self.model)
        rest = model.removeprefix(self.model)
        return model == self.model or (rest != model and _VERSION.fullmatch(rest) is not None)


class Prices:
    """Price lists: what an earlier one knows goes before a later one.

    Args:
        lists: The team's own list, then the one that comes with paramedic.
    """

    def __init__(self, *lists: Iterable[Price]) -> None:
        self._lists = tuple(tuple(one) for one in lists)
        self._find = lru_cache(maxsize=4096)(self._look_up)

    @classmethod
    def load(cls, path: str | Path | None = None) -> "Prices":
        """The prices that come with paramedic, and before them those of a file.

        Raises:
            PricesInvalid: The file cannot be read or has mistakes.
        """
        built_in = resources.files("paramedic_collector").joinpath("data/prices.yaml")
        own = _read(Path(path).name, _text(Path(path))) if path else []
        return cls(own, _read("prices.yaml", built_in.read_text(encoding="utf-8")))

    def rates_of(self, model: str, provider: str = "", on: date = date.max) -> Rates | None:
        """The rates of a model; None when it is not in the list.

        Args:
            model: As `gen_ai.request.model` or `gen_ai.response.model` has it.
            provider: As `gen_ai.provider.name` has it, when known: prefers its own price to another's for the same
                model. One that no line names (a router) does not matter.
            on: The day of the call; the newest price when left out.
        """
        return self._find(model, provider, on)

    def _look_up(self, model: str, provider: str, on: date) -> Rates | None:
        names = (model.lower(), _PREFIX.sub("", model.lower()))
        for prices in self._lists:
            found = [one for one in prices if one.begins <= on and any(map(one.fits, names))]
            theirs = [one for one in found if any(fnmatchcase(provider.lower(), pattern) for pattern in one.providers)]
            if found:
                return max(theirs or found, key=lambda one: (len(one.model), one.begins)).rates
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PricesInvalid([f"{VARIABLE}: {path} cannot be read: {error}"]) from None


def _read(name: str, text: str) -> list[Price]:
    mistakes: list[str] = []
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise PricesInvalid([f"{name}: no YAML: {' '.join(str(error).split())}"]) from None
    groups = content.get("prices") if isinstance(content, dict) else None
    if not isinstance(groups, list):
        raise PricesInvalid([f"{name}: must have a list `prices` of groups with `provider` and `models`"])
    found = [price for at, group in enumerate(groups) for price in _group(f"{name}: prices[{at}]", group, mistakes)]
    if mistakes:
        raise PricesInvalid(mistakes)
    return found


def _group(where: str, group: Any, mistakes: list[str]) -> Iterator[Price]:
    if not isinstance(group, dict) or not isinstance(group.get("models"), dict) or not group.get("provider"):
        mistakes.append(f"{where} must have `provider` (a pattern or a list of them) and `models`, got {group!r:.80}")
        return
    mistakes += [f"{where}.{key} is not known; there are {', '.join(_GROUP)}" for key in group if key not in _GROUP]
    one = group["provider"]
    providers = tuple(str(pattern).lower() for pattern in (one if isinstance(one, list) else [one]))
    for model, lines in group["models"].items():
        for line in lines if isinstance(lines, list) else [lines]:
            rates = _rates(f"{where}.models.{model}", line, mistakes)
            if rates is not None:
                yield Price(providers, str(model).lower(), line.get("from", date.min), rates)


def _rates(where: str, line: Any, mistakes: list[str]) -> Rates | None:
    """The rates of a line that has no mistakes."""
    if not isinstance(line, dict):
        mistakes.append(f"{where} must have `input` and `output`, got {line!r:.80}")
        return None
    before = len(mistakes)
    known = (*_RATES, "from")
    mistakes += [f"{where}.{key} is not known; there are {', '.join(known)}" for key in line if key not in known]
    if type(line.get("from", date.min)) is not date:
        mistakes.append(f"{where}.from must be a day like 2026-10-07, got {line['from']!r}")
    for key in _RATES:
        value = line.get(key, None if key in _RATES[:2] else 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _MILLION:
            mistakes.append(f"{where}.{key} must be US dollars for a million tokens, 0 or more, got {value!r}")
    if len(mistakes) > before:
        return None
    return Rates(*(float(line.get(key, line["input"]) or 0) for key in _RATES))
