"""A collector as a process that a test may kill at any moment, with a consumer that keeps what it applied.

    python killed_runner.py FOLDER        "start GRPC_PORT HTTP_PORT" on stdin forks a collector, "finish" ends it

Each life is a process of its own, forked from one that has done nothing but import, since imports take longer than
lives. It says its process id and ports in one line. Now and then its consumer appends the batches that it got and how
far it has come to one file, as one record: whole or not at all, like a detector's checkpoint. When it finishes,
everything is joined, stopped and written, and it says its counters.
"""

import faulthandler
import json
import os
import random
import signal
import struct
import sys
import threading
import time
import traceback
import zlib
from pathlib import Path

import pyarrow as pa

from paramedic_collector.bus import InProcessBus
from paramedic_collector.config.model import CollectorConfig, Pipeline, Receiver, Server
from paramedic_collector.main import Collector
from paramedic_collector.otlp import Signal
from paramedic_collector.receive.addresses import Endpoint
from paramedic_collector.warm_up import warm_up
from paramedic_collector.windows import Resume

_SIZES = struct.Struct("<III")  # bytes of the JSON, bytes of the tables, CRC of both


def records(path: Path):
    """Each whole record: how far the consumer had come, and the rows it applied by family; and where it ends."""
    data, at = path.read_bytes() if path.exists() else b"", 0
    while len(data) - at >= _SIZES.size:
        about, tables, crc = _SIZES.unpack_from(data, at)
        start, end = at + _SIZES.size, at + _SIZES.size + about + tables
        if end > len(data) or zlib.crc32(data[start:end]) != crc:
            return
        yield json.loads(data[start : start + about]), data[start + about : end], end
        at = end


def tables_of(about, data):
    """(family, record batch) of everything in a record."""
    at = 0
    for family, size in about["tables"]:
        with pa.ipc.open_stream(data[at : at + size]) as stream:
            yield from ((family, batch) for batch in stream)
        at += size


class Consumer:
    """Applies batches, and keeps them with how far it has come."""

    def __init__(self, path: Path, bus: InProcessBus, seed: int) -> None:
        self._path, self._bus, self._dice = path, bus, random.Random(seed)
        self.kept = self.resume = None
        whole = 0
        for about, _, end in records(path):
            self.kept = self.resume = Resume(tuple(about["folded"]), tuple(about["joined"]), tuple(about["flowed"]))
            whole = end
        if path.exists():
            os.truncate(path, whole)
        self._waiting = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._finished = threading.Event()

    def start(self):
        self._thread.start()

    def finish(self):
        self._finished.set()
        self._thread.join()

    def _run(self):
        while True:
            last = self._finished.is_set()
            for batch in self._bus.batches(0.05):
                self._apply(batch)
            if last or self._dice.random() < 0.1:
                self._keep()
            if last:
                return

    def _apply(self, batch):
        known = self.resume or Resume()
        if not known.has(batch):
            self.resume = known.after(batch)
            self._waiting += batch.tables.items()

    def _keep(self):
        if self.resume is None:
            return
        parts = [(family, _bytes(table)) for family, table in self._waiting]
        about = {"folded": self.resume.folded, "joined": self.resume.joined, "flowed": self.resume.flowed}
        text = json.dumps(about | {"tables": [(family, len(data)) for family, data in parts]}).encode()
        body = b"".join([text, *(data for _, data in parts)])
        with open(self._path, "ab", buffering=0) as file:
            file.write(_SIZES.pack(len(text), len(body) - len(text), zlib.crc32(body)) + body)
        self.kept, self._waiting = self.resume, []


def _bytes(table):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_batch(table)
    return sink.getvalue().to_pybytes()


def live(folder, grpc_port, http_port):
    """One life of the collector, until SIGTERM or worse."""
    faulthandler.register(signal.SIGUSR1)  # says in the log where it hangs
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    bus = InProcessBus()
    consumer = Consumer(folder / "applied", bus, seed=time.time_ns())
    servers = {
        "grpc": Server(Endpoint("127.0.0.1", grpc_port), 20 << 20),
        "http": Server(Endpoint("127.0.0.1", http_port), 20 << 20),
    }
    pipelines = tuple(Pipeline(one, one, windows=True) for one in Signal)
    config = CollectorConfig((Receiver("otlp", **servers),), pipelines)
    collector = Collector(config, bus, folder, name="killed", resume=consumer.resume)
    consumer.start()
    collector.start()
    say({name: endpoint.port for name, endpoint in collector.addresses.items()} | {"pid": os.getpid()})
    told.wait()
    while (consumer.resume or Resume()).joined != collector.recorder.committed.end.position:
        time.sleep(0.05)
    collector.stop()
    consumer.finish()
    say(collector.counters)


def say(something):
    sys.stdout.write(json.dumps(something) + "\n")
    sys.stdout.flush()


def main(folder):
    warm_up()  # once for all lives
    child = 0
    for line in sys.stdin:
        command, *ports = line.split()
        if command == "finish":
            os.kill(child, signal.SIGTERM)
        if child:
            os.waitpid(child, 0)
        if command == "start" and not (child := os.fork()):
            try:
                live(Path(folder), *map(int, ports))
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
