"""Collectors to be killed: python forward_child.py DATA_DIR HTTP_URL.

For each line that it reads it starts one in a process of its own, which says its process id and port on a line,
takes OTLP over HTTP and forwards to the URL. What they have in common is loaded once.
"""

import os
import sys
import threading
from pathlib import Path

from paramedic_collector.bus import InProcessBus
from paramedic_collector.config.model import (
    ClientTls,
    CollectorConfig,
    OtlpExporter,
    Pipeline,
    Receiver,
    Retry,
    Server,
)
from paramedic_collector.main import Collector
from paramedic_collector.otlp import Signal
from paramedic_collector.receive.addresses import Endpoint
from paramedic_collector.warm_up import warm_up


def live(folder: str, url: str) -> None:
    retry = Retry(initial_s=0.02, most_s=0.05, give_up_s=0)
    exporter = OtlpExporter("otlp_http/backend", "http", url, tls=ClientTls(insecure=True), retry=retry)
    pipeline = Pipeline("traces", Signal.TRACES, exporters=(exporter,))
    receiver = Receiver("otlp", http=Server(Endpoint("localhost", 0), 20 << 20))
    collector = Collector(CollectorConfig((receiver,), (pipeline,)), InProcessBus(), Path(folder))
    collector.start()
    sys.stdout.write(f"{os.getpid()} {collector.addresses['http'].port}\n")
    sys.stdout.flush()
    threading.Event().wait()


def main(folder: str, url: str) -> None:
    warm_up()
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            live(folder, url)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
