"""Batches as collectors give them out: reproducible, in order, in the production schema."""

import pyarrow as pa
import pytest
from simulate_kit import Played, broken

from paramedic_collector.windows import SCHEMAS
from paramedic_detector.simulate.effects import Effects
from paramedic_detector.simulate.loads import Loads
from paramedic_detector.simulate.plan import START, Plan
from paramedic_detector.simulate.random_world import random_graph
from paramedic_detector.simulate.suites import CLASSES, HELD_OUT, clean_plan, faulty_plan
from paramedic_detector.simulate.world import World

SEEDS = (1, 5, HELD_OUT)


def tables_of(plan, seed, seconds):
    return [batch.tables for batch, _ in zip(World(plan, seed).batches(), range(seconds), strict=False)]


def test_the_same_seed_gives_the_same_windows_and_another_one_others():
    plan = faulty_plan(3)
    one, again, other = (tables_of(plan, seed, 40) for seed in (1, 1, 2))
    assert all(
        a.keys() == b.keys() and all(a[name].equals(b[name]) for name in a) for a, b in zip(one, again, strict=True)
    )
    assert any(a.get("op") != b.get("op") for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_are_of_the_production_schema_and_of_seconds_that_are_over(seed):
    for number, batch in zip(range(60), World(faulty_plan(seed), seed).batches(), strict=False):
        for family, rows in batch.tables.items():
            assert isinstance(rows, pa.RecordBatch)
            assert rows.schema.equals(SCHEMAS[family])
            assert max(rows.column("ts").to_pylist()) < batch.watermark
        assert batch.sequence == number + 1


def test_self_times_and_gaps_come_a_second_after_the_counts():
    run = Played(duration_s=60)
    for batch in run.batches[5:]:
        rows = batch.tables["op"]
        for ts, self_time, count in zip(
            *(rows.column(name).to_pylist() for name in ("ts", "self_time", "count")), strict=True
        ):
            assert (self_time is None) == (ts == batch.watermark - 1)
            assert (count == 0) == (ts == batch.watermark - 2)


def test_every_call_is_counted_once_by_op_edge_and_callee():
    run = Played(broken("outage", "aurora"), duration_s=150)
    ops = sum(count for _, count in run.column("op", "count", since=0, until=150, peer="aurora"))
    edges = sum(count for _, count in run.column("edge", "count", since=0, until=150, callee="aurora"))
    callees = sum(count for _, count in run.column("callee", "count", since=0, until=150, callee="aurora"))
    assert ops == edges == callees > 0


@pytest.mark.parametrize("seed", range(1, 6))
def test_random_systems_hold_together(seed):
    graph = random_graph(seed, services=(5, 40))
    loads = Loads.of(graph)
    assert 5 <= len(graph.services) <= 40
    assert all(loads.rate[service.name] > 0 for service in graph.services)
    assert loads.busiest(graph) < 0.5
    assert 1 <= len(graph.providers) <= 4


def test_training_and_held_out_seeds_share_no_system():
    ours = {faulty_plan(seed).graph.services for seed in range(1, 5)}
    theirs = {faulty_plan(HELD_OUT + seed).graph.services for seed in range(1, 5)}
    assert not ours & theirs


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_can_be_drawn_and_says_what_it_is(name):
    plan = faulty_plan(5, classes=[name])
    assert [fault.fault_class for fault in plan.faults][:1] == [name]
    assert plan.faults[0].root_cause.peer


def test_a_clean_day_has_oddities_and_no_fault():
    plan = clean_plan(4, 86_400)
    assert plan.faults == ()
    assert len(plan.oddities) > 20
    assert plan.clean_s == 86_400


def test_a_leak_lasts_until_the_process_is_full_and_begins_anew():
    leak = broken("leak", "support-bot", zone="eu-1a", until_s=1000, full_after_s=300)
    effects = Effects(Plan("test", random_graph(1), 1000, (leak,)), ("",))
    assert effects.deaths(leak) == [START + 120 + 300, START + 120 + 605]


def test_time_that_is_clean_is_counted_once_where_faults_overlap():
    faults = (broken("errors", "a", until_s=180), broken("hang", "b", until_s=200))
    assert Plan("test", random_graph(1), 400, faults).clean_s == 400 - 80
