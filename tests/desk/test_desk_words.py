"""The sentences that people read."""

import pytest

from paramedic_detector import words


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(0.0, "0 %"), (0.0004, "0.1 %"), (0.41, "41 %"), (0.994, "99.4 %"), (0.99996, "99.9 %"), (1.0, "100 %")],
)
def test_a_share_is_never_rounded_to_all_or_nothing(ratio, text):
    assert words.percent(ratio) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_a_span_has_two_units_at_most(seconds, text):
    assert words.span(seconds) == text


def test_titles():
    assert words.title("provider_outage", "aurora") == "aurora fails: provider outage"
    assert words.title("zone_outage", "support-bot in eu-1b") == "support-bot in eu-1b is down: zone outage"
    assert words.title("unknown", "aurora", "hang") == "aurora hangs: cause not known"
    assert words.title("team_made_up", "aurora") == "aurora is hurt: team made up"


@pytest.mark.parametrize(
    ("success", "rate", "begins"),
    [
        (None, None, "No data yet"),
        (None, 0.0, "No requests"),
        (1.0, 9.0, "Answers are normal"),
        (0.95, 9.0, "Most users get answers"),
        (0.6, 9.0, "Users are hurting"),
    ],
)
def test_the_users_sentence_says_first_whether_users_are_hurting(success, rate, begins):
    assert words.users(success, rate).startswith(begins)


def test_impact():
    assert words.impact(0, 0) == "No request of a user was seen since it began."
    assert words.impact(1204, 312).startswith("312 of 1,204 requests of users failed or got a useless answer (26 %)")
