"""One training from beginning to end: gather, hold out, train, compare.

simulated systems, recorded sets, labels --a part held out--> train --> model --beside the one in use--> Outcome
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from paramedic_detector.diagnosis.model import Model
from paramedic_detector.diagnosis.taxonomy import Taxonomy
from paramedic_detector.learn.examples import Example, Source
from paramedic_detector.learn.gather import held_out_seeds, simulated, train_seeds
from paramedic_detector.learn.report import figures, tell
from paramedic_detector.learn.shadow import Comparison, compare
from paramedic_detector.learn.training import train
from paramedic_detector.simulate.suites import HELD_OUT

EVERY: Final = 4  # of recorded cases and of incidents with a label one of so many is held out
Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a training came to."""

    model: Model
    comparison: Comparison
    learnt: int  # cases
    by_source: dict[str, int]  # cases learnt from

    def as_json(self) -> dict[str, Any]:
        return {
            "version": self.model.version,
            "classes": list(self.model.classes),
            "temperature": self.model.temperature,
            "cases_learnt": self.learnt,
            "cases_by_source": self.by_source,
            "held_out": self.comparison.candidate,
            "in_use": self.comparison.current,
            "better": self.comparison.promote,
            "why": self.comparison.reason,
        }


def simulations(systems: int, held_out: int, progress: Progress, jobs: int = 1) -> Iterator[Example]:
    """Examples of systems to learn from, then of others to measure on; the same in however many processes."""
    seeds = [*train_seeds(systems), *held_out_seeds(held_out)]
    with ProcessPoolExecutor(jobs) as pool:
        systems_of = pool.map(_system, seeds) if jobs > 1 else map(_system, seeds)
        for done in range(len(seeds)):
            progress(f"simulating system {done + 1} of {len(seeds)}", done / len(seeds))
            yield from next(systems_of)


def _system(seed: int) -> list[Example]:
    return list(simulated(seed))


def is_held_out(example: Example, places: dict[str, int]) -> bool:
    """Whether a case is measured on and not learnt from."""
    if example.source is Source.SIMULATED:
        return int(example.group.partition("-")[0]) >= HELD_OUT
    return places.setdefault(example.group, len(places)) % EVERY == EVERY - 1


def split(examples: Iterable[Example]) -> tuple[list[Example], list[Example]]:
    """What to learn from, and what to measure on; never parts of the same case."""
    learnt: list[Example] = []
    held: list[Example] = []
    places: dict[str, int] = {}
    for one in examples:
        (held if is_held_out(one, places) else learnt).append(one)
    return learnt, held


def teach(
    examples: Sequence[Example], taxonomy: Taxonomy, current: Model | None, *, seed: int, progress: Progress
) -> Outcome:
    """Train on what is not held out, and compare on what is.

    Raises:
        ValueError: Too little to learn from, or nothing held out to measure on.
    """
    learnt, held = split(examples)
    if not held:
        raise ValueError("no case is held out to measure on; simulate at least one held-out system")
    model = train(learnt, taxonomy, seed=seed, progress=progress)
    comparison = compare(model, current, held)
    of = {source: len({one.group for one in learnt if one.source is source}) for source in Source}
    by_source = {source.value: cases for source, cases in of.items() if cases}
    return Outcome(model, comparison, sum(by_source.values()), by_source)


def measured(model: Model, examples: Sequence[Example]) -> dict[str, Any]:
    """The figures of a model on examples, those of `report.figures`."""
    return figures(tell(model, examples))
