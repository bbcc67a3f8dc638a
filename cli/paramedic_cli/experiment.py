"""One arm through one scenario: real processes are started, hurt and healed on time, watched and stopped.

    sink, platform (arm "platform" only) -> fleet -> load  --t0-->  inject, heal, inject, heal ... --> Run

What must happen when is a list of steps; between two steps `tell` is called about once a second, with all
that a display needs.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from paramedic_cli.api import Api
from paramedic_cli.credentials import find_api
from paramedic_cli.errors import UserError
from paramedic_cli.evidence import Arm, Counts, Injection, Request, Run, Spend, requests_of
from paramedic_cli.first_start import first_start
from paramedic_cli.journal import Journal, Kind
from paramedic_cli.places import Places, choose
from paramedic_cli.platform import Addresses, PlatformProcess
from paramedic_cli.ports import free_port
from paramedic_cli.processes import ChildProcess, warded
from paramedic_cli.strangers import KINDS as STRANGERS
from paramedic_cli.strangers import Strangers
from paramedic_cli.witness import Witness
from paramedic_demo.fleet import Fleet
from paramedic_demo.scenario import Fault, Scenario

TICK_S = 1.0
USER_DEADLINE_S = 10.0  # the load generator's; its last answers may take this long
READY_S = 120.0  # a busy machine loads scikit-learn slowly


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run, and where."""

    scenario: Scenario  # its times are those of this run
    arm: Arm
    seed: int
    folder: Path  # everything that the run writes
    with_dashboard: bool = False


@dataclass
class Progress:
    """What a display shows; it changes while the experiment runs."""

    plan: Plan
    journal: Journal = field(default_factory=Journal)
    began_at: float | None = None  # first message of a user
    addresses: Mapping[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    injected: dict[str, float] = field(default_factory=dict)  # fault -> when
    healed: dict[str, float] = field(default_factory=dict)
    witness: Witness | None = None  # arm "platform" only


Tell = Callable[[Progress], None]


class Experiment:
    """Runs a plan; use as a context manager, so that everything is stopped whatever happens.

    Args:
        plan: What to run.
        tell: Called about once a second, and after every event.
    """

    def __init__(self, plan: Plan, tell: Tell) -> None:
        self.progress = Progress(plan)
        self.platform: PlatformProcess | None = None
        self._plan, self._tell = plan, tell
        self._stack = ExitStack()
        self._strangers: Strangers | None = None
        self._read_to = 0  # bytes of the load generator's file

    def __enter__(self) -> "Experiment":
        self._plan.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self) -> Run:
        """Start everything, follow the scenario, and give what it left behind."""
        env = plain_environment()
        if self._plan.arm is Arm.PLATFORM:
            env |= self._start_platform(env)
        fleet = self._start_fleet(env)
        self._strangers = self._know_strangers(fleet, env)
        load = self._start_load(fleet, env)
        try:
            self._follow(fleet, load)
        finally:
            load.stop()
        return self._result(fleet)

    def wait(self) -> None:
        """Stay up until Ctrl-C."""
        with suppress(KeyboardInterrupt):
            threading.Event().wait()

    def _start_platform(self, env: dict[str, str]) -> dict[str, str]:
        """Start the Slack sink and the platform; what bots must know to find it."""
        places, sink_port = choose(), free_port()
        self._say(*places.notes)
        messages = self._plan.folder / "slack.jsonl"
        self._child("paramedic_demo.slack_sink", ["--port", str(sink_port), "--out", str(messages)], env)
        settings = platform_settings(places, self._plan.folder, sink_port)
        flags = [] if self._plan.with_dashboard else ["--no-dashboard"]
        self.platform = PlatformProcess(env | settings, self._plan.folder, flags)
        self._say(*first_start())
        self.platform.start()
        self._stack.callback(self.platform.stop)
        addresses = self.platform.wait_ready(READY_S)
        api = Api(*find_api({"PARAMEDIC_DATA_DIR": addresses.data_dir}), timeout_s=2.0)
        self._stack.callback(api.close)
        self.progress.witness = Witness(api, messages)
        self._show(addresses)
        return bot_settings(addresses)

    def _start_fleet(self, env: Mapping[str, str]) -> Fleet:
        fleet = Fleet(self._plan.arm.value, seed=self._plan.seed, env=env, log_dir=self._plan.folder)
        self._stack.callback(fleet.stop)
        fleet.start()
        fleet.wait_ready(READY_S)
        for one in self._plan.scenario.happenings:
            fleet.prepare(one)  # before users come: what a start costs is no part of the fault
        self.progress.addresses = {"chat": fleet.front_url, **self.progress.addresses}
        return fleet

    def _know_strangers(self, fleet: Fleet, env: Mapping[str, str]) -> Strangers:
        return Strangers(
            fleet.front_url,
            fleet.url("orders"),
            rate_per_s=self._plan.scenario.traffic.rate_per_s,
            seed=self._plan.seed,
            env=env,
            folder=self._plan.folder,
            kept=self._stack.callback,
        )

    def _start_load(self, fleet: Fleet, env: Mapping[str, str]) -> ChildProcess:
        scenario = self._plan.scenario
        flags = {
            "--url": f"{fleet.front_url}/chat",
            "--rate": scenario.traffic.rate_per_s,
            "--seed": self._plan.seed,
            "--out": self._load_file,
            "--duration": scenario.duration_s,
        }
        words = [str(word) for pair in flags.items() for word in pair]
        load = self._child("paramedic_demo.load", words, env)
        self.progress.began_at = time.time()
        return load

    def _follow(self, fleet: Fleet, load: ChildProcess) -> None:
        began_at = time.time()
        for due_s, act, fault in steps(self._plan.scenario):
            self._tick_until(began_at + due_s, load)
            act(self, fleet, fault)
        self._tick_until(began_at + self._plan.scenario.duration_s, load)
        if load.wait(USER_DEADLINE_S + 5.0) is None:
            self._say("the load generator did not end by itself and was stopped")

    def inject(self, fleet: Fleet, fault: Fault) -> None:
        self.progress.injected[fault.name] = time.time()
        self._event(Kind.FAULT, f"injected: {fault.name} ({fault.kind} of {fault_target(fault)})")
        if fault.kind in STRANGERS and self._strangers:
            self._strangers.come(fault)
        else:
            fleet.inject(fault)

    def heal(self, fleet: Fleet, fault: Fault) -> None:
        if self.progress.witness:
            self.progress.witness.remember()  # what was said while the fault was still there is what counts
        self.progress.healed[fault.name] = time.time()
        self._event(Kind.FAULT, f"healed: {fault.name}")
        if fault.kind in STRANGERS and self._strangers:
            self._strangers.leave(fault)
        else:
            fleet.heal(fault)

    def _tick_until(self, due_at: float, load: ChildProcess) -> None:
        while (left_s := due_at - time.time()) > 0:
            if not load.alive and left_s > 2 * TICK_S:
                raise UserError(f"the load generator ended early: {load.last_words()}")
            self._tick(min(TICK_S, left_s))

    def _tick(self, pause_s: float = TICK_S) -> None:
        time.sleep(pause_s)
        self._read_requests()
        witness = self.progress.witness
        if witness:
            self.progress.journal.take(witness.look())
        self._tell(self.progress)

    @property
    def _load_file(self) -> Path:
        return self._plan.folder / "load.jsonl"

    def _read_requests(self) -> None:
        """What the load generator wrote since the last time; a line cut short waits for its end."""
        if not self._load_file.exists():
            return
        with self._load_file.open("rb") as file:
            file.seek(self._read_to)
            fresh = file.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._read_to += len(whole)
        self.progress.requests += requests_of(whole.decode().split("\n"))

    def _result(self, fleet: Fleet) -> Run:
        self._read_requests()
        witness, scenario = self.progress.witness, self._plan.scenario
        requests = tuple(sorted(self.progress.requests, key=lambda r: r.at))
        if not requests:
            raise UserError(f"the load generator wrote no request; its log is {self._plan.folder / 'load.log'}")
        return Run(
            arm=self._plan.arm,
            scenario=scenario.name,
            seed=self._plan.seed,
            began_at=self.progress.began_at or requests[0].at,
            ended_at=time.time(),
            injections=tuple(self._truth(fault) for fault in scenario.faults),
            requests=requests,
            incidents=witness.incidents() if witness else (),
            counts=witness.counts() if witness else Counts(),
            spend=spend_of(fleet.provider_stats()),
        )

    def _truth(self, fault: Fault) -> Injection:
        injected_at, healed_at = self.progress.injected[fault.name], self.progress.healed[fault.name]
        return Injection(fault.name, fault.fault_class, str(fault.root_cause), injected_at, healed_at)

    def _child(self, module: str, flags: list[str], env: Mapping[str, str]) -> ChildProcess:
        child = ChildProcess(warded(module, flags), env, self._plan.folder / f"{module.rpartition('.')[2]}.log")
        self._stack.callback(child.stop)
        return child

    def _event(self, kind: Kind, text: str) -> None:
        self.progress.journal.add(time.time(), kind, text)
        self._tell(self.progress)

    def _say(self, *sentences: str) -> None:
        for sentence in sentences:
            self._event(Kind.NOTICE, sentence)

    def _show(self, addresses: Addresses) -> None:
        self.progress.addresses = {
            name: url for name, url in (("dashboard", addresses.dashboard), ("API", f"{addresses.api}/docs")) if url
        }
        self._tell(self.progress)


