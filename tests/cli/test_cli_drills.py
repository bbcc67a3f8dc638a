"""What a run does when, and who comes beside its users."""

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from paramedic.contract.command import Target
from paramedic_cli.errors import UserError
from paramedic_cli.experiment import Experiment, steps
from paramedic_cli.strangers import KINDS, Strangers
from paramedic_cli.trial import scenarios_named
from paramedic_demo.scenario import Fault, Scenario, Traffic


def a_fault(name: str, kind: str, at_s: float, until_s: float, **parameters: float) -> Fault:
    return Fault(name, at_s, until_s, kind, "orders", "unknown", Target("orders"), parameters=parameters)


def test_oddities_are_done_in_their_turn_as_faults_are():
    fault, odd = a_fault("f", "errors", 10, 20), a_fault("o", "cache_flush", 20, 30)
    plan = steps(Scenario("s", 40, Traffic(), (fault,), oddities=(odd,)))
    wanted = [(10, Experiment.inject, fault), (20, Experiment.heal, fault), (20, Experiment.inject, odd)]
    assert plan == [*wanted, (30, Experiment.heal, odd)]


def test_a_folder_is_all_that_is_in_it():
    assert [one.name for one in scenarios_named(["every", "quiet"], None)] == ["calls", "models", "processes", "quiet"]
    with pytest.raises(UserError, match="--duration 5"):
        scenarios_named(["every"], 5.0)


class Door:
    """Counts who calls what, and answers everybody."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.came = threading.Event()
        door = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                door.calls[f"{self.command} {self.path.split('/')[1]}"] += 1
                door.came.set()
                self.rfile.read(int(self.headers.get("content-length", 0)))
                self.send_response(200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def door() -> Iterator[Door]:
    made = Door()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()


@pytest.mark.parametrize(("kind", "parameters", "wanted"), [
    ("surge", {"factor": 6.0}, "POST chat"), ("batch", {"rate_per_s": 20.0}, "GET orders"),
])  # fmt: skip
def test_strangers_come_and_leave(door, tmp_path: Path, kind, parameters, wanted):
    fault = a_fault("they", kind, 0, 10, **parameters)
    with ExitStack() as stack:
        strangers = Strangers(
            door.url, door.url, rate_per_s=10, seed=1, env=dict(os.environ), folder=tmp_path, kept=stack.callback
        )
        strangers.come(fault)
        assert door.came.wait(30), "nobody came"
        strangers.leave(fault)
    assert set(door.calls) == {wanted}
    assert kind in KINDS
