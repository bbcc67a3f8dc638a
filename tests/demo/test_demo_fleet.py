"""The fleet with real processes: killed, healed, restarted, stopped, and gone when their parent is."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from paramedic.contract.command import Target
from paramedic_demo.fleet import Fleet, FleetError, Member, demo_members, environment
from paramedic_demo.fleet_keeper import Job, Keeper
from paramedic_demo.ports import free_ports, outgoing_range
from paramedic_demo.scenario_values import Fault

PATIENCE_S = 30.0  # before a test gives up waiting; nothing is measured with it


def eventually(is_so: Callable[[], object], what: str) -> None:
    """Waits for something that another process does."""
    ends, pause = time.monotonic() + PATIENCE_S, threading.Event()
    while not is_so():
        assert time.monotonic() < ends, f"never: {what}"
        pause.wait(0.05)


def a_fault(kind: str, target: str, zone: str = "", **parameters: int) -> Fault:
    return Fault("f", 0, 1, kind, target, "unknown", Target(peer=target), zone, parameters=parameters)


def orders_member(zone: str, port: int) -> Member:
    arguments = ("--port", str(port), "--arm", "bare")
    return Member("orders", zone, Job(f"orders in {zone}", "paramedic_demo.orders", arguments, port, dict(os.environ)))


def exists(pid: int) -> bool:
    """Whether a process is there and not merely waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two order backends and a provider: small processes that start fast."""
    one, two, three = free_ports(3)
    arguments = ("--name", "aurora", "--port", str(three), "--model", "aurora-large", "--speed", "20")
    aurora = Member("aurora", "", Job("aurora", "paramedic_demo.provider", arguments, three, dict(os.environ)))
    members = [orders_member("eu-1a", one), orders_member("eu-1b", two), aurora]
    with Fleet("bare", seed=1, env={}, log_dir=tmp_path_factory.mktemp("logs"), members=members) as made:
        made.wait_ready(PATIENCE_S)
        yield made


def test_all_are_alive_when_it_is_ready(fleet):
    assert fleet.alive() == {"orders in eu-1a": True, "orders in eu-1b": True, "aurora": True}


def test_a_killed_process_stays_dead_until_it_is_healed_and_comes_back_on_its_port(fleet):
    kill, url = a_fault("kill", "orders", "eu-1b"), fleet.url("orders", "eu-1b")
    before, first = time.time(), fleet.pids()["orders in eu-1b"]
    at = fleet.inject(kill)
    assert before <= at <= time.time()
    eventually(lambda: not exists(first), "the process is gone")
    eventually(lambda: fleet.pids()["orders in eu-1b"] is None, "the fleet knows it")
    assert fleet.alive() == {"orders in eu-1a": True, "orders in eu-1b": False, "aurora": True}
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz")
    fleet.wait_ready(PATIENCE_S)  # waits for nobody who is held down
    assert fleet.heal(kill) >= at
    fleet.wait_ready(PATIENCE_S)
    assert httpx.get(f"{url}/orders/10234").status_code == 200
    assert fleet.pids()["orders in eu-1b"] != first
    assert fleet.restarts()["orders in eu-1b"] == 0, "it did not die by itself"


def test_a_process_that_dies_by_itself_is_started_again_and_counted(fleet):
    first = fleet.pids()["orders in eu-1a"]
    os.kill(first, signal.SIGKILL)
    eventually(lambda: fleet.restarts()["orders in eu-1a"] == 1, "the death is counted")
    eventually(lambda: fleet.alive()["orders in eu-1a"], "it is back")
    assert fleet.pids()["orders in eu-1a"] != first


def test_a_kill_from_a_thread_that_has_ended_does_not_hold(fleet):
    """What a thread starts must not end with the thread."""
    kill = a_fault("kill", "orders", "eu-1a")
    for step in (fleet.inject, fleet.heal):
        thread = threading.Thread(target=step, args=(kill,))
        thread.start()
        thread.join()
    fleet.wait_ready(PATIENCE_S)
    pid = fleet.pids()["orders in eu-1a"]
    assert httpx.get(f"{fleet.url('orders', 'eu-1a')}/healthz").text == "ok"
    assert fleet.pids()["orders in eu-1a"] == pid


def test_a_fault_without_a_zone_hits_all_zones_and_heals_in_all(fleet):
    fault = a_fault("errors", "orders", status=502)
    urls = [fleet.url("orders", zone) for zone in ("eu-1a", "eu-1b")]
    fleet.inject(fault)
    assert [httpx.get(f"{url}/orders/10234").status_code for url in urls] == [502, 502]
    fleet.heal(fault)
    assert [httpx.get(f"{url}/orders/10234").status_code for url in urls] == [200, 200]


def test_the_providers_statistics_are_read(fleet):
    url = fleet.url("aurora")
    body = {"model": "aurora-large", "messages": [{"role": "user", "content": "Hello"}]}
    httpx.post(f"{url}/v1/chat/completions", json=body, headers={"authorization": "Bearer x"})
    stats = fleet.provider_stats()
    assert set(stats) == {"aurora"}
    assert stats["aurora"]["calls"] == 1
    assert stats["aurora"]["cost_usd"] > 0


def test_a_fault_that_hits_nobody_names_who_is_there(fleet):
    with pytest.raises(FleetError, match=r"no process is called 'billing' in zone ''; there are aurora, orders in"):
        fleet.inject(a_fault("kill", "billing"))
    with pytest.raises(FleetError, match="no process is called ''"):
        fleet.inject(a_fault("kill", ""))


def test_a_fault_that_a_simulator_refuses_says_why(fleet):
    with pytest.raises(FleetError, match=r"did not take the fault .*kind must be errors, hang, outage, slow, auth"):
        fleet.inject(a_fault("empty", "orders", "eu-1a"))


def test_an_unknown_arm_is_refused(tmp_path):
    with pytest.raises(ValueError, match="arm must be bare, sdk or platform, got 'both'"):
        Fleet("both", seed=1, env={}, log_dir=tmp_path)


def test_a_process_that_cannot_start_is_named_with_what_it_said(tmp_path):
    (port,) = free_ports(1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        fleet = Fleet("bare", seed=1, env={}, log_dir=tmp_path, members=[orders_member("eu-1a", port)])
        with fleet, pytest.raises(FleetError, match=r"orders in eu-1a ended with code \d+ .*address already in use"):
            fleet.wait_ready(PATIENCE_S)


def test_after_stop_no_process_is_left_and_a_stubborn_one_is_killed(tmp_path):
    (tmp_path / "stubborn.py").write_text(
        "import signal, subprocess, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\n"
        "signal.pause()\n"
    )
    job = Job("stubborn", "stubborn", (), 1, {**os.environ, "PYTHONPATH": str(tmp_path)})
    keeper = Keeper(job, tmp_path / "log")
    keeper.start()
    eventually(keeper.last_words, "it runs and has a child")
    pid, child = keeper.pid, int(keeper.last_words())
    keeper.stop(patience_s=0.2)
    assert pid is not None
    assert not exists(pid)
    eventually(lambda: not exists(child), "what it had started is gone too")


def test_a_keeper_that_never_started_can_be_stopped(tmp_path):
    Keeper(Job("none", "none", (), 1), tmp_path / "log").stop()


def test_no_orphan_is_left_when_the_parent_is_killed(tmp_path):
    """The parent here is a process of its own, and gets no chance to clean up."""
    script = (
        "import os, sys, pathlib\n"
        "from paramedic_demo.fleet import Fleet, Member\n"
        "from paramedic_demo.fleet_keeper import Job\n"
        "from paramedic_demo.ports import free_ports\n"
        "(port,) = free_ports(1)\n"
        "job = Job('orders', 'paramedic_demo.orders', ('--port', str(port), '--arm', 'bare'), port, dict(os.environ))\n"
        "members = [Member('orders', '', job)]\n"
        "fleet = Fleet('bare', seed=1, env={}, log_dir=pathlib.Path(sys.argv[1]), members=members)\n"
        "fleet.start(); fleet.wait_ready()\n"
        "print(fleet.pids()['orders'], flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert exists(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        eventually(lambda: not exists(pid), "the orphan is gone")


def test_the_demo_is_seven_processes_that_know_each_other(tmp_path):
    members = {
        member.job.name: member for member in demo_members("platform", 3, {"PARAMEDIC_URL": "http://p"}, tmp_path)
    }
    assert set(members) == {
        "aurora",
        "borealis",
        "link",
        "orders",
        "front-door",
        "support-bot in eu-1a",
        "support-bot in eu-1b",
    }
    assert len({member.job.port for member in members.values()}) == 7
    env = members["front-door"].job.env
    assert env["PARAMEDIC_URL"] == "http://p"
    assert env["DEMO_AURORA_URL"] == members["aurora"].job.url
    way = members["link"].job.arguments
    assert env["DEMO_ORDERS_URL"] == f"http://127.0.0.1:{way[way.index('--data-port') + 1]}"
    assert way[way.index("--to") + 1] == str(members["orders"].job.port)
    assert env["DEMO_BOTS"] == ",".join(
        f"{zone}={members[f'support-bot in {zone}'].job.url}" for zone in ("eu-1a", "eu-1b")
    )


def test_the_whole_demo_answers_while_one_zone_is_dead(tmp_path):
    """Seven processes, the SDK's guards, no platform."""
    with Fleet("sdk", seed=1, env={}, log_dir=tmp_path) as fleet, httpx.Client(timeout=20.0) as user:

        def ask(conversation: str) -> dict[str, str]:
            body = {"conversation": conversation, "message": "Where is my order 10234?"}
            return user.post(f"{fleet.front_url}/chat", json=body).raise_for_status().json()

        fleet.wait_ready(2 * PATIENCE_S)
        assert "10234" in ask("before")["reply"]
        assert fleet.provider_stats()["aurora"]["calls"] >= 1
        fleet.inject(a_fault("kill", "support-bot", "eu-1b"))
        assert {ask(f"during-{n}")["zone"] for n in range(3)} == {"eu-1a"}


