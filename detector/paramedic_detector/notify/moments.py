"""When an incident is worth a message: one when it was treated and nobody has to do anything, else at most three.

    opened --treated, and it works----------------------------> TREATED
           --5 s, and a person must do something--------------> NEEDS_YOU
           --10 s, and nothing is being tried-----------------> NOT_TREATED
           --45 s, and the treatment is still being judged----> STILL_JUDGING
    told, and later a person must do something ---------------> NEEDS_YOU (once)
    resolved -------------------------------------------------> CLOSED (once; only to people who were left in doubt,
                                                                or who were told nothing of a treatment)

"Treated, and it works" leaves nobody waiting: that it is over later stands on the incident's page. A channel that
can neither edit nor thread gets nothing else. The first ten seconds also filter what comes and goes by itself.
"""

from collections.abc import Set
from dataclasses import dataclass
from enum import StrEnum


class Moment(StrEnum):
    """Why a message goes out now, or why none does."""

    TREATED = "treated"
    NEEDS_YOU = "needs_you"
    NOT_TREATED = "not_treated"
    STILL_JUDGING = "still_judging"
    CLOSED = "closed"
    # no message
    TOO_EARLY = "too_early"
    NOTHING_NEW = "nothing_new"
    NOBODY_WAITS = "nobody_waits"  # it is over, and nobody was left in doubt


MESSAGES = frozenset({Moment.TREATED, Moment.NEEDS_YOU, Moment.NOT_TREATED, Moment.STILL_JUDGING, Moment.CLOSED})
OPENINGS = MESSAGES - {Moment.CLOSED}


@dataclass(frozen=True, slots=True)
class Standing:
    """What the rule looks at."""

    age_s: float  # since the incident opened
    resolved: bool
    needs_you: bool
    working: bool  # a treatment was verified
    trying: bool  # a treatment is under way and not judged yet
    ever_acted: bool


@dataclass(frozen=True, slots=True)
class Pace:
    person_s: float = 5.0
    untreated_s: float = 10.0
    judging_s: float = 45.0


def moment(now: Standing, told: Set[Moment], pace: Pace = Pace()) -> Moment:
    """Which message is due.

    Args:
        now: How the incident stands.
        told: The messages that were written already, whether they have arrived or not.
        pace: How long the first message waits for something to say.
    """
    if now.resolved:
        return _closing(now, told)
    if told & OPENINGS:
        late = now.needs_you and Moment.NEEDS_YOU not in told and Moment.NOT_TREATED not in told
        return Moment.NEEDS_YOU if late and Moment.CLOSED not in told else Moment.NOTHING_NEW
    if now.working:
        return Moment.TREATED
    if now.needs_you and now.age_s >= pace.person_s:
        return Moment.NEEDS_YOU
    if not now.trying and now.age_s >= pace.untreated_s:
        return Moment.NOT_TREATED
    return Moment.STILL_JUDGING if now.age_s >= pace.judging_s else Moment.TOO_EARLY


def _closing(now: Standing, told: Set[Moment]) -> Moment:
    if Moment.CLOSED in told:
        return Moment.NOTHING_NEW
    in_doubt = told - {Moment.TREATED} if told else now.ever_acted
    return Moment.CLOSED if in_doubt else Moment.NOBODY_WAITS
