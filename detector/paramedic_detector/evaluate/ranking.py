"""How well root causes are ranked: top-k and mean reciprocal rank, ties at the middle of their places. Pure.

A candidate that the ranking does not name has score 0 and ties with all others that it does not name: saying little
gives no credit for what is left.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from paramedic_detector.values import Ratio


@dataclass(frozen=True, slots=True)
class Ranking:
    """Ranks of the true root cause, one a fault; 1 is the best, halves are ties."""

    ranks: tuple[float, ...]
    candidates: float  # how many there were to choose from, on average

    def top(self, k: int) -> Ratio:
        return Ratio(sum(rank <= k for rank in self.ranks), len(self.ranks))

    @property
    def mrr(self) -> float | None:
        return sum(1 / rank for rank in self.ranks) / len(self.ranks) if self.ranks else None

    def chance(self, k: int) -> float | None:
        """Top-k of a random order of the candidates."""
        return min(1.0, k / self.candidates) if self.ranks and self.candidates else None


def rank_of(roots: Collection[str], scores: Mapping[str, float], candidates: Collection[str]) -> float | None:
    """The place of the best of the true roots; None when none of them is a candidate at all.

    Args:
        roots: Names that are right.
        scores: By name, higher is more suspect; names that are missing have 0.
        candidates: All names that could be meant.
    """
    names = set(candidates) | set(scores)
    values = {name: max(0.0, scores.get(name, 0.0)) for name in names}
    places = [_mid_rank(values, root) for root in roots if root in values]
    return min(places) if places else None


def _mid_rank(values: Mapping[str, float], name: str) -> float:
    mine = values[name]
    above = sum(value > mine for value in values.values())
    level = sum(value == mine for value in values.values())
    return above + (level + 1) / 2


def ranking(ranks: Iterable[float], candidates: Sequence[int]) -> Ranking:
    """Of some faults; `candidates` has one number a fault."""
    return Ranking(tuple(ranks), sum(candidates) / len(candidates) if candidates else 0.0)
