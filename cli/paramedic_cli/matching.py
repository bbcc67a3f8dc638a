"""Which incident tells of which fault. Pure.

opened while a fault was injected, right target      -> the fault's incident
opened while a fault was injected, nothing better    -> the fault's incident, with the wrong target
opened then, or within GRACE_S after, right target   -> extra: a second incident for one fault, or a late one
anything else                                        -> false
"""

from collections.abc import Sequence
from dataclasses import dataclass

from paramedic_cli.evidence import IncidentSeen, Injection

GRACE_S = 30.0  # how long after its end a fault may still echo


@dataclass(frozen=True, slots=True)
class Matches:
    """Every incident once: one a fault at most, the rest extra or false."""

    of: tuple[IncidentSeen | None, ...]  # in the order of the injections; None: not detected
    extra: tuple[IncidentSeen, ...]
    false: tuple[IncidentSeen, ...]


def match(injections: Sequence[Injection], incidents: Sequence[IncidentSeen]) -> Matches:
    """Give each fault its incident; one with the right target is preferred to an earlier one without."""
    left = sorted(incidents, key=lambda i: i.opened_at)
    chosen: dict[int, IncidentSeen] = {}
    for right_target in (True, False):
        for place, injection in enumerate(injections):
            if place in chosen:
                continue
            found = next((i for i in left if _tells_of(i, injection, right_target=right_target)), None)
            if found:
                chosen[place] = found
                left.remove(found)
    extra = tuple(i for i in left if any(_echoes(i, injection) for injection in injections))
    return Matches(
        of=tuple(chosen.get(place) for place in range(len(injections))),
        extra=extra,
        false=tuple(i for i in left if i not in extra),
    )


def _tells_of(incident: IncidentSeen, injection: Injection, *, right_target: bool) -> bool:
    in_time = injection.injected_at <= incident.opened_at <= injection.healed_at
    return in_time and (not right_target or incident.target == injection.target)


def _echoes(incident: IncidentSeen, injection: Injection) -> bool:
    in_time = injection.injected_at <= incident.opened_at <= injection.healed_at + GRACE_S
    return in_time and incident.target == injection.target
