"""What was changed on purpose before an incident: new versions, settings, flags. Context, never a verdict.

series with a version that was not there a moment ago --> Change     people and pipelines --POST--> Change
an incident --the half hour before it, at the services concerned--> its changes, the latest first
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_collector.windows import SeriesKey
from paramedic_detector.series.table import SeriesTable

BEFORE_S: Final = 1800.0  # changes this long before an incident may have to do with it
KNOWN_S: Final = 60.0  # a service must have been seen for so long before a version of it is new
MOST: Final = 5  # changes told with an incident
BACK_S: Final = 3600.0  # how far `changes_of` looks


@dataclass(frozen=True, slots=True)
class Change:
    """One change."""

    at: float  # unix seconds
    kind: str  # "deploy", "config", "flag", ... as the sender says it
    service: str  # "" is everywhere
    text: str  # one sentence
    version: str = ""
    by: str = ""


class Deploys:
    """Notices versions of services as they appear; what is there at the start is no news."""

    def __init__(self) -> None:
        self._looked = 0  # series of the table that were looked at
        self._since: dict[str, float] = {}  # service -> when it was first seen
        self._versions: dict[str, dict[str, float]] = defaultdict(dict)  # service -> version -> when first seen

    def follow(self, table: SeriesTable, now: float) -> list[Change]:
        """The versions that are new since the last call; costs nothing while no series is new."""
        at_start, found = self._looked == 0, []
        fresh, self._looked = table.keys[self._looked :], table.size
        for key in fresh:
            service, version = (key.part("service"), key.part("version")) if key.family == "op" else ("", "")
            if not (service and version) or version in self._versions[service]:
                continue
            since = self._since.setdefault(service, -KNOWN_S if at_start else now)
            known = self._versions[service]
            if known and now - since >= KNOWN_S:
                found.append(_deploy(service, version, now, max(known, key=lambda name: known[name])))
            known[version] = now
        return found


def changes_of(table: SeriesTable, now: float) -> list[Change]:
    """The deploys that the table itself shows, oldest first: versions of services that were there before them.

    For whoever has no `Deploys` that followed along; looks back an hour at most, and only at services that ran in
    more than one version.
    """
    numbers: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number in table.matching(SeriesKey("op", ("*",) * 7)):
        key = table.keys[int(number)]
        if key.part("version"):
            numbers[key.part("service")][key.part("version")].append(int(number))
    several = {service: versions for service, versions in numbers.items() if len(versions) > 1}
    if not several:
        return []
    first = _first_seen(table, now)
    return sorted((one for service in several for one in _of(service, several[service], first)), key=lambda one: one.at)


def concerning(changes: Iterable[Change], services: Collection[str], onset: float, now: float) -> list[Change]:
    """Those that may have to do with an incident of these services, the latest before its onset first."""
    mine = [
        one for one in changes if onset - BEFORE_S <= one.at <= now and (not one.service or one.service in services)
    ]
    return sorted(mine, key=lambda one: (one.at > onset, abs(onset - one.at)))[:MOST]


def _of(service: str, versions: dict[str, list[int]], first: NDArray[np.float64]) -> list[Change]:
    seen = {version: float(np.min(first[numbers])) for version, numbers in versions.items()}
    order = sorted((version for version in seen if np.isfinite(seen[version])), key=lambda version: seen[version])
    return [
        _deploy(service, version, seen[version], before)
        for before, version in pairwise(order)
        if seen[version] - seen[order[0]] >= KNOWN_S
    ]


def _first_seen(table: SeriesTable, now: float) -> NDArray[np.float64]:
    """(size,) start of the first slot in which each series has anything; infinity for none."""
    first = np.full(table.size, np.inf)
    for slot in reversed(table.slots(now - BACK_S, now + 1)):
        first[slot.cells.idx] = slot.ts
    return first


def _deploy(service: str, version: str, at: float, before: str) -> Change:
    return Change(at, "deploy", service, f"{service} runs version {version}, before it {before}", version=version)
