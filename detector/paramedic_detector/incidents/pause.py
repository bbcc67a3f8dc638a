"""What mostly heals itself is waited for: a short pause, learned by class of alert, before it opens an incident.

    ends of a class: healed? after how long? --four or more, nearly all healed soon--> the next one is waited for

Only weak evidence waits. What is strong, what fails most calls and what users feel opens at once, whatever was learned.
One end that did not heal by itself (somebody had to act, users were hurt, or it lasted) ends the pause for a while.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from paramedic_detector.incidents.blame import LEVELS, blamed
from paramedic_detector.values import Alert

STEPS_S: Final = (5.0, 15.0, 30.0, 60.0)  # pauses to choose from
KEPT: Final = 8  # newest ends of a class
LEAST: Final = 4  # ends before anything is believed
HEALS: Final = 0.85  # share of them that healed by themselves
LONGEST_S: Final = 48.0  # what lasts longer does not count as healing by itself
MARGIN: Final = 1.25  # the pause is this much longer than what healed lasted,
SLACK_S: Final = 2.0  # and by so much: what opened an incident had been there for a moment
STRONG: Final = 10.0  # a score from which nothing is paused
MOST_CALLS: Final = 0.5  # share of calls that are hurt, likewise
FORGET_S: Final = 30 * 86_400.0


class End(NamedTuple):
    """How alerts of one class ended once."""

    at: float
    lasted_s: float
    healed: bool


def class_of(alerts: Sequence[Alert]) -> str:
    """What is learned together: the same way to be abnormal at the same peer, whatever operation or caller shows it."""
    strongest = max(alerts, key=lambda alert: alert.score)
    return f"{strongest.key.family}:{blamed(strongest).peer}#{strongest.signal}"


def may_wait(alerts: Sequence[Alert], entries: Sequence[str]) -> bool:
    """Whether a group is weak and hurts nobody yet.

    Args:
        entries: Services that users call.
    """
    if max(alert.score for alert in alerts) >= STRONG:
        return False
    felt = (alert for alert in alerts if alert.signal not in LEVELS)
    return not any(alert.hurt >= MOST_CALLS or alert.key.part("service") in entries for alert in felt)


class Pauses:
    """How the alerts of each class ended so far; `changed` names what has to be kept."""

    def __init__(self, ends: Mapping[str, Sequence[Sequence[float]]] | None = None) -> None:
        self._ends = {
            name: [End(float(at), float(lasted_s), bool(healed)) for at, lasted_s, healed in known]
            for name, known in (ends or {}).items()
        }
        self._changed: set[str] = set()

    def recall(self, ends: Mapping[str, Sequence[Sequence[float]]]) -> None:
        """Take up what an earlier run learned."""
        self._ends |= Pauses(ends)._ends

    def learn(self, name: str, now: float, lasted_s: float, *, by_itself: bool) -> None:
        """One more end: whether nobody did anything, and nobody was hurt."""
        healed = by_itself and lasted_s <= LONGEST_S
        fresh = [end for end in self._ends.get(name, []) if now - end.at <= FORGET_S]
        self._ends[name] = [*fresh, End(now, lasted_s, healed)][-KEPT:]
        self._changed.add(name)

    def pause_s(self, name: str, now: float) -> float:
        """How long the next one of this class is waited for; 0 for not at all."""
        ends = [end for end in self._ends.get(name, []) if now - end.at <= FORGET_S]
        healed = [end.lasted_s for end in ends if end.healed]
        if len(ends) < LEAST or not ends[-1].healed or len(healed) < HEALS * len(ends):
            return 0.0
        wanted = MARGIN * max(healed) + SLACK_S
        return next((step for step in STEPS_S if step >= wanted), STEPS_S[-1])

    def sentence(self, name: str) -> str:
        ends = self._ends.get(name, [])
        healed = [end.lasted_s for end in ends if end.healed]
        return f"the like healed by itself {len(healed)} of {len(ends)} times, within {max(healed, default=0.0):.0f} s"

    def take_changed(self) -> dict[str, list[list[float]]]:
        """The classes that changed since the last call, as the store keeps them."""
        changed, self._changed = self._changed, set()
        return {name: [[end.at, end.lasted_s, float(end.healed)] for end in self._ends[name]] for name in changed}
