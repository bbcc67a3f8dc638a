"""How well status texts are grouped into incidents: pairs of texts of one source that are put together rightly. Pure.

true pairs found / true pairs = recall      true pairs found / pairs found = precision      their harmonic mean: F1
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from paramedic_detector.incidents.texts import Update

RULE_S: Final = 180 * 60.0  # the rule that others are measured by: a pause this long begins a new incident


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of texts that belong together: in truth, as grouped, and both."""

    true: int
    grouped: int
    both: int

    @property
    def precision(self) -> float | None:
        return self.both / self.grouped if self.grouped else None

    @property
    def recall(self) -> float | None:
        return self.both / self.true if self.true else None

    @property
    def f1(self) -> float | None:
        return 2 * self.both / (self.true + self.grouped) if self.true + self.grouped else None


@dataclass(frozen=True, slots=True)
class TextGroups:
    """A grouping beside the truth and beside the rule of a pause."""

    texts: int
    incidents: int  # in truth
    groups: int  # as grouped
    ours: Pairs
    rule: Pairs
    by_source: dict[str, Pairs]


def text_groups(
    updates: Sequence[Update], cases: Sequence[str], group: Callable[[Sequence[Update]], Sequence[int]]
) -> TextGroups:
    """Group the texts without looking at `cases`, then compare.

    They are handed over in order of time and, at one moment, of their words: the order of a file tells nothing.

    Args:
        updates: In any order.
        cases: The true incident of each.
        group: Gives each update the number of its incident; see `group_updates`.
    """
    order = sorted(range(len(updates)), key=lambda place: (updates[place].at, updates[place].text))
    updates, cases = [updates[place] for place in order], [cases[place] for place in order]
    labels = [str(label) for label in group(updates)]
    ruled = pause_rule(updates)
    sources = [update.source for update in updates]
    return TextGroups(
        texts=len(updates),
        incidents=len(set(zip(sources, cases, strict=True))),
        groups=len(set(zip(sources, labels, strict=True))),
        ours=pairs(sources, cases, labels),
        rule=pairs(sources, cases, ruled),
        by_source={
            source: pairs(*_only(source, sources, cases, labels)) for source in sorted(set(sources), key=sources.index)
        },
    )


def pause_rule(updates: Sequence[Update], pause_s: float = RULE_S) -> list[str]:
    """What a rule alone does: texts of one source belong together until a pause of `pause_s` seconds."""
    labels, last, number = [""] * len(updates), dict[str, float](), Counter[str]()
    for place in sorted(range(len(updates)), key=lambda place: (updates[place].at, place)):
        update = updates[place]
        if update.at - last.get(update.source, float("-inf")) > pause_s:
            number[update.source] += 1
        last[update.source] = update.at
        labels[place] = str(number[update.source])
    return labels


def pairs(sources: Sequence[str], cases: Sequence[str], labels: Sequence[str]) -> Pairs:
    """Pairs within a source, counted by the sizes of groups and not one by one."""
    return Pairs(
        true=_pairs_of(Counter(zip(sources, cases, strict=True))),
        grouped=_pairs_of(Counter(zip(sources, labels, strict=True))),
        both=_pairs_of(Counter(zip(sources, cases, labels, strict=True))),
    )


def _pairs_of(sizes: Counter[tuple[str, str]] | Counter[tuple[str, str, str]]) -> int:
    return sum(size * (size - 1) // 2 for size in sizes.values())


def _only(source: str, sources: Sequence[str], *columns: Sequence[str]) -> list[list[str]]:
    mine = [place for place, one in enumerate(sources) if one == source]
    return [[column[place] for place in mine] for column in (sources, *columns)]
