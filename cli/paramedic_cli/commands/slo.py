"""`paramedic slo`: objectives and their error budgets, from a terminal."""

from pathlib import Path
from typing import Annotated

import typer

from paramedic_cli.options import DataDir, JsonTo, environment, platform_api
from paramedic_cli.output import check_json_target, console_for, write_json

app = typer.Typer(help="List, show and check service level objectives.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The objective's name.")]
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of OpenSLO v1 files.")]


@app.command("list")
def list_slos(data_dir: DataDir = None, json_to: JsonTo = None) -> None:
    """Every objective, the worst first."""
    from paramedic_cli.slo_tables import slo_rows

    check_json_target(json_to)
    with platform_api(environment(data_dir)) as api:
        found = api.slos()
    console_for(json_to).print(slo_rows(found) if found else "no objective yet: no service was seen that users reach")
    write_json([one.model_dump(mode="json") for one in found], json_to)


@app.command("show")
def show(name: Name, data_dir: DataDir = None, json_to: JsonTo = None) -> None:
    """One objective: its budget, how long it lasts, and which rule is broken."""
    from paramedic_cli.slo_tables import slo_page

    check_json_target(json_to)
    with platform_api(environment(data_dir)) as api:
        found = api.slo(name)
    console_for(json_to).print(slo_page(found))
    write_json(found.model_dump(mode="json"), json_to)


@app.command("check")
def check(folder: Folder, json_to: JsonTo = None) -> None:
    """Read a folder of OpenSLO files and say what is wrong with them; nothing is started."""
    from paramedic_cli.errors import UserError
    from paramedic_cli.slo_tables import declared_rows
    from paramedic_detector.slo.openslo import SloError, read

    check_json_target(json_to)
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; name one with OpenSLO v1 files (*.yaml)")
    try:
        found = read(folder)
    except SloError as error:
        raise UserError(*error.mistakes) from None
    console_for(json_to).print(declared_rows(found) if found else f"{folder} has no SLO in it")
    said = [
        {"name": one.name, "service": one.service, "series": str(one.series), "measure": one.measure.value,
         "target": one.target, "at_most_s": one.at_most_s, "window_s": one.window_s, "source": one.source}
        for one in found
    ]  # fmt: skip
    write_json(said, json_to)
