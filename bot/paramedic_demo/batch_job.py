"""A job of ours that reads order after order: ``python -m paramedic_demo.batch_job --url URL --rate 4``.

It is no user and no bot, and tells nothing of itself. SIGTERM ends it.
"""

import argparse
import itertools
import threading
import time
from collections.abc import Sequence

import httpx

from paramedic_demo.orders_data import FIRST_ORDER, LAST_ORDER

PATIENCE_S = 10.0


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m paramedic_demo.batch_job", description="Looks at every order.")
    parser.add_argument("--url", required=True, help="of the order backend")
    parser.add_argument("--rate", type=float, required=True, help="orders a second")
    options = parser.parse_args(arguments)
    if not options.rate > 0:
        parser.error(f"--rate must be above 0 orders a second, got {options.rate:g}")
    began, pause = time.monotonic(), threading.Event()
    with httpx.Client(base_url=options.url, timeout=PATIENCE_S, trust_env=False) as http:
        for count, number in enumerate(itertools.cycle(range(FIRST_ORDER, LAST_ORDER + 1))):
            pause.wait(max(0.0, began + count / options.rate - time.monotonic()))
            try:
                http.get(f"/orders/{number}")
            except httpx.HTTPError:
                continue


if __name__ == "__main__":
    main()
