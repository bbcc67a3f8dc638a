"""``paramedic run python app.py``: the same program, recorded without a line of it being changed.

    run --PYTHONPATH--> autostart/sitecustomize.py, in the program and in every Python that it starts
                            --import of openai, fastapi, ...--> `paramedic.init()` and `paramedic.instrument()`

OTEL_SERVICE_NAME or PARAMEDIC_SERVICE names the bot; everything else is found as `init` finds it.
Standard library only.
"""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

AUTOSTART = Path(__file__).parent / "autostart"
USAGE = "usage: paramedic run [--service NAME] COMMAND [ARGUMENT...], for example: paramedic run python app.py"


class UsageError(Exception):
    """What was typed cannot be run; the message says why."""


def plan(argv: Sequence[str], env: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The command to run and its environment.

    Raises:
        UsageError: No command, or no name for the service.
    """
    words, told = list(argv), dict(env)
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option == "--":
            break
        name, given, value = option.partition("=")
        if name != "--service" or not (given or words):
            raise UsageError(f"paramedic: run does not know {option!r}; {USAGE}")
        told["OTEL_SERVICE_NAME"] = value if given else words.pop(0)
    if not words:
        raise UsageError(f"paramedic: run was given no command; {USAGE}")
    named = ("service.name=" in told.get("OTEL_RESOURCE_ATTRIBUTES", "")) or told.get("PARAMEDIC_SERVICE")
    if not told.get("OTEL_SERVICE_NAME") and not named:
        raise UsageError(
            "paramedic: the bot has no name; set OTEL_SERVICE_NAME, or type: paramedic run --service NAME COMMAND"
        )
    rest = told.get("PYTHONPATH")
    told["PYTHONPATH"] = os.pathsep.join([str(AUTOSTART), *([rest] if rest else [])])
    return words, told


def main(argv: Sequence[str]) -> int:
    """Become the command; returns an exit code only when that cannot be done."""
    try:
        words, env = plan(argv, os.environ)
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    program = shutil.which(words[0]) or shutil.which(words[0], path=os.path.dirname(sys.executable))
    if program is None:
        hint = f"; try: paramedic run python {words[0]}" if words[0].endswith(".py") else ""
        sys.stderr.write(f"paramedic: cannot find the program {words[0]!r} on PATH{hint}\n")
        return 127
    os.execve(program, words, env)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
