"""Flags that several commands share, so that they read and mean the same everywhere."""

import getpass
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from paramedic_cli.api import Api

JsonTo = Annotated[
    str | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON to FILE; - for standard output.")
]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", metavar="FOLDER", help="Where the platform keeps its data.")
]
Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings; paramedic.yaml here when there is one.")
]
OtelConfig = Annotated[
    Path | None, typer.Option("--otel-config", metavar="FILE", help="The collector's pipelines; built-in ones without.")
]
Seed = Annotated[int, typer.Option("--seed", help="Same seed, same load and same chances.")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who you are, as it is written down.")]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="Why, for whoever reads it later.")]


def environment(data_dir: Path | None = None) -> dict[str, str]:
    """The environment, with a flag for the data folder on top of it."""
    env = dict(os.environ)
    if data_dir is not None:
        env["PARAMEDIC_DATA_DIR"] = str(data_dir)
    return env


def platform_api(env: Mapping[str, str]) -> "Api":
    """The API of the platform that the environment or the data folder names; loaded only when it is asked for."""
    from paramedic_cli.api import Api

    return Api.found(env)


def me() -> str:
    """Who runs the command, for what is written down."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a user database
        return "operator"