def test_only_the_platform_arm_hears_of_a_platform(tmp_path):
    given = {"PARAMEDIC_TOKEN": "t", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "DEMO_X": "1"}
    inherited = {"PARAMEDIC_URL": "http://p", "PATH": "/bin"}
    assert environment("platform", given, tmp_path, inherited) == {**inherited, **given}
    for arm in ("bare", "sdk"):
        alone = environment(arm, given, tmp_path, inherited)
        assert alone["OTEL_TRACES_EXPORTER"] == "none"
        assert alone["PATH"] == "/bin"
        assert alone["DEMO_X"] == "1"
        assert not {"PARAMEDIC_URL", "PARAMEDIC_TOKEN", "OTEL_EXPORTER_OTLP_ENDPOINT"} & set(alone)


def test_free_ports_are_free_different_and_not_those_of_outgoing_connections(tmp_path):
    first, last = outgoing_range()
    ports = free_ports(50, random.Random(7))
    assert len(set(ports)) == 50
    assert not [port for port in ports if first <= port <= last]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports[0]))
        taken.listen()
        assert ports[0] not in free_ports(50, random.Random(7))
    (tmp_path / "range").write_text("1024\t65535\n")
    assert outgoing_range(tmp_path / "range") == (1024, 65535)
    with pytest.raises(OSError, match="only 0 free ports outside of 1024 to 65535, 1 are needed"):
        free_ports(1, random.Random(7), (1024, 65535))
