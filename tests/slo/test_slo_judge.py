"""Objectives over a table: alerts in seconds, silence when it is over, and nothing claimed without data."""

import pytest
from slo_kit import START, Users

from paramedic_collector.windows import SeriesKey
from paramedic_detector.slo.judge import Objectives, by_name, usual
from paramedic_detector.slo.objectives import Measure, Objective, count
from paramedic_detector.values import Signal


def evaluate(objectives: Objectives, users: Users):
    return objectives.evaluate(users.table, users.topology, users.now)


def play(objectives: Objectives, users: Users, seconds: int, calls: int = 10, **bad: int) -> list[tuple[int, object]]:
    """Live some seconds; the alerts, each with the second it came in."""
    found = []
    for _ in range(seconds):
        users.come(1, calls, **bad)
        found += [(users.at, alert) for alert in evaluate(objectives, users)]
    return found


def test_a_service_without_an_objective_gets_one_and_an_outage_pages_in_seconds():
    users, objectives = Users(), Objectives()
    assert play(objectives, users, 60) == []
    found = play(objectives, users, 10, failed=10)
    at, alert = found[0]
    assert at <= 63
    assert (alert.signal, alert.key) == (Signal.SLO, SeriesKey("slo", ("chat", "chat-useful")))
    assert abs(alert.onset - (START + 60)) <= 1
    assert alert.score >= 8
    assert "useful answers of chat" in alert.explanation
    assert "since a moment ago" in alert.explanation


def test_useless_answers_burn_like_failures():
    users, objectives = Users(), Objectives()
    play(objectives, users, 60)
    assert play(objectives, users, 10, useless=9)


def test_the_alert_ends_soon_after_the_burning():
    users, objectives = Users(), Objectives()
    play(objectives, users, 60)
    play(objectives, users, 20, failed=10)
    after = play(objectives, users, 60)
    assert max((at for at, _ in after), default=0) <= 80 + 16


def test_one_bad_call_in_a_quiet_night_is_nothing():
    users, objectives = Users(), Objectives()
    for at in range(300):
        users.come(1, 1 if at % 30 == 0 else 0, failed=1 if at in (120, 240) else 0)
        assert evaluate(objectives, users) == []
    assert objectives.standings["chat-useful"].state != "burning"


def test_no_users_is_no_data_and_not_a_good_month():
    users = Users()
    users.come(30, calls=0)
    declared = Objectives([usual("chat")])
    evaluate(declared, users)
    standing = declared.standings["chat-useful"]
    assert (standing.state, standing.budget.achieved, standing.budget.left) == ("no_data", None, None)


def test_the_verdict_stands_still_while_nothing_is_heard():
    users, objectives = Users(), Objectives()
    play(objectives, users, 60)
    play(objectives, users, 30, failed=10)
    assert objectives.standings["chat-useful"].state == "burning"
    silent = play(objectives, users, 120, calls=0)
    assert [at for at, _ in silent if at > 90 + 16] == []
    assert objectives.standings["chat-useful"].state == "burning"
    play(objectives, users, 120)
    assert objectives.standings["chat-useful"].state != "burning"


@pytest.mark.parametrize(
    ("measure", "bad", "good"),
    [(Measure.USEFUL, {"failed": 2, "useless": 1}, 7), (Measure.WORKED, {"failed": 2, "useless": 1}, 8),
     (Measure.DURATION, {"slow": 4}, 6)],
)  # fmt: skip
def test_what_is_good_is_what_the_measure_says(measure, bad, good):
    users = Users()
    users.come(1, 10, **bad)
    found = count(
        users.table, Objective("o", "chat", usual("chat").series, measure, 0.99, at_most_s=2.0), START, START + 1
    )
    assert (found.good, found.total, found.seconds) == (good, 10, 1)


def test_a_slow_service_burns_an_objective_of_time():
    slow = Objective(
        "chat-quick", "chat", usual("chat").series, Measure.DURATION, 0.9, at_most_s=2.0, title="quick answers"
    )
    users, objectives = Users(), Objectives([slow])
    play(objectives, users, 60)
    (_, alert), *_ = play(objectives, users, 20, slow=10)
    assert "were too slow" in alert.explanation


def test_what_was_counted_survives_a_restart():
    users, objectives = Users(), Objectives()
    play(objectives, users, 60)
    play(objectives, users, 30, failed=10)
    play(objectives, users, 30)
    again = Objectives()
    again.restore(objectives.checkpoint())
    users.come(10)
    evaluate(again, users)
    evaluate(objectives, users)
    assert again.standings["chat-useful"].budget == objectives.standings["chat-useful"].budget
    with pytest.raises(ValueError, match="not a checkpoint of objectives"):
        again.restore(b"something")


def test_the_worst_stands_first():
    users, objectives = Users(), Objectives([usual("chat"), usual("nobody")])
    play(objectives, users, 60)
    play(objectives, users, 10, failed=10)
    assert [one.objective.name for one in by_name(objectives.standings)] == ["chat-useful", "nobody-useful"]
