"""Where a command's words and figures go: people read a console, machines read JSON.

With `--json -` the JSON is all of standard output, and what people read goes to standard error.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from paramedic_cli.errors import UserError

NO_TERMINAL_WIDTH = 120


def console_for(json_to: str | None) -> Console:
    """A console as wide as the terminal, or wide enough for a table where there is none."""
    console = Console(stderr=json_to == "-", highlight=False)
    return console if console.is_terminal else Console(stderr=json_to == "-", highlight=False, width=NO_TERMINAL_WIDTH)


def check_json_target(json_to: str | None) -> None:
    """Find out before the work, not after it, that its result could not be written.

    Raises:
        UserError: Its folder is not there, or it may not be written.
    """
    if json_to is None or json_to == "-":
        return
    path = Path(json_to)
    there = path if path.exists() else path.absolute().parent
    if path.is_dir() or not there.exists() or not os.access(there, os.W_OK):
        raise UserError(f"--json {json_to} cannot be written; name a file in a folder that exists and is yours", code=2)


def write_json(figures: Any, json_to: str | None) -> None:
    """Write `figures` to a file, to standard output for "-", or nowhere for None."""
    if json_to is None:
        return
    text = json.dumps(figures, indent=2, default=str, ensure_ascii=False) + "\n"
    if json_to == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        part = Path(json_to + ".part")
        part.write_text(text)
        part.replace(json_to)
