"""`paramedic incidents`: what is wrong, from a terminal."""

from typing import Annotated

import typer

from paramedic_cli.options import By, DataDir, JsonTo, Note, environment, me, platform_api
from paramedic_cli.output import check_json_target, console_for, write_json

app = typer.Typer(help="List, show, acknowledge and resolve incidents.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="INC-N", help="The incident's id.")]
State = Annotated[
    str | None, typer.Option("--state", metavar="STATE", help="open, acknowledged, mitigated or resolved.")
]


@app.command("list")
def list_incidents(state: State = None, data_dir: DataDir = None, json_to: JsonTo = None) -> None:
    """The newest incidents first."""
    from paramedic_cli.tables import incident_rows

    check_json_target(json_to)
    with platform_api(environment(data_dir)) as api:
        found = api.incidents(state)
    console_for(json_to).print(incident_rows(found) if found else "no incidents")
    write_json([incident.model_dump(mode="json") for incident in found], json_to)


@app.command("show")
def show(incident_id: Id, data_dir: DataDir = None, json_to: JsonTo = None) -> None:
    """One incident: what it is, what was done, whether it worked, and what happened when."""
    from paramedic_cli.tables import incident_page

    check_json_target(json_to)
    with platform_api(environment(data_dir)) as api:
        incident = api.incident(incident_id)
    console_for(json_to).print(incident_page(incident))
    write_json(incident.model_dump(mode="json"), json_to)


@app.command("ack")
def ack(incident_id: Id, by: By = "", note: Note = "", data_dir: DataDir = None, json_to: JsonTo = None) -> None:
    """Tell the others that you are on it."""
    _write(incident_id, "acknowledge", by, note, data_dir, json_to)


@app.command("resolve")
def resolve(incident_id: Id, by: By = "", note: Note = "", data_dir: DataDir = None, json_to: JsonTo = None) -> None:
    """Close an incident by hand."""
    _write(incident_id, "resolve", by, note, data_dir, json_to)


def _write(incident_id: str, verb: str, by: str, note: str, data_dir: DataDir, json_to: JsonTo) -> None:
    check_json_target(json_to)
    with platform_api(environment(data_dir)) as api:
        incident = api.write_incident(incident_id, verb, by=by or me(), note=note)
    console_for(json_to).print(f"{incident.id} is {incident.state}: {incident.title}", markup=False)
    write_json(incident.model_dump(mode="json"), json_to)
