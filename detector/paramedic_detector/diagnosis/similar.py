"""Earlier incidents that looked alike: what it was then is a good guess at what it is now.

Two incidents are alike as far as the same series were abnormal in the same ways (Jaccard's index of their
fingerprints). Fingerprints name zones and versions; the same trouble in another zone is alike too, only less.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence, Set
from dataclasses import dataclass
from typing import Final

from paramedic_collector.windows import ALERT_KEYS, KEYS

LEAST: Final = 0.1  # likeness that is worth showing
LOOSELY: Final = 0.5  # weight of what is the same but for place and version
POWER: Final = 2.0  # votes grow faster than likeness
_PLACE: Final = frozenset({"zone", "version", "instance"})


@dataclass(frozen=True, slots=True)
class PastIncident:
    """An incident that is over."""

    id: str
    fingerprints: frozenset[str]  # of its alerts
    target: str = ""  # the root cause: what people confirmed, else what we said
    fault_class: str = ""
    confirmed: bool = False  # by people, or by a treatment that was verified
    opened_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Similar:
    """An earlier incident, and how much it is alike: 0 to 1."""

    incident: PastIncident
    likeness: float


def likeness(one: Set[Hashable], other: Set[Hashable]) -> float:
    """Jaccard's index: what they share, of all that either has; 0 for two empty ones."""
    both = len(one | other)
    return len(one & other) / both if both else 0.0


def similar(fingerprints: Set[str], past: Sequence[PastIncident], most: int = 5) -> list[Similar]:
    """The earlier incidents that are most alike, the most alike first and the latest among equals.

    Args:
        fingerprints: Of the alerts of the incident now.
        past: Earlier incidents, in any order.
        most: How many to give.
    """
    loose = frozenset(map(without_place, fingerprints))
    found = []
    for incident in past:
        exact = likeness(fingerprints, incident.fingerprints)
        about = likeness(loose, frozenset(map(without_place, incident.fingerprints)))
        like = (1 - LOOSELY) * exact + LOOSELY * about
        if like >= LEAST:
            found.append(Similar(incident, like))
    return sorted(found, key=lambda one: (-one.likeness, -one.incident.opened_at, one.incident.id))[:most]


def votes(found: Sequence[Similar], confirmed_only: bool = True) -> dict[tuple[str, str], float]:
    """How strongly they speak for each (target, fault class): 0 to 1, the strongest first; empty without any."""
    total: dict[tuple[str, str], float] = defaultdict(float)
    for one in found:
        if one.incident.target and (one.incident.confirmed or not confirmed_only):
            total[one.incident.target, one.incident.fault_class] += one.likeness**POWER
    most = max(total.values(), default=0.0)
    strongest = max((one.likeness for one in found), default=0.0)
    shares = {what: strongest * vote / most for what, vote in total.items()}
    return dict(sorted(shares.items(), key=lambda pair: (-pair[1], pair[0])))


def without_place(fingerprint: str) -> str:
    """A fingerprint with its zone, version and instance left open."""
    name, _, signal = fingerprint.partition("#")
    family, _, rest = name.partition(":")
    columns, parts = KEYS.get(family) or ALERT_KEYS.get(family) or (), rest.split("/")
    if len(parts) != len(columns):  # a name with a slash in it: as it is
        return fingerprint
    kept = ["*" if column in _PLACE else part for column, part in zip(columns, parts, strict=True)]
    return f"{family}:{'/'.join(kept)}#{signal}"
