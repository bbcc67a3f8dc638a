"""What is different at a moment: the happenings of a plan, by whom they strike, in a stretch of time."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_detector.simulate.kinds import KINDS, USERS
from paramedic_detector.simulate.plan import Happening, Plan

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Zones = NDArray[np.int16]
RESTART_S: Final = 5.0  # until a process that ran out of memory is there again
COLD_S: Final = 1.5  # after a start, a process is slow
LEAK_SLOWS: Final = 0.6  # from this share of its memory on
DEFAULT_PARAMETER: Final = 0.0


def parameter(one: Happening, name: str) -> float:
    """The value of a parameter, or its default."""
    return float(one.parameters.get(name, KINDS[one.kind].parameters[name].default))


def full_after_s(leak: Happening) -> float:
    """Seconds from the beginning of a leak until the process is full."""
    return parameter(leak, "full_after_s") or 0.7 * (leak.until_s - leak.at_s)


class Effects:
    """The happenings of one plan; times are unix seconds."""

    def __init__(self, plan: Plan, zones: tuple[str, ...]) -> None:
        self._start, self._zones = plan.start, zones
        self._all = plan.happenings
        self._now: dict[str, list[Happening]] = {}

    def look(self, begin: float, end: float) -> None:
        """Find what goes on in a stretch of time; the other questions are about it."""
        self._now = {}
        for one in self._all:
            if self.at(one) < end and self.until(one) > begin:
                self._now.setdefault(one.target or USERS, []).append(one)

    def at(self, one: Happening) -> float:
        return self._start + one.at_s

    def until(self, one: Happening) -> float:
        return self._start + one.until_s

    def of(self, target: str, *kinds: str) -> Iterator[Happening]:
        """What strikes a target now, of these kinds."""
        for one in self._now.get(target, ()):
            if one.kind in kinds:
                yield one

    def any_of(self, target: str) -> bool:
        return target in self._now

    def during(self, one: Happening, at: Floats, zone: Zones | None = None) -> Flags:
        """Which moments lie within a happening, in its zone."""
        inside = (at >= self.at(one)) & (at < self.until(one))
        if one.zone and zone is not None:
            inside &= zone == self._zones.index(one.zone)
        return np.asarray(inside)

    def struck(self, one: Happening, at: Floats, zone: Zones | None, rng: np.random.Generator) -> Flags:
        """Which calls it strikes: those within it, by its severity."""
        inside = self.during(one, at, zone)
        return np.asarray(inside & (rng.random(len(at)) < one.severity)) if one.severity < 1 else inside

    def feeds_back(self, begin: float, end: float) -> bool:
        """Whether something goes on whose consequences are calls."""
        return any(
            KINDS[one.kind].feeds_back and self.at(one) < end and self.until(one) + 12.0 > begin for one in self._all
        )

    def edges(self) -> list[float]:
        """The moments at which something begins or ends, ascending."""
        return sorted({moment for one in self._all for moment in (self.at(one), self.until(one))})

    # Processes that are not there

    def silences(self, service: str, zones: tuple[str, ...]) -> list[tuple[float, float, str]]:
        """When processes of a service are not there: from, to, and in which zone; of the whole plan."""
        found: list[tuple[float, float, str]] = []
        for one in self._all:
            if one.target not in ("", service) or one.kind not in ("kill", "leak"):
                continue
            for zone in zones if not one.zone else (one.zone,):
                if zone not in zones:
                    continue
                if one.kind == "kill":
                    found.append((self.at(one), self.until(one), zone))
                else:
                    found += [(death, death + RESTART_S, zone) for death in self.deaths(one)]
        return sorted(found)

    def deaths(self, leak: Happening) -> list[float]:
        """When a leaking process is full and dies."""
        full_s = full_after_s(leak)
        count = int((leak.until_s - leak.at_s) // (full_s + RESTART_S))
        return [self.at(leak) + full_s + turn * (full_s + RESTART_S) for turn in range(count)]

    def fullness(self, leak: Happening, at: Floats) -> Floats:
        """How much of its memory a leaking process has lost, 0 to 1, at moments."""
        full_s = full_after_s(leak)
        since = np.maximum(0.0, (at - self.at(leak)) % (full_s + RESTART_S))
        share = np.where(since < full_s, since / full_s, 0.0)
        return np.asarray(np.where((at >= self.at(leak)) & (at < self.until(leak)), share, 0.0))
