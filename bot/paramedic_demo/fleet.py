"""All processes of a demo, for one arm: started together, broken and healed on demand, gone without a trace at the end.

    load --> front-door --> support-bot in eu-1a, eu-1b --> aurora, borealis, link --> orders      a process each
                ^ kill -9 and respawn                          ^ POST /_fault, or kill -9

Nothing outlives the fleet: it ends its processes, and they end themselves when the fleet's own process is killed.
"""

import http.client
import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from paramedic_demo.faults import DEPLOY, complete
from paramedic_demo.fleet_keeper import Job, Keeper
from paramedic_demo.fleet_rollout import Rollout
from paramedic_demo.ports import free_ports
from paramedic_demo.scenario_values import LINK, ZONES, Fault

ARMS = ("bare", "sdk", "platform")
PROVIDERS = {"aurora": "aurora-large", "borealis": "borealis-light"}
REGION = "eu-1"  # where the order backend stands: in no single zone
CONTROL_S = 3.0  # for a simulator to take a fault
HEALTH_S = 2.0
PAUSE_S = 0.9  # how long a process stands still
LEAKS_FOR = 0.7  # of a leak's time, until memory is full, when nobody says how long that takes
NEW_VERSION_S = 60.0  # for a new version to be ready
OURS = ("PARAMEDIC_", "OTEL_")  # what an arm without a platform must not inherit


class FleetError(RuntimeError):
    """The demo's processes cannot do what they should; the message names the process, and where its log is."""


@dataclass(frozen=True, slots=True)
class Member:
    """One process and where it stands, as faults name it."""

    target: str
    zone: str
    job: Job

    def meant_by(self, target: str, zone: str) -> bool:
        """An empty target or zone means any."""
        return (not target or target == self.target) and (not zone or zone == self.zone)


def demo_members(arm: str, seed: int, env: Mapping[str, str], folder: Path) -> list[Member]:
    """The processes of the demo, on free ports that they keep.

    Args:
        arm: One of ARMS.
        seed: Of the providers and the order book.
        env: Added to this process's environment; for the platform arm it says where the platform is.
        folder: Where they keep what shall outlive a kill.
    """
    aurora, borealis, orders, link, way, front, *bots = free_ports(6 + len(ZONES))
    known = environment(arm, env, folder) | {
        "DEMO_AURORA_URL": f"http://127.0.0.1:{aurora}",
        "DEMO_BOREALIS_URL": f"http://127.0.0.1:{borealis}",
        "DEMO_ORDERS_URL": f"http://127.0.0.1:{way}",
        "DEMO_QUEUE_FILE": str(folder / "tickets.db"),
        "DEMO_BOTS": ",".join(f"{zone}=http://127.0.0.1:{port}" for zone, port in zip(ZONES, bots, strict=True)),
    }

    def member(target: str, zone: str, port: int, module: str, *more: str) -> Member:
        name = f"{target} in {zone}" if zone in ZONES else target
        return Member(target, zone, Job(name, module, ("--port", str(port), *more), port, known))

    return [
        *(
            member("support-bot", zone, port, "paramedic_demo.support_bot", "--zone", zone, "--arm", arm)
            for zone, port in zip(ZONES, bots, strict=True)
        ),
        member("front-door", "", front, "paramedic_demo.front_door", "--arm", arm),
        member(LINK, "", link, "paramedic_demo.link", "--data-port", str(way), "--to", str(orders)),
        member("orders", REGION, orders, "paramedic_demo.orders", "--zone", REGION, "--arm", arm, "--seed", str(seed)),
        *(
            member(name, "", port, "paramedic_demo.provider", "--name", name, "--model", model, "--seed", str(seed))
            for (name, model), port in zip(PROVIDERS.items(), (aurora, borealis), strict=True)
        ),
    ]