Step = tuple[float, Callable[[Experiment, Fleet, Fault], None], Fault]


def steps(scenario: Scenario) -> list[Step]:
    """What is done when, in seconds since the first message; a heal comes before an injection of the same moment."""
    heals: list[Step] = [(one.until_s, Experiment.heal, one) for one in scenario.happenings]
    injections: list[Step] = [(one.at_s, Experiment.inject, one) for one in scenario.happenings]
    return sorted(heals + injections, key=lambda step: step[0])


def plain_environment(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Ours, without what would point the experiment at somebody's real platform."""
    return {name: value for name, value in env.items() if not name.startswith(("PARAMEDIC_", "OTEL_", "DEMO_"))}


def platform_settings(places: Places, folder: Path, sink_port: int) -> dict[str, str]:
    return {
        **places.env,
        "PARAMEDIC_DATA_DIR": str(folder / "data"),
        "PARAMEDIC_SLO": str(slo_folder()),
        "PARAMEDIC_SLACK_WEBHOOK_URL": f"http://127.0.0.1:{sink_port}/services/T0DEMO/B0DEMO/demo",
    }


def slo_folder() -> Path:
    """What the demo's users are promised."""
    return Path(str(files("paramedic_demo") / "slo"))


def bot_settings(addresses: Addresses) -> dict[str, str]:
    return {
        "PARAMEDIC_DATA_DIR": addresses.data_dir,
        "OTEL_EXPORTER_OTLP_ENDPOINT": addresses.otlp_grpc,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }


def fault_target(fault: Fault) -> str:
    return f"{fault.target} in {fault.zone}" if fault.zone else fault.target


def spend_of(stats: Mapping[str, Mapping[str, Any]]) -> Spend:
    """The providers' own counts, added up."""
    return Spend(
        calls=sum(int(s["calls"]) for s in stats.values()),
        failed=sum(int(s["failed"]) for s in stats.values()),
        cost_usd=sum(float(s["cost_usd"]) for s in stats.values()),
    )
