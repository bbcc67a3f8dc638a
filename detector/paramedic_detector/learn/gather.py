"""Examples from simulated faults: each looked at with the diagnoser's own eyes at several moments.

    seed --> a system --> its warm-up, once --> table, baselines --one fault after the other, each from there--> alerts
         --suspects, features--> Example, with its truth

The scorer and the ranking are those of production. What is left out is the store, messages and all seconds in
between: every fault begins from the same warm system, and is left when the last moment has been noted.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from paramedic.contract.command import Target
from paramedic_detector.diagnosis.diagnoser import Diagnoser
from paramedic_detector.incidents.grouping import OPENING, OPENS, blamed
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.learn.examples import Episode, Example, Source
from paramedic_detector.scores.scorer import Scorer
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.simulate.demo_world import demo_graph
from paramedic_detector.simulate.graph import Graph
from paramedic_detector.simulate.plan import START, Happening, Plan
from paramedic_detector.simulate.random_world import random_graph
from paramedic_detector.simulate.suites import CLASSES, HELD_OUT, Drawer
from paramedic_detector.simulate.world import World
from paramedic_detector.values import Alert, Suspect

AGES_S: Final = (0.0, 2.0, 5.0, 12.0, 30.0)  # since the first alert that would open an incident
WARM_S: Final = 200.0
LEAD_S: Final = 6.0  # a fault begins so long after its world
SPARSE_S: Final = 3.0  # between two steps of the scorer while nothing happens
PATIENCE_S: Final = 60.0  # a fault that shows nothing by then is left
LEAK_S: Final = 240.0  # in which a leak fills what there is
DEMO_EVERY: Final = 4  # seeds, of which one is the demo's own system
Said = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Seen:
    """An episode, as it is read."""

    alerts: tuple[Alert, ...]
    table: SeriesTable
    topology: Topology
    now: float
    onset: float
    truth_class: str
    truth_target: Target
    past: tuple[tuple[float, float], ...] = ()


class Scribe:
    """Makes examples of episodes.

    It goes by the weights of the taxonomy: what one model says must not decide what the next one learns from.
    """

    def __init__(self) -> None:
        self.diagnoser = Diagnoser.load(trained=False)

    def note(self, episode: Episode, group: str, source: Source = Source.SIMULATED) -> Example | None:
        """The example of an episode; None when nobody is suspected or the truth is not known.

        Args:
            group: Name of the case: episodes that share it are never on both sides of a split.
        """
        past = getattr(episode, "past", ())
        seen = (episode.alerts, episode.table, episode.topology, episode.now, episode.onset)
        suspects = self.diagnoser.causes.rank(*seen, past)
        if not suspects or not episode.truth_class:
            return None
        first, truth = suspects[0], episode.truth_target
        true = self.diagnoser.look(Target(truth.peer, truth.zone), *seen, past)
        example = Example(true.values, true.kind, episode.truth_class, group, source, first.probability)
        if same_target(first, truth, episode.topology):
            return example
        other = self.diagnoser.look(first.target, *seen, past)
        return replace(example, seen=other.values, seen_kind=other.kind)


def same_target(suspect: Suspect, truth: Target, topology: Topology) -> bool:
    """Whether a suspect is the true cause: the zone matters where there are several."""
    if suspect.target.peer != truth.peer:
        return False
    one_zone = len(topology.members(truth.peer)) < 2
    return one_zone or suspect.target.zone == truth.zone


def simulated(seed: int, classes: Sequence[str] = tuple(CLASSES), *, said: Said = lambda _: None) -> Iterator[Example]:
    """The examples of one simulated system, one fault of each class.

    Args:
        seed: Those from HELD_OUT on are never trained on.
        said: Told what a fault came to.
    """
    graph = demo_graph(nlu=True, tools=True) if seed % DEMO_EVERY == 0 else random_graph(seed)
    drawer = Drawer(graph, np.random.default_rng([seed, 17]))
    table, scorer = _warm(graph, seed)
    blob, memory, start = table.checkpoint(), scorer.checkpoint(), START + WARM_S
    for number, name in enumerate(classes):
        fault = CLASSES[name](drawer)
        if fault is None:
            continue
        lasts_s = LEAK_S if fault.kind == "leak" else PATIENCE_S + AGES_S[-1]
        fault = replace(fault, at_s=LEAD_S, until_s=LEAD_S + lasts_s)
        plan = Plan(f"{seed}-{number}", graph, LEAD_S + lasts_s, (fault,), graph.rate_per_s, start=start)
        found = list(_of_fault(plan, fault, seed * 100 + number, SeriesTable.restore(blob), Scorer.restore(memory)))
        said(f"{seed} {fault.name} {fault.fault_class}: {len(found)} moments, target right in "
             f"{sum(one.target_right for one in found)}")  # fmt: skip
        yield from found


def train_seeds(systems: int) -> range:
    return range(1, 1 + systems)


def held_out_seeds(systems: int) -> range:
    return range(HELD_OUT, HELD_OUT + systems)


def _warm(graph: Graph, seed: int) -> tuple[SeriesTable, Scorer]:
    table, scorer, at = SeriesTable(), Scorer(), 0.0
    world = World(Plan(f"warm-{seed}", graph, WARM_S, (), graph.rate_per_s, start=START), seed)
    for batch in table.ahead(world.batches()):
        table.add(batch)
        now = float(batch.watermark + 1)
        if now - at >= SPARSE_S:
            scorer.score(table, now, frozenset())
            at = now
    return table, scorer


def _of_fault(plan: Plan, fault: Happening, seed: int, table: SeriesTable, scorer: Scorer) -> Iterator[Example]:
    """What one fault shows at each of AGES_S after it was first seen."""
    scribe, began = Scribe(), plan.start + fault.at_s
    alerts: dict[str, Alert] = {}
    before: set[str] = set()  # what was odd already: no work of the fault
    opened, due, scored = 0.0, 0, 0.0
    for batch in table.ahead(World(plan, seed).batches()):
        table.add(batch)
        now = float(batch.watermark + 1)
        wanted = now >= began if not opened else now - opened >= AGES_S[due] or now - scored >= SPARSE_S
        if not wanted and now - scored < SPARSE_S:
            continue
        scored = now
        found = scorer.score(table, now, frozenset(alert.key for alert in alerts.values()))
        if now < began:
            before |= {alert.fingerprint for alert in found}
            continue
        found = [alert for alert in found if alert.fingerprint not in before]
        if not opened and _opens(found, fault, Topology.of(table, now) if found else None):
            opened = now
        if not opened:
            if now - began > (LEAK_S if fault.kind == "leak" else PATIENCE_S):
                return
            continue
        alerts |= {alert.fingerprint: alert for alert in found}
        if now - opened < AGES_S[due]:
            continue
        onset = min(alert.onset for alert in alerts.values() if alert.signal in OPENING)
        episode = Seen(tuple(alerts.values()), table, Topology.of(table, now), now, onset, fault.fault_class,
                       fault.root_cause)  # fmt: skip
        example = scribe.note(episode, f"{plan.name}/{fault.fault_class}")
        if example is not None:
            yield example
        due += 1
        if due >= len(AGES_S):
            return


def _opens(alerts: Sequence[Alert], fault: Happening, topology: Topology | None) -> bool:
    """Whether an incident would open that can be about the fault: of its target, or above or below it."""
    target = fault.root_cause.peer
    return topology is not None and any(
        alert.signal in OPENING
        and alert.score >= OPENS
        and ((peer := blamed(alert).peer) == target or topology.reaches(peer, target) or topology.reaches(target, peer))
        for alert in alerts
    )
