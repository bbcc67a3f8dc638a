"""`paramedic stop`: the global stop. From then on paramedic only watches and tells."""

from typing import Annotated

import typer

from paramedic_cli.options import By, DataDir, JsonTo, environment, me, platform_api
from paramedic_cli.output import check_json_target, console_for, write_json

Off = Annotated[bool, typer.Option("--off", help="Lift the stop: paramedic may act again.")]


def stop(off: Off = False, by: By = "", data_dir: DataDir = None, json_to: JsonTo = None) -> None:
    """Let paramedic only watch from now on; --off lets it act again."""
    check_json_target(json_to)
    with platform_api(environment(data_dir)) as api:
        api.stop(on=not off, by=by or me())
    said = "paramedic may act again" if off else "stopped: paramedic only watches; `paramedic stop --off` lifts it"
    console_for(json_to).print(said)
    write_json({"stopped": not off}, json_to)
