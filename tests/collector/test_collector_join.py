"""Self-time and gaps: compared with counting the nanoseconds one interval at a time."""

import random

import numpy as np
import pytest
from collector_kit import NANO, T0, Made, batches, facts, new_tables

from paramedic_collector.facts import Facts
from paramedic_collector.join import CHILD, Join, covered
from paramedic_collector.merge import family_of

MS = 1_000_000


def tree(*children, **parent):
    """A span of 100 ms and its children, each (start in ms, duration in ms, more)."""
    root = Made(**{"name": "root", "kind": "server", "duration_ns": 100 * MS, **parent})
    made = [
        Made(name=f"child-{n}", span=bytes([n + 10]) * 8, parent=root.span, start_ns=T0 * NANO + a * MS,
             duration_ns=d * MS, **(more[0] if more else {}))
        for n, (a, d, *more) in enumerate(children)
    ]  # fmt: skip
    return [root, *made]


def self_times(batches, operation="root"):
    """Seconds of self-time of one operation, as the windows say."""
    rows = [row for batch in batches if family_of(batch) == "op" for row in batch.to_pylist()]
    return [row["self_time"]["sum"] for row in rows if row["operation"] == operation and row["self_time"]]


def gaps(batches, family="edge"):
    rows = [row for batch in batches if family_of(batch) == family for row in batch.to_pylist()]
    return {row["callee"]: row["gap"]["sum"] for row in rows if row["gap"]}


def joined(*groups, **options):
    """Each group of spans comes half a second after the one before; all is closed in the end."""
    tables = new_tables()
    join, now = Join(tables, **options), 0.0
    found = []
    for group in groups:
        join.add(facts(group, tables), now)
        now += 0.5
        found += closed(join, now)
    return join, found + closed(join, now + 1.0)


def closed(join, now):
    return batches(join.close(now), join.tables)


@pytest.mark.parametrize(
    ("children", "self_ms"),
    [
        ([], 100),
        ([(10, 20)], 80),
        ([(10, 20), (50, 20)], 60),
        ([(10, 50), (20, 50)], 40),  # they overlap from 20 to 60
        ([(0, 90), (10, 10), (30, 20)], 10),  # the first contains the others
        ([(-50, 60), (90, 500)], 80),  # they stick out on both sides
        ([(200, 10)], 100),  # after the parent has ended
        ([(0, 100), (0, 100)], 0),
    ],
)
def test_self_time_is_what_no_child_covers(children, self_ms):
    _, found = joined(tree(*children))
    assert self_times(found) == [self_ms / 1000]


def test_children_count_in_whatever_order_they_and_their_parent_come():
    root, first, second = tree((10, 20), (50, 20))
    for groups in ([[root], [first, second]], [[first], [second], [root]], [[second, root], [first]]):
        assert self_times(joined(*groups)[1]) == [0.06]


def test_nothing_is_said_while_a_child_may_still_come():
    tables = new_tables()
    join = Join(tables)
    join.add(facts(tree((10, 20)), tables), 100.0)
    assert join.close(100.9) == []
    assert self_times(closed(join, 101.0)) == [0.08]


@pytest.mark.parametrize("seed", range(3))
def test_covered_time_is_that_of_counting_every_moment(seed):
    """The oracle marks each of 60 moments of each parent."""
    dice = random.Random(seed)
    parents, owner, children, naive = Facts.nothing(40), [], [], []
    for at in range(40):
        start = dice.randrange(100)
        parents["start"][at], parents["end"][at] = start, start + dice.randrange(60)
        covered_moments = set()
        for _ in range(dice.randrange(6)):
            a = dice.randrange(170)
            b = a + dice.randrange(50)
            owner.append(at)
            children.append((1, a, b, 0, False, 0.0))
            covered_moments |= set(range(a, b)) & set(range(parents["start"][at], parents["end"][at]))
        naive.append(len(covered_moments))
    order = dice.sample(range(len(owner)), len(owner))
    got = covered(parents, np.array(owner)[order], np.array(children, CHILD)[order])
    assert got.tolist() == naive


def test_the_gap_is_the_clients_time_less_the_servers():
    client = {"kind": "client", "attributes": {"service.peer.name": "orders"}}
    _, found = joined(tree((10, 60, {"kind": "server", "service": "orders"}), **client))
    assert gaps(found) == {"orders": 0.04}
    assert gaps(found, "callee") == {"orders": 0.04}


def test_a_client_without_a_server_has_no_gap():
    _, found = joined(tree((10, 60), kind="client", attributes={"service.peer.name": "aurora"}))
    assert gaps(found) == {}


def test_a_client_that_names_no_peer_called_the_service_that_served_it():
    """Its edge is counted when that is known, once, with its errors."""
    _, found = joined(tree((10, 60, {"kind": "server", "service": "orders"}), kind="client", failed=True))
    edges = [row for batch in found if family_of(batch) == "edge" for row in batch.to_pylist()]
    assert {(row["caller"], row["callee"]) for row in edges} == {("support-bot", "orders")}
    assert sum(row["count"] for row in edges) == 1
    assert [one for row in edges for one in row["errors"]] == [{"key": "_OTHER", "count": 1}]
    assert gaps(found) == {"orders": 0.04}


def test_children_that_waited_too_long_are_counted_and_their_parents_self_time_is_not_guessed():
    tables = new_tables()
    join = Join(tables, keep_s=120.0)
    root, child = tree((10, 20))
    join.add(facts([child], tables), 0.0)
    join.close(121.0)
    assert join.evicted == 1
    join.add(facts([root, Made(name="other", span=b"\x09" * 8)], tables), 122.0)
    found = closed(join, 124.0)
    assert self_times(found) == []
    assert self_times(found, "other") == [0.1]
    assert join.unknown == 1


def test_memory_is_bounded_by_letting_the_oldest_children_go():
    tables = new_tables()
    join = Join(tables, limit_bytes=50_000)
    for second in range(20):
        spans = [Made(span=bytes([second, n] * 4), parent=b"\x77" * 8) for n in range(100)]
        join.add(facts(spans, tables), float(second))
        join.close(float(second))
        assert join.kept_bytes < 50_000 + 100 * Facts.nothing(1).nbytes
    assert join.evicted > 0


def test_a_refused_call_has_no_self_time():
    refused = {"paramedic.decision": "refused", "paramedic.refused.by": "breaker"}
    assert self_times(joined([Made(name="root", attributes=refused)])[1]) == []
