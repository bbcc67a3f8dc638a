"""The Typer app: every command of `paramedic` but `run`, one file a command in `commands`.

Whatever goes wrong for a reason that a person can mend ends here as one line on standard error.
"""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console

from paramedic_cli.commands import (
    actions,
    dashboard,
    demo,
    doctor,
    drill,
    evaluate,
    incidents,
    run,
    simulate,
    slo,
    stop,
    token,
    train,
    up,
)
from paramedic_cli.errors import UserError

app = typer.Typer(
    name="paramedic",
    help="The first responder that rides along with your bots.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("run", context_settings=run.PASS_ON)(run.run)
app.command("up")(up.up)
app.command("demo")(demo.demo)
app.command("drill")(drill.drill)
app.command("eval")(evaluate.evaluate)
app.command("simulate")(simulate.simulate)
app.command("train")(train.train)
app.command("dashboard")(dashboard.dashboard)
app.command("doctor")(doctor.doctor)
app.add_typer(incidents.app, name="incidents")
app.add_typer(actions.app, name="actions")
app.add_typer(slo.app, name="slo")
app.command("stop")(stop.stop)
app.command("token")(token.token)


def _version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata

        Console(highlight=False).print(f"paramedic {importlib.metadata.version('paramedic')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """The first responder that rides along with your bots."""


def run_app(words: Sequence[str]) -> int:
    """Run one command; its exit code."""
    try:
        code = app(list(words), prog_name="paramedic", standalone_mode=False)
    except UserError as error:
        return _say(error.sentences, error.code)
    except typer.Abort:
        return _say(["interrupted"], 130)
    except typer.TyperException as error:  # an unknown command or flag, a value of the wrong kind
        return _say(
            [f"{_one_line(error.format_message())}{_given(error, words)}; `--help` shows more"], error.exit_code
        )
    return code if isinstance(code, int) else 0


def _say(sentences: Sequence[str], code: int) -> int:
    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    for sentence in sentences:
        console.print(f"paramedic: {sentence}")
    return code


def _given(error: typer.TyperException, words: Sequence[str]) -> str:
    """The value that a flag or argument was given, when the message names the flag and hides the value."""
    if not isinstance(error, typer.BadParameter) or error.param is None:
        return ""
    flags = set(error.param.opts)
    for word, following in zip(words, [*words[1:], ""], strict=True):
        flag, equals, value = word.partition("=")
        if flag in flags:
            return f", got {value if equals else following!r}"
    return ""


def _one_line(text: str) -> str:
    """Typer's message as the middle of a sentence."""
    line = " ".join(text.split()).rstrip(".")
    return line[:1].lower() + line[1:]
