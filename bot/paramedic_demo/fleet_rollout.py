"""A deploy: a new version that stands ready beside the old one takes over zone by zone; at the end it goes back.

    start: it waits --> begin: first zone --roll_s--> next zone ... --> end: all back, and it drains, and stops

Nobody is cut off: who asked the old version is answered by it. Orders are reached through the link, bots through the
front door; both are told where to send what comes next.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from paramedic_demo.bugs import flags_of
from paramedic_demo.fleet_keeper import Job, Keeper
from paramedic_demo.ports import free_ports
from paramedic_demo.scenario_values import Fault

DRAIN_S = 12.0  # longer than anybody waits for an answer


@dataclass(frozen=True, slots=True)
class Place:
    """Where a new version takes over."""

    zone: str
    old: Job
    new: Keeper


class Rollout:
    """One deploy.

    Args:
        fault: Of kind "deploy"; its parameters are complete.
        version: Of what is rolled out.
        jobs: The processes that run now, by zone.
        folder: Gets the logs of the new ones.
        lead: Sends what comes for a zone's process to another one of the same service.
    """

    def __init__(
        self,
        fault: Fault,
        version: str,
        jobs: Sequence[tuple[str, Job]],
        folder: Path,
        lead: Callable[[str, Job], None],
    ) -> None:
        self.version, self._roll_s, self._lead = version, float(fault.parameters["roll_s"]), lead
        flags = flags_of(version, fault.parameters)
        self.places = [Place(zone, job, newer(job, version, flags, folder)) for zone, job in jobs]
        self._timers: list[threading.Timer] = []
        self._turn, self._over = threading.Lock(), False

    def start(self) -> None:
        """Start the new processes; nobody is sent to them yet."""
        for place in self.places:
            place.new.start()

    def begin(self) -> None:
        """Lead the first zone to the new version now, the others one after the other."""
        self._take_over(self.places[0])
        for number, place in enumerate(self.places[1:], 1):
            self._later(number * self._roll_s, partial(self._take_over, place))

    def end(self) -> None:
        """Lead everybody back; the new processes finish what they have begun."""
        with self._turn:
            self._over = True
            for place in self.places:
                self._lead(place.zone, place.old)
        self._later(DRAIN_S, self.stop)

    def stop(self) -> None:
        """End the new processes and all that was planned."""
        for timer in self._timers:
            timer.cancel()
        for place in self.places:
            place.new.ask_to_stop()
        for place in self.places:
            place.new.stop()

    def _take_over(self, place: Place) -> None:
        with self._turn:
            if not self._over:
                self._lead(place.zone, place.new.job)

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, act)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()


def newer(job: Job, version: str, flags: Sequence[str], folder: Path) -> Keeper:
    """The keeper of a newer version of a process, on a port of its own."""
    (port,) = free_ports(1)
    _, _, *rest = job.arguments  # its port comes first
    new = replace(job, name=f"{job.name} {version}", arguments=("--port", str(port), *rest, *flags), port=port)
    return Keeper(new, folder / f"{new.name.replace(' ', '-')}-{time.time_ns() // 1_000_000}.log")
