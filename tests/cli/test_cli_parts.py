"""The small parts of the command line: folders with one platform, addresses, children, the journal."""

import os
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime

import pytest

from paramedic_cli.child import KeptChild, next_wait_s
from paramedic_cli.errors import UserError
from paramedic_cli.journal import Journal, Kind
from paramedic_cli.lock import FolderLock
from paramedic_cli.output import write_json
from paramedic_cli.places import choose
from paramedic_cli.ports import Wanted, check_free, host_and_port, is_free
from paramedic_cli.processes import ChildProcess, warded
from paramedic_detector.api.schemas import Evidence, Impact, IncidentDetail, TimelineEvent

MOMENT = datetime(2026, 3, 1, 12, 5, 31, tzinfo=UTC)


def test_a_folder_has_one_platform(tmp_path):
    with FolderLock(tmp_path), pytest.raises(UserError, match=str(os.getpid())), FolderLock(tmp_path):
        pass


def test_a_folder_is_free_again_when_its_platform_stopped(tmp_path):
    with FolderLock(tmp_path):
        pass
    with FolderLock(tmp_path):
        pass


def test_a_folder_is_free_again_when_its_platform_was_killed(tmp_path):
    hold = (
        "import sys, pathlib; from paramedic_cli.lock import FolderLock\n"
        f"with FolderLock(pathlib.Path({str(tmp_path)!r})):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(UserError, match=str(holder.pid)), FolderLock(tmp_path):
        pass
    holder.kill()
    holder.communicate()
    with FolderLock(tmp_path):
        pass


@pytest.mark.parametrize(
    ("address", "parts"),
    [("localhost:8600", ("localhost", 8600)), ("[::1]:0", ("::1", 0)), ("0.0.0.0:65535", ("0.0.0.0", 65535))],
)
def test_an_address_is_a_host_and_a_port(address, parts):
    assert host_and_port(address) == parts


@pytest.mark.parametrize(
    "address", ["8600", ":8600", "localhost:", "localhost:65536", "localhost:-1", "localhost:http"]
)
def test_what_is_no_address_is_shown(address):
    with pytest.raises(ValueError, match="HOST:PORT"):
        host_and_port(address)


def test_a_port_that_somebody_listens_on_is_not_free():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        assert not is_free(address)
    assert is_free(address)


def test_every_address_in_use_is_told_at_once():
    with socket.socket() as one, socket.socket() as other:
        for listener in (one, other):
            listener.bind(("127.0.0.1", 0))
            listener.listen()
        ports = [listener.getsockname()[1] for listener in (one, other)]
        wanted = [Wanted("it", f"127.0.0.1:{port}", f"--flag-{port}", "V") for port in ports]
        with pytest.raises(UserError) as caught:
            check_free([*wanted, Wanted("it", "127.0.0.1:0", "--free", "V")])
    assert len(caught.value.sentences) == 2
    assert all(f"--flag-{port}" in sentence for port, sentence in zip(ports, caught.value.sentences, strict=True))


def test_a_demo_takes_the_usual_addresses_when_they_are_free():
    places = choose(free=lambda _: True)
    assert places.env["PARAMEDIC_API"] == "localhost:8600"
    assert places.env["PARAMEDIC_PUBLIC_URL"] == "http://localhost:8501"
    assert places.notes == ()


def test_a_demo_takes_others_when_they_are_not_and_says_so():
    places = choose(free=lambda address: address != "localhost:8501", other_port=lambda: 23456)
    assert places.env["PARAMEDIC_DASHBOARD"] == "localhost:23456"
    assert places.env["PARAMEDIC_PUBLIC_URL"] == "http://localhost:23456"
    assert places.env["PARAMEDIC_OTLP_GRPC"] == "localhost:4317"
    (note,) = places.notes
    assert "localhost:8501 is in use" in note


def test_a_child_that_keeps_dying_is_started_ever_more_slowly():
    waits, wait_s = [], 0.0
    for _ in range(7):
        wait_s = next_wait_s(wait_s, lived_s=0.1)
        waits.append(wait_s)
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert next_wait_s(30.0, lived_s=61.0) == 1.0


def test_a_child_that_dies_is_started_again_until_it_is_told_to_stop(tmp_path):
    thrice, started = threading.Event(), []

    def start() -> ChildProcess:
        started.append(ChildProcess([sys.executable, "-c", "pass"], os.environ, tmp_path / "child.log"))
        if len(started) == 3:
            thrice.set()
        return started[-1]

    child = KeptChild("page", start, wait=lambda _: None)
    child.start()
    assert thrice.wait(60)
    child.stop()
    ended = child.starts
    assert ended >= 3
    assert not any(process.alive for process in started)


def test_a_child_that_cannot_be_started_does_not_end_its_keeper():
    tried = threading.Event()

    def start() -> ChildProcess:
        if child.starts == 0 and not tried.is_set():
            tried.set()
        raise FileNotFoundError("no such program")

    child = KeptChild("page", start, wait=lambda _: tried.wait())
    child.start()
    assert tried.wait(60)
    child.stop()
    assert child.starts == 0


def test_a_child_dies_with_its_parent(tmp_path):
    """`kill -9` of the platform must not leave a dashboard behind that holds its port."""
    parent = (
        "import os, sys, pathlib; from paramedic_cli.processes import ChildProcess, warded\n"
        f"child = ChildProcess(warded('http.server', ['0', '--bind', '127.0.0.1']), os.environ, "
        f"pathlib.Path({str(tmp_path / 'log')!r}))\n"
        "print(child.pid, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    pid = int(process.stdout.readline())
    watch = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else pytest.skip("needs pidfd_open, as Linux has it")
    process.kill()
    process.communicate()
    import select

    ended, _, _ = select.select([watch], [], [], 60)
    os.close(watch)
    assert ended


def test_a_child_that_does_not_listen_is_killed(tmp_path):
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
    child = ChildProcess([sys.executable, "-c", deaf], os.environ, tmp_path / "deaf.log")
    while child.last_words() != "deaf":
        child.wait(0.05)
    assert child.stop(patience_s=0.1) == -9
    assert not child.alive


def test_the_command_line_of_a_child_names_its_module():
    assert warded("paramedic_demo.load", ["--rate", "3"])[1:] == [
        *("-m", "paramedic_demo.fleet_ward", "paramedic_demo.load"),
        *("--rate", "3"),
    ]


def detail(incident_id: str, *lines: str) -> IncidentDetail:
    return IncidentDetail(
        id=incident_id,
        version=1,
        state="open",
        severity=2,
        title="t",
        fault_class="unknown",
        probability=0.5,
        target="",
        cause="",
        done="",
        verification="",
        you="",
        needs_you=False,
        onset_at=MOMENT,
        opened_at=MOMENT,
        alerts=1,
        impact=Impact(calls=0, bad_calls=0),
        suspects=[],
        alert_list=[],
        actions=[],
        timeline=[TimelineEvent(at=MOMENT, kind="detect", text=line) for line in lines],
        evidence=Evidence(),
        traces=[],
        similar=[],
    )


def test_the_journal_tells_each_line_of_a_timeline_once():
    journal = Journal()
    assert [e.text for e in journal.take([detail("INC-1", "a")])] == ["INC-1: a"]
    assert [e.text for e in journal.take([detail("INC-1", "a", "b in INC-1"), detail("INC-2", "c")])] == [
        "b in INC-1",
        "INC-2: c",
    ]
    assert journal.take([detail("INC-1", "a", "b in INC-1")]) == []
    assert {e.kind for e in journal.events} == {Kind.SEEN}


def test_json_is_whole_or_not_there(tmp_path):
    target = tmp_path / "out.json"
    write_json({"a": 1}, str(target))
    assert target.read_text() == '{\n  "a": 1\n}\n'
    assert list(tmp_path.iterdir()) == [target]
