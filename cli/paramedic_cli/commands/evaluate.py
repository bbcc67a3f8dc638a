"""`paramedic eval`: recorded sets through the same code as live telemetry, scored against their truth."""

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from paramedic_cli.errors import UserError
from paramedic_cli.options import JsonTo

Sets = Annotated[list[Path], typer.Argument(metavar="DATASET...", help="Folders in the normalised form.")]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="MOMENT", help="Only from then on: a date with a time, or unix seconds."),
]
Until = Annotated[str | None, typer.Option("--until", metavar="MOMENT", help="Only until then.")]
Page = Annotated[
    Path | None, typer.Option("--page", metavar="FILE", help="Put the result between the marks of a Markdown page too.")
]


def evaluate(
    datasets: Sets,
    since: Since = None,
    until: Until = None,
    page: Page = None,
    json_to: JsonTo = None,
) -> None:
    """Replay recorded data sets through the same code as live telemetry and score what it says."""
    from paramedic_cli.eval_page import check_page, put_page
    from paramedic_cli.eval_progress import Bar
    from paramedic_cli.eval_report import eval_tables
    from paramedic_cli.intervals import wilson
    from paramedic_cli.measuring import measure, read_folder
    from paramedic_cli.output import check_json_target, console_for, write_json
    from paramedic_detector.evaluate.card import Card

    check_json_target(json_to)
    check_page(page)
    between = (_moment("--since", since), _moment("--until", until))
    for folder in datasets[1:]:  # the first is read at once; a mistake in the last should not cost the work on it
        read_folder(folder)
    console = console_for(json_to)
    logging.getLogger("paramedic.engine").addFilter(_Once())
    cards = []
    for folder in datasets:
        with Bar(console) as bar:
            found = measure(folder, between, bar)
        cards.append(Card(found, wilson).figures())
        console.print(eval_tables(cards[-1]))
    put_page(page, cards)
    write_json(cards[0] if len(cards) == 1 else {"sets": cards}, json_to)


class _Once(logging.Filter):
    """A replay lives through hours in minutes: what goes wrong in every second of them is told once."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[tuple[str, str]] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        what = (record.getMessage(), repr(record.exc_info[1]) if record.exc_info else "")
        new = what not in self._told
        self._told.add(what)
        return new


def _moment(flag: str, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        return float(value)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise UserError(
            f"{flag} should be a date with a time, as 2023-01-30T12:00, or unix seconds, got {value!r}", code=2
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
