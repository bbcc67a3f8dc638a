"""`paramedic token`: what a bot on another machine shows to find its platform."""

from typing import Annotated

import typer

from paramedic.contract.keys import bot_token
from paramedic_cli.credentials import read_credentials
from paramedic_cli.errors import UserError
from paramedic_cli.options import DataDir, JsonTo, environment
from paramedic_cli.output import check_json_target, console_for, write_json

Service = Annotated[str, typer.Argument(metavar="SERVICE", help="The bot's service name, as in paramedic.init.")]


def token(service: Service, data_dir: DataDir = None, json_to: JsonTo = None) -> None:
    """Print PARAMEDIC_URL and PARAMEDIC_TOKEN of one service's bots."""
    check_json_target(json_to)
    if not service.strip():
        raise UserError("SERVICE must be a service's name, got an empty one", code=2)
    known = read_credentials(environment(data_dir))
    found = {"PARAMEDIC_URL": known.url, "PARAMEDIC_TOKEN": bot_token(known.master, service)}
    if json_to is None:
        for name, value in found.items():
            console_for(json_to).print(f"{name}={value}", markup=False, soft_wrap=True)
    write_json(found, json_to)
