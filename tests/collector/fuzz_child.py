"""A collector of its own for the live fuzz tests: prints its ports, and runs until its input ends.

python fuzz_child.py FOLDER
"""

import sys
from pathlib import Path

from collector_kit import config_of

from paramedic_collector.bus import InProcessBus
from paramedic_collector.main import Collector
from paramedic_collector.receive.addresses import Endpoint

FREE = Endpoint("localhost", 0)
collector = Collector(config_of(FREE, FREE, limit_bytes=1 << 20), InProcessBus(), Path(sys.argv[1]))
collector.start()
print(collector.addresses["http"].port, collector.addresses["grpc"].port, flush=True)  # noqa: T201
sys.stdin.read()
collector.stop()
