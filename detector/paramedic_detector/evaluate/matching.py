"""Which opening of an incident tells of which labelled fault. Pure.

    opens in [start, end + 60 s] of one fault     -> that fault is found
    ... of several                                -> the one that it blames, else the last one begun that has none yet
    opens there while the fault has one already   -> extra: a second incident for one cause
    opens elsewhere                               -> outside, explained when a known unlabelled injection lies there

An opening tells of one fault at most: two causes must give two incidents.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from paramedic_detector.evaluate.truth import GRACE_S, Fault, Opening, Span, inside


@dataclass(frozen=True, slots=True)
class Matches:
    """Every opening once."""

    of: tuple[Opening | None, ...]  # in the order of the faults; None: missed
    extra: tuple[Opening, ...]
    explained: tuple[Opening, ...]  # outside of all labels, inside an injection that is known and not labelled
    outside: tuple[Opening, ...]  # outside of everything

    @property
    def found(self) -> int:
        return sum(opening is not None for opening in self.of)


def match(faults: Sequence[Fault], openings: Sequence[Opening], unlabelled: Sequence[Span] = ()) -> Matches:
    """Give each fault its first opening, and say what the other openings are."""
    chosen: dict[int, Opening] = {}
    extra: list[Opening] = []
    beside: list[Opening] = []
    for opening in sorted(openings, key=lambda one: (one.at, one.id)):
        places = [place for place, fault in enumerate(faults) if fault.window[0] <= opening.at <= fault.window[1]]
        free = [place for place in places if place not in chosen]
        if free:
            best = max(free, key=lambda place: (opening.target in faults[place].roots, faults[place].start))
            chosen[best] = opening
        else:
            (extra if places else beside).append(opening)
    explained = [opening for opening in beside if inside(opening.at, unlabelled, GRACE_S)]
    return Matches(
        of=tuple(chosen.get(place) for place in range(len(faults))),
        extra=tuple(extra),
        explained=tuple(explained),
        outside=tuple(opening for opening in beside if opening not in explained),
    )
