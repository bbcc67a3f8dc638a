"""`paramedic actions`: what paramedic did and would do, and a person's say in it."""

from typing import Annotated

import typer

from paramedic_cli.options import By, DataDir, JsonTo, Note, environment, me, platform_api
from paramedic_cli.output import check_json_target, console_for, write_json

app = typer.Typer(help="List, approve, reject and revert actions.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ACT-N", help="The action's id.")]
InForce = Annotated[bool, typer.Option("--in-force", help="Only those that change a bot right now.")]


@app.command("list")
def list_actions(in_force: InForce = False, data_dir: DataDir = None, json_to: JsonTo = None) -> None:
    """The newest actions first."""
    from paramedic_cli.tables import action_rows

    check_json_target(json_to)
    with platform_api(environment(data_dir)) as api:
        found = api.actions(in_force=in_force)
    console_for(json_to).print(action_rows(found) if found else "no actions")
    write_json([action.model_dump(mode="json") for action in found], json_to)


@app.command("approve")
def approve(action_id: Id, by: By = "", note: Note = "", data_dir: DataDir = None, json_to: JsonTo = None) -> None:
    """Let a proposed action be done."""
    _write(action_id, "approve", by, note, data_dir, json_to)


@app.command("reject")
def reject(action_id: Id, by: By = "", note: Note = "", data_dir: DataDir = None, json_to: JsonTo = None) -> None:
    """Say no to a proposed action."""
    _write(action_id, "reject", by, note, data_dir, json_to)


@app.command("revert")
def revert(action_id: Id, by: By = "", note: Note = "", data_dir: DataDir = None, json_to: JsonTo = None) -> None:
    """Undo an action that is in force."""
    _write(action_id, "revert", by, note, data_dir, json_to)


def _write(action_id: str, verb: str, by: str, note: str, data_dir: DataDir, json_to: JsonTo) -> None:
    check_json_target(json_to)
    with platform_api(environment(data_dir)) as api:
        action = api.write_action(action_id, verb, by=by or me(), note=note)
    console_for(json_to).print(f"{action.id} is {action.state}: {action.kind} of {action.target}", markup=False)
    write_json(action.model_dump(mode="json"), json_to)
