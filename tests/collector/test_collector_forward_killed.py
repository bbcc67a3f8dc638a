"""A collector is killed while its backend is down: what it acknowledged still arrives, in order."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from forward_kit import Say, one_span, until

CHILD = Path(__file__).with_name("forward_child.py")


class Life:
    """One process of the collector, from its start to its kill -9."""

    def __init__(self, nursery):
        nursery.stdin.write("start\n")
        nursery.stdin.flush()
        self._pid, self.port = map(int, nursery.stdout.readline().split())

    def kill(self):
        os.kill(self._pid, signal.SIGKILL)


@pytest.fixture
def nursery(tmp_path, web):
    command = [sys.executable, str(CHILD), str(tmp_path), web.url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


def send(life, names, acknowledged):
    """One span a request, each after the other was acknowledged, until the process is gone."""
    with contextlib.suppress(httpx.TransportError), httpx.Client(trust_env=False) as client:
        for name in names:
            answer = client.post(
                f"http://localhost:{life.port}/v1/traces",
                content=one_span(name),
                headers={"content-type": "application/x-protobuf"},
            )
            if answer.status_code == 200:
                acknowledged.append(name)


@pytest.mark.early
@pytest.mark.parametrize("seed", [1])
def test_what_was_acknowledged_arrives_though_the_backend_was_down_and_the_collector_killed(nursery, web, seed):
    dice, acknowledged, lives = random.Random(seed), list[str](), 2
    for number in range(lives):
        life = Life(nursery)
        try:
            web.decide = lambda got: Say(503) if dice.random() < 0.5 else Say()
            send(life, [f"up {number}.{one}" for one in range(20)], acknowledged)
            web.stop()
            before = len(acknowledged)
            sender = threading.Thread(
                target=send, args=(life, [f"down {number}.{one}" for one in range(10_000)], acknowledged)
            )
            sender.start()
            wanted = before + dice.randrange(20, 120)
            until(lambda wanted=wanted: len(acknowledged) >= wanted, "it takes spans without a backend")
        finally:
            life.kill()
        sender.join()
        web.start()
    web.decide = lambda got: Say()
    life = Life(nursery)
    try:
        until(lambda: set(acknowledged) <= set(web.spans), "all that was acknowledged arrives")
    finally:
        life.kill()
    arrived = list(dict.fromkeys(web.spans))  # each where it came first
    assert [name for name in arrived if name in set(acknowledged)] == acknowledged
    assert len(arrived) - len(acknowledged) <= lives  # the request under way when it was killed may be on disk
    assert len(acknowledged) >= lives * 40
