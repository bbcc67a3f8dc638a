"""Customers: ``python -m paramedic_demo.load --url http://127.0.0.1:9000/chat --rate 10 --seed 7 --out load.jsonl``.

Writes one JSON line a message: at, seconds, useful, why, conversation, served_by, zone and some more.
SIGTERM and Ctrl-C end it after the answers that are still awaited.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext

from paramedic_demo.load.drive import Driver
from paramedic_demo.load.plan import messages

MOST_IN_FLIGHT = 400  # more than 10 s of the longest burst at 10 a second


async def drive(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    with nullcontext(sys.stdout) if options.out == "-" else open(options.out, "a", encoding="utf-8") as out:  # noqa: ASYNC230
        driver = Driver(options.url, out, most_in_flight=options.most_in_flight)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, driver.stop)
        await driver.run(messages(options.seed, options.rate), options.duration)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m paramedic_demo.load", description="Customers of the demo.")
    parser.add_argument("--url", required=True, help="of the front door, with /chat")
    parser.add_argument("--rate", type=float, default=10.0, help="messages a second, on average")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", required=True, help="file for the JSON lines; - for standard output")
    parser.add_argument("--duration", type=float, help="seconds; without it until SIGTERM")
    parser.add_argument("--most-in-flight", type=int, default=MOST_IN_FLIGHT)
    options = parser.parse_args(arguments)
    if not options.rate > 0:
        sys.exit(f"load: --rate must be above 0 messages a second, got {options.rate:g}")
    asyncio.run(drive(options))


if __name__ == "__main__":
    main()
