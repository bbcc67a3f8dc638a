"""A collector for real clients, and what it must make of the one span, gauge and log record that each of them sends."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from collector_kit import rows

from paramedic_collector.bus import InProcessBus
from paramedic_collector.config.model import CollectorConfig, Pipeline, Receiver, Server
from paramedic_collector.main import Collector
from paramedic_collector.otlp import Signal
from paramedic_collector.receive.addresses import Endpoint

TOKEN = "s3cret"
ROOT = Path(__file__).resolve().parents[2]
FREE = Endpoint("localhost", 0)


@dataclass
class Clients:
    """A running collector that clients send to."""

    collector: Collector
    bus: InProcessBus

    def url(self, port="http", scheme="http"):
        return f"{scheme}://{self.collector.addresses[port]}"

    def seen(self, service, families=("op", "gauge", "log"), deadline_s=20.0):
        """The rows of a service in the windows that come out, by family, once there is one in each."""
        found, give_up = {family: [] for family in families}, time.monotonic() + deadline_s
        while not all(found.values()):
            assert time.monotonic() < give_up, found
            batches = self.bus.batches(0.2)
            for batch in batches:
                for family in families:
                    found[family] += [row for row in rows([batch], family) if row["service"] == service]
        return found

    def assert_came(self, service, operation, families=("op", "gauge", "log")):
        """One span, one gauge of 7, one log line of an error, as every client here sends them."""
        found = self.seen(service, families)
        assert [(row["operation"], row["count"]) for row in found["op"] if row["count"]] == [(operation, 1)]
        if "gauge" in families:
            assert [(row["metric"], row["sum"]) for row in found["gauge"]] == [("queue.depth", 7.0)]
            assert [(row["severity"], row["template"]) for row in found["log"]] == [("ERROR", "order <n> failed")]


def clients(folder, **options):
    """A started collector.

    Args:
        options: Of its servers: tls, tokens, cors.
    """
    server = Server(FREE, 4 << 20, **options)
    pipelines = tuple(Pipeline(one, one, windows=True) for one in Signal)
    bus = InProcessBus()
    collector = Collector(CollectorConfig((Receiver("otlp", server, server),), pipelines), bus, folder)
    collector.start()
    return Clients(collector, bus)


def run(*command, cwd=None, fails=False, **environment):
    """Run a client to its end; gives its own words."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode != 0) is fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def cannot(why):
    """What a test lacks on this machine: it is skipped there, but never where all tests have to run."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)
