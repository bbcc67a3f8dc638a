"""`kill -9` of the platform in a fault: bots answer on, leases end, and a restart picks up where it was."""

import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from paramedic_cli.api import Api
from paramedic_cli.credentials import find_api
from paramedic_cli.evidence import Request, requests_of
from paramedic_cli.experiment import bot_settings, plain_environment, platform_settings
from paramedic_cli.places import choose
from paramedic_cli.platform import PlatformProcess
from paramedic_cli.processes import ChildProcess, warded
from paramedic_cli.users import availability
from paramedic_demo.fleet import Fleet
from paramedic_demo.ports import free_ports
from paramedic_demo.scenario import load

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WARM_S = 30.0  # of traffic before the fault: baselines need it, and scenarios keep no more
PATIENCE_S = 120.0  # for anything that must come, on a slow machine


def until(what: str, seen: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
    ends = time.monotonic() + within_s
    while not seen():
        assert time.monotonic() < ends, f"not within {within_s:.0f} s: {what}"
        time.sleep(0.5)


class Stage:
    """A platform, the demo's bots and their users."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (sink_port,) = free_ports(1, random.Random())
        self.env = plain_environment()
        places = choose(lambda _usual: False)  # another platform may run beside this test
        settings = platform_settings(places, folder, sink_port)
        self.sink = self._child("paramedic_demo.slack_sink", "--port", sink_port, "--out", folder / "slack.jsonl")
        self.platform = PlatformProcess(self.env | settings, folder, ["--no-dashboard"])
        self.platform.start()
        addresses = self.platform.wait_ready(PATIENCE_S)
        self.api = Api(*find_api({"PARAMEDIC_DATA_DIR": addresses.data_dir}), timeout_s=10.0)
        self.fleet = Fleet("platform", seed=1, env=self.env | bot_settings(addresses), log_dir=folder)
        self.fleet.start()
        self.fleet.wait_ready(PATIENCE_S)
        url, out = f"{self.fleet.front_url}/chat", folder / "load.jsonl"
        self.load = self._child("paramedic_demo.load", "--url", url, "--rate", 8, "--seed", 1, "--out", out)

    def close(self) -> None:
        for part in (self.load, self.fleet, self.platform, self.sink):
            part.stop()
        self.api.close()

    def requests(self) -> list[Request]:
        path = self.folder / "load.jsonl"
        return list(requests_of(path.read_text().split("\n"))) if path.exists() else []

    def requests_since(self, at: float) -> list[Request]:
        return [request for request in self.requests() if request.at >= at]

    def bot_logs(self) -> str:
        return "".join(path.read_text() for path in self.folder.glob("support-bot-*.log"))

    def in_force(self) -> list[str]:
        return [action.id for action in self.api.actions(in_force=True)]

    def _child(self, module: str, *flags: object) -> ChildProcess:
        return ChildProcess(warded(module, [str(flag) for flag in flags]), self.env, self.folder / f"{module}.log")


@pytest.fixture
def stage(tmp_path):
    stage = Stage(tmp_path)
    yield stage
    stage.close()


def test_a_platform_killed_in_a_fault_hurts_no_bot_and_takes_up_its_work_again(stage):
    fault = load("demo").faults[0]  # aurora is down
    began_at = time.time()
    until("users to be served for a while", lambda: time.time() - began_at > WARM_S and len(stage.requests()) > 200)
    stage.fleet.inject(fault)
    until("a treatment in force", lambda: bool(stage.in_force()))
    (incident,) = stage.api.incidents()

    stage.platform.kill()
    killed_at = time.time()
    assert not stage.platform.alive
    until("both bots to end their leases by themselves", lambda: stage.bot_logs().count("its lease ended") >= 2)
    until("users to go on", lambda: len(stage.requests_since(killed_at)) > 100)
    assert availability(stage.requests_since(killed_at)).value > 0.95

    stage.platform.start()
    stage.platform.wait_ready(PATIENCE_S)
    assert [i.id for i in stage.api.incidents()] == [incident.id]
    until("the treatment to be in force again", lambda: bool(stage.in_force()))
    assert [i.id for i in stage.api.incidents()] == [incident.id]  # the same cause is the same incident

    stage.fleet.heal(fault)
    until("the incident to end", lambda: stage.api.incident(incident.id).state == "resolved")
    assert stage.in_force() == []
    about = [json.loads(line)["payload"]["text"] for line in (stage.folder / "slack.jsonl").read_text().splitlines()]
    assert 1 <= len(about) <= 3, about
