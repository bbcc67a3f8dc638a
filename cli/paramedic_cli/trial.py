"""What `demo` and `drill` have in common: read scenarios, run arms, show them, turn what fails into sentences."""

import importlib.util
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

from rich.console import Console

from paramedic_cli.errors import UserError
from paramedic_cli.evidence import Run
from paramedic_cli.experiment import Experiment, Plan
from paramedic_cli.live import display_for
from paramedic_demo.fleet import FleetError
from paramedic_demo.scenario import Scenario, load, load_all
from paramedic_demo.scenario_reading import ScenarioError


def scenario_named(name: str, duration_s: float | None) -> Scenario:
    """A scenario by name or file, in its own time or scaled to `duration_s`.

    Raises:
        UserError: There is none, something in it is wrong, or the duration is too short for it.
    """
    return _read(lambda: [load(name)], duration_s)[0]


def scenarios_named(names: Sequence[str], duration_s: float | None) -> list[Scenario]:
    """As `scenario_named`, for several names; that of a folder means all that is in it.

    Raises:
        UserError: As above.
    """
    return [scenario for name in names for scenario in _read(partial(load_all, name), duration_s)]


def _read(find: Callable[[], Sequence[Scenario]], duration_s: float | None) -> list[Scenario]:
    if importlib.util.find_spec("openai") is None:
        raise UserError(
            "the demo's bot needs paramedic[demo] (openai is missing); pip install 'paramedic[demo]'", code=2
        )
    try:
        return [one if duration_s is None else one.scaled(duration_s) for one in find()]
    except ScenarioError as error:
        raise UserError(*error.mistakes, code=2) from None
    except ValueError as error:
        raise UserError(f"--duration {duration_s:g}: {error}", code=2) from None


def run_plan(plan: Plan, console: Console, then: Callable[[Experiment, Run], None] | None = None) -> Run:
    """Run one arm and show it live; everything that was started is stopped when this returns or raises.

    Args:
        plan: What to run.
        console: Where to show it.
        then: What to do with the experiment while it still stands.
    """
    try:
        display = display_for(console)
        with interrupted_by_sigterm(), Experiment(plan, display.show) as experiment:
            with display:
                run = experiment.run()
            if then:
                then(experiment, run)
            return run
    except FleetError as error:
        raise UserError(f"the demo's bots: {error}") from None


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that no child stays behind."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def run_folder(kept: Path | None) -> Iterator[Path]:
    """Where runs write: `kept` when it is given, else a temporary folder that is removed in the end."""
    if kept is not None:
        try:
            kept.mkdir(parents=True, exist_ok=True)
            full = any(kept.iterdir())
        except OSError as error:
            raise UserError(f"--folder {kept} cannot be used ({error.strerror}); name another") from None
        if full:
            raise UserError(f"--folder {kept} is not empty; name a new one, so that two runs do not mix", code=2)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="paramedic-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
