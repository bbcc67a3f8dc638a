"""`paramedic token`: what a bot on another machine shows to find its platform, or whoever sends alerts to it."""

from typing import Annotated

import typer

from paramedic.contract.keys import bot_token, ingest_token
from paramedic_cli.credentials import read_credentials
from paramedic_cli.errors import UserError
from paramedic_cli.options import DataDir, JsonTo, environment
from paramedic_cli.output import check_json_target, console_for, write_json

Service = Annotated[str, typer.Argument(metavar="[SERVICE]", help="The bot's service name, as in paramedic.init.")]
Ingest = Annotated[
    bool, typer.Option("--ingest", help="A token that may send alerts and changes in, and nothing else.")
]


def token(service: Service = "", ingest: Ingest = False, data_dir: DataDir = None, json_to: JsonTo = None) -> None:
    """Print PARAMEDIC_URL and PARAMEDIC_TOKEN of one service's bots, or a token for what sends alerts in."""
    check_json_target(json_to)
    if bool(service.strip()) == ingest:
        raise UserError(
            "name a SERVICE for its bots' token, or --ingest for a sender of alerts: one of the two", code=2
        )
    known = read_credentials(environment(data_dir))
    found = {"PARAMEDIC_URL": known.url}
    found |= (
        {"PARAMEDIC_INGEST_TOKEN": ingest_token(known.master)}
        if ingest
        else {"PARAMEDIC_TOKEN": bot_token(known.master, service)}
    )
    if json_to is None:
        for name, value in found.items():
            console_for(json_to).print(f"{name}={value}", markup=False, soft_wrap=True)
    write_json(found, json_to)
