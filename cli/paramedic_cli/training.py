"""What `train` needs: the examples of simulation, recorded sets and people, the course, the shelf, and tables."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from sqlalchemy.engine import make_url

from paramedic_cli.errors import UserError
from paramedic_cli.measuring import read_folder
from paramedic_detector.diagnosis.model import Model, version_of
from paramedic_detector.diagnosis.taxonomy import Taxonomy
from paramedic_detector.learn import examples as kept
from paramedic_detector.learn.course import simulations, teach
from paramedic_detector.learn.examples import Example
from paramedic_detector.learn.labels import labelled_examples
from paramedic_detector.learn.recorded import recorded_examples
from paramedic_detector.learn.shadow import Comparison
from paramedic_detector.learn.versions import Shelf
from paramedic_detector.store.database import connect
from paramedic_detector.store.labels import labelled
from paramedic_detector.store.store import Store

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the flags said."""

    data: tuple[Path, ...]
    systems: int
    held_out: int
    jobs: int
    examples: Path | None
    out: Path | None
    seed: int
    promote: bool | None  # None: when it is better than the one in use
    data_dir: Path
    store_url: str


def trained(wanted: Wanted, progress: Progress) -> dict[str, Any]:
    """Train, compare, keep, and promote when that was wanted and the model is better; the report.

    Raises:
        UserError: There is too little to learn from, or a file cannot be read.
    """
    taxonomy, shelf = Taxonomy.load(), Shelf(wanted.data_dir / "models")
    try:
        examples = [*_simulated(wanted, progress), *_recorded(wanted, taxonomy, progress), *_said(wanted)]
        outcome = teach(examples, taxonomy, _in_use(shelf), seed=wanted.seed, progress=progress)
        report = outcome.as_json()
        model = replace(outcome.model, report={name: report[name] for name in ("held_out", "cases_by_source")})
        report["version"] = version_of(model.to_bytes())
        if wanted.out is not None:
            model.dump(wanted.out)
            return report | {"promoted": False, "file": str(wanted.out)}
        shelf.keep(model, report)
        promoted = is_taken(wanted.promote, outcome.comparison)
        if promoted:
            shelf.promote(report["version"])
        return report | {"promoted": promoted, "file": str(shelf.path_of(report["version"]))}
    except ValueError as error:
        raise UserError(str(error)) from None


def is_taken(promote: bool | None, found: Comparison) -> bool:
    """A first model, with nothing to compare it with, is used only when a person says so."""
    return promote is not False and (found.promote or (promote is True and found.current is None))


def reverted(data_dir: Path) -> str:
    """Go back to the model before; its version, empty for the one that comes with paramedic.

    Raises:
        UserError: There was none before.
    """
    try:
        return Shelf(data_dir / "models").revert() or ""
    except ValueError as error:
        raise UserError(str(error)) from None


def _in_use(shelf: Shelf) -> Model | None:
    try:
        return Model.load(shelf.current())
    except (ValueError, OSError):
        return None  # of another version of paramedic, or none: anything is better


def _simulated(wanted: Wanted, progress: Progress) -> list[Example]:
    if wanted.examples is not None and wanted.examples.exists():
        return kept.load(wanted.examples)
    found = list(simulations(wanted.systems, wanted.held_out, progress, wanted.jobs))
    if wanted.examples is not None:
        kept.save(wanted.examples, found)
    return found


def _recorded(wanted: Wanted, taxonomy: Taxonomy, progress: Progress) -> Iterator[Example]:
    for folder in wanted.data:
        progress(f"reading {folder.name}", 0.0)
        recorded = read_folder(folder)
        yield from recorded_examples(recorded.name, recorded, recorded.faults, taxonomy.labels)


def _said(wanted: Wanted) -> list[Example]:
    """What people said of incidents; nothing where no platform ever ran."""
    url = make_url(wanted.store_url)
    if url.get_backend_name() == "sqlite" and not (url.database and Path(url.database).exists()):
        return []
    store = Store(connect(wanted.store_url))
    store.start()
    try:
        with store.reading() as session:
            return list(labelled_examples(labelled(session)))
    finally:
        store.close()


def train_tables(report: dict[str, Any]) -> RenderableType:
    """The report as a person reads it."""
    held = report["held_out"]
    lines = [
        f"model {report['version']}: learnt from {report['cases_learnt']} cases, held out {held['cases']}",
        f"class and target right: {_share(held['accuracy'])}, at the last moment {_share(held['accuracy_late'])}",
        f"class right: {_share(held['class_accuracy'])}, at the last moment {_share(held['class_accuracy_late'])}",
        f"confident mistakes (0.9 and more) {_share(held['confident_mistakes'])}, unknown {_share(held['unknown'])}",
        f"macro-F1 {held['macro_f1']}, Brier {held['brier']}, calibration error {held['expected_calibration_error']}",
        f"{'promoted' if report['promoted'] else 'not promoted'}: {report['why']}; {report['file']}",
    ]
    return Group(Text("\n".join(lines)), _classes(held), _reliability(held))


def _classes(held: dict[str, Any]) -> Table:
    table = Table("class", "cases", "precision", "recall", "target right", box=SIMPLE_HEAD)
    for name, row in held["classes"].items():
        table.add_row(name, str(row["cases"]), *(_share(row[one]) for one in ("precision", "recall", "target_right")))
    return table


def _reliability(held: dict[str, Any]) -> Table:
    table = Table("said", "examples", "mean said", "right", box=SIMPLE_HEAD)
    for row in held["reliability"]:
        if row["examples"]:
            said = f"{row['from']:.1f} to {row['to']:.1f}"
            table.add_row(said, str(row["examples"]), _share(row["said"]), _share(row["right"]))
    return table


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