def environment(
    arm: str, given: Mapping[str, str], folder: Path, inherited: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """What the processes of an arm see. Only the platform arm hears of a platform, or of somewhere to export to."""
    merged = {**inherited, **given}
    if arm == "platform":
        return merged
    bare = {name: value for name, value in merged.items() if not name.startswith(OURS)}
    nowhere = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
    return bare | nowhere | {"PARAMEDIC_DATA_DIR": str(folder / "no-platform")}


class Fleet:
    """The processes of one arm.

    Args:
        arm: "bare" (no SDK), "sdk" (guards alone) or "platform".
        seed: The same seed gives the same providers and orders.
        env: Added to the environment of every process.
        log_dir: Gets one log a process, and the tickets for people; made when it is not there.
        members: Other processes than the demo's.
    """

    def __init__(
        self,
        arm: str,
        *,
        seed: int,
        env: Mapping[str, str],
        log_dir: Path,
        members: Sequence[Member] | None = None,
    ) -> None:
        if arm not in ARMS:
            raise ValueError(f"arm must be {', '.join(ARMS[:-1])} or {ARMS[-1]}, got {arm!r}")
        folder = log_dir.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._rollouts, self._draining = folder, dict[str, Rollout](), list[Rollout]()
        self._deploys = 0
        self.arm, self.members = arm, list(demo_members(arm, seed, env, folder) if members is None else members)
        self._keepers = {
            member.job.name: Keeper(member.job, folder / f"{member.job.name.replace(' ', '-')}.log")
            for member in self.members
        }

    def __enter__(self) -> "Fleet":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def front_url(self) -> str:
        """Of the front door, without a path: conversations go to ``/chat`` on it."""
        return self.url("front-door")

    def url(self, target: str, zone: str = "") -> str:
        return self._meant(target, zone)[0].job.url

    def start(self) -> None:
        """Start all processes at once; returns before they are ready."""
        for keeper in self._keepers.values():
            keeper.start()

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Returns when every process that is not held down answers its health check.

        Raises:
            FleetError: One keeps dying, or is not ready in time.
        """
        ends, deaths = time.monotonic() + timeout_s, self.restarts()
        for name, keeper in self._keepers.items():
            wait_for(keeper, deaths[name], ends, timeout_s)

    def inject(self, fault: Fault) -> float:
        """Break something; returns the unix time at which the command was given.

        Raises:
            FleetError: No process is meant, or the simulator refuses the fault.
        """
        at, meant = time.time(), self._all_meant(fault)
        if fault.kind == "deploy":
            self._deploy(fault)
            return at
        for member in meant:
            keeper = self._keepers[member.job.name]
            if fault.kind == "kill":
                keeper.kill()
            elif fault.kind == "pause":
                keeper.pause()
                threading.Timer(PAUSE_S, keeper.resume).start()
            else:
                control(member.job, "POST", asked_of_simulator(fault))
        return at

    def prepare(self, fault: Fault) -> None:
        """Do what takes time and breaks nothing yet: a new version is started, waited for, and gets no calls."""
        if fault.kind != "deploy" or fault.name in self._rollouts:
            return
        self._deploys += 1
        fault = replace(fault, parameters=complete("deploy", fault.parameters, DEPLOY))
        jobs = [(member.zone, member.job) for member in self._all_meant(fault)]
        lead = partial(self._lead, fault.target)
        rollout = Rollout(fault, f"1.{self._deploys}", jobs, self._folder, lead)
        self._rollouts[fault.name] = rollout
        rollout.start()
        ends = time.monotonic() + NEW_VERSION_S
        for place in rollout.places:
            wait_for(place.new, 0, ends, NEW_VERSION_S)

    def heal(self, fault: Fault) -> float:
        """Mend it; returns the unix time. A process that was killed starts again, which takes it a while."""
        at = time.time()
        if fault.kind == "deploy":
            rollout = self._rollouts.pop(fault.name)
            self._draining.append(rollout)
            rollout.end()
            return at
        for member in self._all_meant(fault):
            if fault.kind == "kill":
                self._keepers[member.job.name].release()
            elif fault.kind == "pause":
                self._keepers[member.job.name].resume()
            else:
                control(member.job, "DELETE")
        return at

    def _deploy(self, fault: Fault) -> None:
        self.prepare(fault)
        self._rollouts[fault.name].begin()

    def _lead(self, target: str, zone: str, job: Job) -> None:
        """Have what is sent to a service in a zone go to this process."""
        if target == "support-bot":
            control(self._meant("front-door", "")[0].job, "PUT", {"zone": zone, "url": job.url}, "/_route")
        else:
            control(self._meant(LINK, "")[0].job, "PUT", {"port": job.port}, "/_route")

    def alive(self) -> dict[str, bool]:
        """Whether each process answers its health check now."""
        return {name: healthy(keeper) for name, keeper in self._keepers.items()}

    def pids(self) -> dict[str, int | None]:
        return {name: keeper.pid for name, keeper in self._keepers.items()}

    def restarts(self) -> dict[str, int]:
        """How often each process died by itself and was started again."""
        return {name: keeper.restarts for name, keeper in self._keepers.items()}

    def provider_stats(self) -> dict[str, dict[str, Any]]:
        """What each provider was asked since it started, and what that cost; without those that do not answer."""
        asked = {m.target: m.job for m in self.members if m.target in PROVIDERS}
        answers = {target: fetch(job, "GET", "/_stats", timeout_s=HEALTH_S) for target, job in asked.items()}
        return {target: json.loads(body) for target, (status, body) in answers.items() if status == 200}

    def stop(self) -> None:
        """End all processes: politely, and after three seconds with force."""
        for rollout in (*self._rollouts.values(), *self._draining):
            rollout.stop()
        for keeper in self._keepers.values():
            keeper.ask_to_stop()
        for keeper in self._keepers.values():
            keeper.stop()

    def _all_meant(self, fault: Fault) -> list[Member]:
        return [member for target in fault.struck for member in self._meant(target, fault.zone)]

    def _meant(self, target: str, zone: str) -> list[Member]:
        meant = [member for member in self.members if member.meant_by(target, zone)]
        if not meant or not (target or zone):
            there = ", ".join(sorted({member.job.name for member in self.members}))
            raise FleetError(f"no process is called {target!r} in zone {zone!r}; there are {there}")
        return meant


def asked_of_simulator(fault: Fault) -> dict[str, Any]:
    """A fault as a simulator takes it."""
    asked: dict[str, Any] = {"kind": fault.kind, "severity": fault.severity, **fault.parameters}
    if fault.kind == "leak" and not asked.get("full_after_s"):
        asked["full_after_s"] = LEAKS_FOR * (fault.until_s - fault.at_s)
    return asked


def wait_for(keeper: Keeper, deaths_before: int, ends: float, timeout_s: float) -> None:
    """Returns when a process answers its health check, or is held down.

    Raises:
        FleetError: It keeps dying, or is not ready at `ends`, of the monotonic clock.
    """
    pause_s = 0.05
    while not (keeper.held or healthy(keeper)):
        if why := why_not_ready(keeper, deaths_before, ends, timeout_s):
            raise FleetError(f"{why}; the last line of {keeper.log} is: {keeper.last_words() or '(nothing)'}")
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, 0.5)


def why_not_ready(keeper: Keeper, deaths_before: int, ends: float, timeout_s: float) -> str | None:
    """Why it makes no sense to wait any longer; None when it does."""
    if keeper.restarts >= deaths_before + 2:
        return f"{keeper.job.name} ended with code {keeper.last_exit} before it was ready"
    if time.monotonic() > ends:
        return f"{keeper.job.name} was not ready within {timeout_s:g} s"
    return None


def healthy(keeper: Keeper) -> bool:
    return keeper.pid is not None and fetch(keeper.job, "GET", "/healthz", timeout_s=HEALTH_S)[0] == 200


def control(job: Job, method: str, asked: Mapping[str, Any] | None = None, path: str = "/_fault") -> None:
    """Tell a simulator what to break, or to be well again; or a way, where to lead.

    Raises:
        FleetError: It refuses, or does not answer.
    """
    ends = time.monotonic() + CONTROL_S
    while True:
        status, body = fetch(job, method, path, asked, timeout_s=CONTROL_S)
        if status == 200:
            return
        if status is not None or time.monotonic() > ends:
            raise FleetError(f"{job.name} at {job.url} did not take the fault {dict(asked or {})}: {body}")
        time.sleep(0.1)  # it may just be starting again


def fetch(
    job: Job, method: str, path: str, body: Mapping[str, Any] | None = None, *, timeout_s: float
) -> tuple[int | None, str]:
    """Status and body of an answer; no status and the reason when there was none."""
    connection = http.client.HTTPConnection("127.0.0.1", job.port, timeout=timeout_s)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return None, f"{type(error).__name__}: {error}"
    finally:
        connection.close()
