"""`paramedic dashboard`: the pages alone, for a platform that runs elsewhere."""

import os
from typing import Annotated

import typer

from paramedic_cli.errors import UserError
from paramedic_cli.options import DataDir, JsonTo, environment
from paramedic_cli.output import check_json_target, console_for, write_json
from paramedic_cli.ports import Wanted, check_free, host_and_port

Listen = Annotated[str | None, typer.Option("--listen", metavar="HOST:PORT", help="Where the pages are served.")]
USUAL = "localhost:8501"


def dashboard(listen: Listen = None, data_dir: DataDir = None, json_to: JsonTo = None) -> None:
    """Serve the pages of the platform that PARAMEDIC_URL or the data folder names."""
    from paramedic_cli.credentials import find_api
    from paramedic_dashboard.launch import command

    check_json_target(json_to)
    env = environment(data_dir)
    url, token = find_api(env)
    address = listen or env.get("PARAMEDIC_DASHBOARD") or USUAL
    check_free([Wanted("the dashboard", address, "--listen", "PARAMEDIC_DASHBOARD")])
    host, port = host_and_port(address)
    try:
        argv, child_env = command(url, token, host, port, public_url=env.get("PARAMEDIC_PUBLIC_URL", ""), env=env)
    except ValueError as error:
        raise UserError(str(error)) from None
    console_for(json_to).print(f"dashboard: http://{address}, of the platform at {url}", markup=False)
    write_json({"dashboard": f"http://{address}", "api": url}, json_to)
    os.execve(argv[0], argv, child_env)
