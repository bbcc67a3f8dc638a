"""Starts the front door: ``python -m paramedic_demo.front_door --port 9000 --arm platform``.

It is a treated bot like any other: in the arm `platform` it reports to the platform and takes commands from it.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from paramedic_demo.faults_server import UNTRACED
from paramedic_demo.front_door.app import front_app
from paramedic_demo.support_bot.serve import serve
from paramedic_demo.support_bot.wire import SettingError, bots_of

ARMS = ("bare", "sdk", "platform")
VERSION = "1.0"
ZONE = "eu-1"  # of the region, in front of its zones


def bare_door(bots: Mapping[str, str]) -> Any:
    from paramedic_demo.front_door.spread_bare import BareSpread

    return front_app(BareSpread(bots))


def guarded_door(bots: Mapping[str, str]) -> Any:
    """The door with the SDK; imported here because the bare arm must not have it."""
    import paramedic
    from paramedic.asgi import Traced
    from paramedic_demo import gauges
    from paramedic_demo.front_door.spread_guarded import GuardedSpread

    paramedic.init(service="front-door", version=VERSION, zone=ZONE)
    gauges.tell()
    return Traced(front_app(GuardedSpread(bots)), exclude=UNTRACED)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m paramedic_demo.front_door", description="The demo's front door.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--arm", choices=ARMS, default="platform")
    options = parser.parse_args(arguments)
    try:
        bots = bots_of(os.environ)
    except SettingError as error:
        sys.exit(f"front-door: {error}")
    make = bare_door if options.arm == "bare" else guarded_door
    serve(make(bots), options.port)


if __name__ == "__main__":
    main()
