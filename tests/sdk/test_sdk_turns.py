"""Whose turn it is: pure decisions, on drawn numbers and a clock that is only a number."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paramedic.policy.turns import FIRST_SHARE, WELL, Kept, Seen, Turn, Turns, share_of

SEEN = st.builds(
    lambda kept, probe, since: Seen(kept, probe and kept is Kept.COMMAND, since),
    st.sampled_from(Kept),
    st.booleans(),
    st.none() | st.floats(0, 100),
)


def firsts(turns, seen, now=1000.0, times=4000, seed=7):
    """How often each member stands first."""
    draw, counts = random.Random(seed).random, {}
    for _ in range(times):
        first = turns.order(seen, now, draw)[0].member
        counts[first] = counts.get(first, 0) + 1
    return [counts.get(i, 0) / times for i in range(len(seen))]


@given(data=st.data(), count=st.integers(1, 6), now=st.floats(0, 200), seed=st.integers(0, 99))
def test_every_member_has_one_turn_and_the_ready_come_before_the_others(data, count, now, seed):
    seen = [data.draw(SEEN) for _ in range(count)]
    weights = [data.draw(st.floats(0.01, 100)) for _ in range(count)]
    priorities = [data.draw(st.integers(0, 2)) for _ in range(count)]
    order = Turns(weights, priorities, 30.0).order(seen, now, random.Random(seed).random)
    assert sorted(turn.member for turn in order) == list(range(count))
    rest = order[1:] if order[0].probe else order
    kept = [seen[turn.member].kept for turn in rest]
    assert kept == sorted(kept)
    assert sum(turn.probe is True for turn in order) == any(one.probe for one in seen)
    for turn in rest:
        assert turn.probe is (False if seen[turn.member].kept is Kept.COMMAND else None)


@given(data=st.data(), count=st.integers(1, 6), seed=st.integers(0, 99))
def test_a_lower_priority_number_is_asked_first_when_none_is_coming_back(data, count, seed):
    priorities = [data.draw(st.integers(0, 2)) for _ in range(count)]
    order = Turns([1.0] * count, priorities, 30.0).order([WELL] * count, 0.0, random.Random(seed).random)
    asked = [priorities[turn.member] for turn in order]
    assert asked == sorted(asked)


@pytest.mark.parametrize("weights", [(1, 1), (3, 1), (1, 2, 7), (0.5, 0.25, 0.25)])
def test_members_stand_first_as_often_as_their_weight_says(weights):
    shares = firsts(Turns(weights, [0] * len(weights), 30.0), [WELL] * len(weights))
    assert shares == pytest.approx([w / sum(weights) for w in weights], abs=0.03)


def test_the_share_of_a_member_that_came_back_grows_from_a_tenth_to_all():
    assert share_of(None, 5.0, 30.0) == 1.0
    shares = [share_of(100.0, 100.0 + s, 30.0) for s in (0, 10, 20, 29.999, 30, 1000)]
    assert shares[0] == FIRST_SHARE
    assert shares == sorted(shares)
    assert shares[1:] == pytest.approx([0.4, 0.7, 1.0, 1.0, 1.0], abs=0.001)
    assert share_of(100.0, 99.0, 30.0) == FIRST_SHARE  # a clock of another guard may lie behind
    assert share_of(100.0, 100.0, 0.0) == 1.0


@pytest.mark.parametrize(("after_s", "expected"), [(0.0, 0.1 / 1.1), (15.0, 0.55 / 1.55), (30.0, 0.5)])
def test_a_member_that_came_back_takes_its_share_of_its_priority_gradually(after_s, expected):
    turns = Turns((1.0, 1.0), (0, 0), 30.0)
    assert firsts(turns, [Seen(since=1000.0 - after_s), WELL])[0] == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize(("after_s", "expected"), [(0.0, 0.1), (15.0, 0.55), (30.0, 1.0)])
def test_what_stood_in_of_the_next_priority_hands_back_gradually(after_s, expected):
    turns = Turns((1.0, 1.0), (0, 1), 30.0)
    assert firsts(turns, [Seen(since=1000.0 - after_s), WELL])[0] == pytest.approx(expected, abs=0.03)


def test_a_whole_member_takes_over_for_its_priority():
    """One that is coming back beside it does not send calls to the next priority."""
    turns = Turns((1.0, 1.0, 1.0), (0, 0, 1), 30.0)
    assert firsts(turns, [Seen(since=1000.0), WELL, WELL])[2] == 0.0


def test_a_priority_that_is_coming_back_with_nobody_behind_it_takes_all():
    turns = Turns((1.0, 1.0), (0, 1), 30.0)
    assert firsts(turns, [Seen(since=1000.0), Seen(Kept.BREAKER)])[0] == 1.0


def test_what_a_priority_that_is_coming_back_leaves_goes_to_the_next_even_when_that_is_coming_back_too():
    turns = Turns((1.0, 1.0), (0, 1), 30.0)
    assert firsts(turns, [Seen(since=1000.0), Seen(since=1000.0)])[0] == pytest.approx(0.1, abs=0.03)


def test_of_two_paths_to_probe_one_is_probed_and_the_other_kept():
    turns = Turns((1.0, 1.0, 1.0), (0, 0, 0), 30.0)
    closed = Seen(Kept.COMMAND, probe=True)
    order = turns.order([closed, closed, WELL], 0.0, lambda: 0.5)
    assert order == [Turn(0, True), Turn(2, None), Turn(1, False)]


@given(data=st.data(), count=st.integers(1, 6), seed=st.integers(0, 99))
def test_the_short_way_for_members_that_are_all_well_gives_the_same_order(data, count, seed):
    weights = [data.draw(st.floats(0.01, 100)) for _ in range(count)]
    turns = Turns(weights, [data.draw(st.integers(0, 2)) for _ in range(count)], 30.0)
    short = turns.order([WELL] * count, 0.0, random.Random(seed).random)
    assert short == turns.order([Seen()] * count, 0.0, random.Random(seed).random)


def test_who_asked_to_be_left_alone_is_asked_before_those_that_would_refuse():
    turns = Turns([1.0] * 5, [0] * 5, 30.0)
    kept = [Kept.OPERATOR, Kept.COMMAND, Kept.BREAKER, Kept.ITS_WISH, Kept.NOTHING]
    order = turns.order([Seen(one) for one in kept], 0.0, lambda: 0.5)
    assert [turn.member for turn in order] == [4, 3, 2, 1, 0]
