"""Calls a request: what a service does more often for each request than usual, and what explains more calls."""

from itertools import pairwise

import pytest
from judge_rows import T0, batch, edge, op, row

from paramedic_collector.windows import SeriesKey
from paramedic_detector.incidents.blame import causes
from paramedic_detector.incidents.topology import Topology
from paramedic_detector.scores.scorer import Scorer
from paramedic_detector.series.table import SeriesTable
from paramedic_detector.values import Signal

TOOL = SeriesKey("op", ("bot", "look up", "internal", "", "", "", "1"))
USUAL = {"requests": 5, "aurora": 10, "borealis": 0, "orders": 2, "tool": 2}


def live(*parts: tuple[int, dict[str, int]], failing: str = ""):
    """Seconds of a bot that calls two providers and a backend, part after part; the table, and the last alerts."""
    table, scorer, at = SeriesTable(), Scorer(), T0
    for seconds, changes in parts:
        now = USUAL | changes
        for _ in range(seconds):
            wave = 1 + at % 2  # one more and one less, as users come
            keys = {name: edge("bot", name) for name in now} | {"requests": op("bot"), "tool": TOOL}
            rows = [
                row(keys[name], at, max(0, n + wave - 1 if n > 2 else n), **_bad(name, n, failing, changes))
                for name, n in now.items()
                if n
            ]
            table.add(batch(rows, at + 1))
            alerts = scorer.score(table, at, frozenset())
            at += 1
    return table, [alert for alert in alerts if alert.signal is Signal.FANOUT], at


def _bad(name: str, count: int, failing: str, changes: dict[str, int]) -> dict[str, dict[str, int]]:
    return {"errors": {"503": count}} if name == failing and changes else {}


@pytest.mark.parametrize(
    "changes", [{"requests": 30, "aurora": 60, "orders": 12, "tool": 12}, {"requests": 2, "aurora": 4}]
)
def test_more_users_or_fewer_are_no_loop(changes):
    assert not live((120, {}), (30, changes))[1]


def test_an_agent_that_goes_round_and_round_is_found_and_is_itself_to_blame():
    table, alerts, now = live((120, {}), (20, {"aurora": 40, "orders": 14, "tool": 14}))
    assert {alert.key for alert in alerts} == {edge("bot", "aurora"), edge("bot", "orders"), TOOL}
    assert "for each request (usual 1.9)" in next(a for a in alerts if a.key == edge("bot", "aurora")).explanation
    for some in (alerts, [alert for alert in alerts if alert.key == TOOL]):
        assert list(causes(some, Topology.of(table, now, None))) == ["bot"]
    assert all(one.score >= other.score for one, other in pairwise(alerts))


def test_calls_that_come_over_from_a_failing_provider_are_no_loop():
    assert not live((120, {}), (30, {"borealis": 10}), failing="aurora")[1]


def test_requests_that_hang_do_not_make_a_loop_of_what_was_called_before_them():
    assert not live((120, {}), (30, {"requests": 0}))[1]


def test_a_step_that_is_twice_as_frequent_for_a_few_requests_is_chance():
    assert not live((120, {}), (6, {"orders": 4, "tool": 4}))[1]
