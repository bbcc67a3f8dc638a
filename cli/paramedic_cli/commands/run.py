"""`paramedic run`: listed here so that `--help` shows it; `paramedic_cli.main` runs it before Typer is asked."""

from typing import Annotated

import typer

PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def run(command: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="For example: python app.py")]) -> None:
    """Start a bot with paramedic in it, without changing its code."""
    from paramedic_cli.main import main

    raise typer.Exit(main(["run", *command]))
