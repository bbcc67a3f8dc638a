"""One process of a collector as far as forwarding goes: a flight recorder, and what forwards from it."""

import time
from contextlib import contextmanager

from forward_kit import HttpBackend, one_span, record

from paramedic_collector.config.model import ClientTls, OtlpExporter, Pipeline, Retry
from paramedic_collector.counters import Counters
from paramedic_collector.forward.forwarder import Forwarder
from paramedic_collector.otlp import Signal
from paramedic_collector.record.recorder import Recorder

PLAIN = ClientTls(insecure=True)
QUICK = Retry(initial_s=0.02, most_s=0.05, give_up_s=0)


class Node:
    """A recorder and its forwarder, as one process has them."""

    def __init__(self, folder, *exporters, processors=(), limits=None, signal=Signal.TRACES):
        self.recorder = Recorder(folder, limits, clock=time.time)
        self.counters = Counters()
        pipeline = Pipeline("traces", signal, processors=processors, exporters=exporters)
        self.forwarder = Forwarder([pipeline], self.recorder, self.counters)
        self.forwarder.start()

    def record(self, *names):
        record(self.recorder, *(one_span(name) for name in names))

    def total(self, name, **labels):
        return self.counters.total(f"otelcol_exporter_{name}", **labels)

    def stop(self):
        self.forwarder.stop()
        self.recorder.close()


@contextmanager
def nodes(folder):
    """Makes nodes on one folder; each new one takes the place of the one before."""
    made = []

    def make(*exporters, **settings):
        for one in made:
            one.stop()
        made.append(Node(folder / "recorder", *exporters, **settings))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@contextmanager
def serving(backend):
    backend.start()
    try:
        yield backend
    finally:
        backend.stop()


def towards(backend, **settings):
    """The exporter that a configuration would have for a backend."""
    settings = {"retry": QUICK, "tls": PLAIN, "timeout_s": 5.0} | settings
    if isinstance(backend, HttpBackend):
        return OtlpExporter("otlp_http/backend", "http", backend.url, **settings)
    return OtlpExporter("otlp_grpc/backend", "grpc", backend.target, **settings)


def names(count, prefix="s"):
    return [f"{prefix}{number}" for number in range(count)]
