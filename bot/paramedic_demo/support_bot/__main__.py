"""Starts one support bot: ``python -m paramedic_demo.support_bot --port 9001 --zone eu-1a --arm platform``.

arm platform   guards of the SDK, telemetry to the platform, commands from it
arm sdk        the same guards, alone: OTEL_*_EXPORTER=none and no platform in the environment
arm bare       no SDK; `paramedic` is not even imported
"""

import argparse
import os
import random
import sys
from collections.abc import Sequence
from typing import Any

from paramedic_demo.bugs import add_flags, bug_of
from paramedic_demo.faults_server import UNTRACED
from paramedic_demo.support_bot.serve import serve
from paramedic_demo.support_bot.troubles import Troubles
from paramedic_demo.support_bot.wire import SettingError, Settings

ARMS = ("bare", "sdk", "platform")


def bare_bot(settings: Settings, troubles: Troubles, zone: str) -> Any:
    from paramedic_demo.support_bot.app import bot_app
    from paramedic_demo.support_bot.calls_bare import BareCalls

    return bot_app(BareCalls(settings, troubles), zone, settings.queue_file, troubles)


def guarded_bot(settings: Settings, troubles: Troubles, zone: str, version: str) -> Any:
    """The bot with the SDK; imported here because the bare arm must not have it."""
    import paramedic
    from paramedic.asgi import Traced
    from paramedic_demo import gauges
    from paramedic_demo.support_bot.app import bot_app
    from paramedic_demo.support_bot.calls_guarded import GuardedCalls

    paramedic.init(service="support-bot", version=version, zone=zone)
    gauges.tell()
    return Traced(
        bot_app(GuardedCalls(settings, troubles=troubles), zone, settings.queue_file, troubles), exclude=UNTRACED
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m paramedic_demo.support_bot", description="The demo's support bot.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--zone", required=True)
    parser.add_argument("--arm", choices=ARMS, default="platform")
    parser.add_argument("--seed", type=int, help="of who is struck by a fault")
    add_flags(parser)
    options = parser.parse_args(arguments)
    try:
        settings = Settings.read(os.environ)
    except SettingError as error:
        sys.exit(f"support-bot: {error}")
    troubles = Troubles(random.Random(options.seed), bug_of(options))
    if options.arm == "bare":
        serve(bare_bot(settings, troubles, options.zone), options.port)
    else:
        serve(guarded_bot(settings, troubles, options.zone, options.version), options.port)


if __name__ == "__main__":
    main()
