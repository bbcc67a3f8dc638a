"""What a customer wants, and how sure that is: the weights of a scikit-learn classifier, read without scikit-learn.

    text --features--> TF-IDF --weights--> one score an intent --temperature--> Guess(intent, confidence)

`intents_training` fits the classifier and writes the weights beside this file. Importing scikit-learn takes seconds of
a core and 150 MB, and each bot process of each zone would pay that to multiply a few hundred numbers; plain Python
does the same sum in well under a millisecond, and a test compares the two.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).parent / "data"
MODEL_FILE = DATA / "intents_model.json"
ORDER_NUMBER = re.compile(r"(?<!\d)(?:#|\bord-?)?(\d{4,8})(?!\d)", re.IGNORECASE)
ENDINGS = ("ing", "ies", "ed", "es", "s")
PIECE = 4  # letters of the pieces by which a misspelled word is still recognised


@dataclass(frozen=True, slots=True)
class Guess:
    """An intent, and the calibrated probability that it is the right one."""

    intent: str
    confidence: float


class IntentModel:
    """A fitted classifier: inverse document frequencies, one row of weights a feature, a temperature.

    Args:
        intents: Names, in the order of the weights.
        intercepts: One an intent.
        weights: Of each known feature: its inverse document frequency, then one weight an intent.
        sharpness: Inverse temperature, fitted on held-out folds so that confidences are probabilities.
    """

    def __init__(
        self,
        intents: Sequence[str],
        intercepts: Sequence[float],
        weights: Mapping[str, Sequence[float]],
        sharpness: float,
    ) -> None:
        self.intents, self._intercepts = tuple(intents), tuple(intercepts)
        self._weights, self._sharpness = weights, sharpness

    @classmethod
    def load(cls, path: Path = MODEL_FILE) -> "IntentModel":
        raw = json.loads(path.read_text())
        return cls(raw["intents"], raw["intercepts"], raw["weights"], raw["sharpness"])

    def guess(self, text: str) -> Guess:
        """The likeliest intent. A text without a known word gets a confidence near the share of a blind guess."""
        chances = self.chances(text)
        best = max(range(len(chances)), key=chances.__getitem__)
        return Guess(self.intents[best], chances[best])

    def chances(self, text: str) -> list[float]:
        """Probability of each of `intents`."""
        scores = list(self._intercepts)
        for value, row in self._vector(text):
            for index, weight in enumerate(row[1:]):
                scores[index] += value * weight
        return softmax([self._sharpness * score for score in scores])

    def _vector(self, text: str) -> list[tuple[float, Sequence[float]]]:
        counts = Counter(feature for feature in features(text) if feature in self._weights)
        rows = [((1 + math.log(count)) * self._weights[name][0], self._weights[name]) for name, count in counts.items()]
        length = math.sqrt(sum(value * value for value, _ in rows)) or 1.0
        return [(value / length, row) for value, row in rows]


def features(text: str) -> list[str]:
    """The word stems of a text and, marked with "#", the pieces of its words; order numbers are one word."""
    plain = ORDER_NUMBER.sub(" ordernumber ", text.lower().replace("'", ""))
    words = re.findall(r"[a-z]+", re.sub(r"\d+", " number ", plain))
    return [stem(word) for word in words] + [piece for word in words for piece in pieces(word)]


def stem(word: str) -> str:
    ending = next((end for end in ENDINGS if word.endswith(end) and len(word) - len(end) >= 3), "")
    return word.removesuffix(ending)


def pieces(word: str) -> list[str]:
    framed = f"_{word}_"
    return ["#" + framed[start : start + PIECE] for start in range(max(1, len(framed) - PIECE + 1))]


def softmax(scores: Sequence[float]) -> list[float]:
    highest = max(scores)
    powers = [math.exp(score - highest) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]


def order_number(text: str) -> str | None:
    """The last order number in a text, as the order book writes it; None when there is none."""
    found = ORDER_NUMBER.findall(text)
    return str(found[-1]) if found else None
