"""Ranks with ties, classes and their F1, three-sigma alerts, pairs of texts."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from paramedic_detector.evaluate.classes import MISSED, Answer, Classes, macro_f1
from paramedic_detector.evaluate.published import known
from paramedic_detector.evaluate.ranking import rank_of, ranking
from paramedic_detector.evaluate.sigma import LEAST, MinuteSeries, sigma_alerts
from paramedic_detector.evaluate.texts import pairs, pause_rule, text_groups
from paramedic_detector.incidents.texts import Update


def test_the_first_of_three_has_rank_one():
    assert rank_of(["a"], {"a": 3, "b": 2, "c": 1}, []) == 1


def test_ties_share_the_middle_of_their_places():
    assert rank_of(["b"], {"a": 3, "b": 2, "c": 2, "d": 1}, []) == 2.5


def test_who_is_not_named_ties_with_all_others_that_are_not_named():
    assert rank_of(["e"], {"a": 3}, ["a", "b", "c", "d", "e"]) == 1 + (4 + 1) / 2


def test_who_is_no_candidate_at_all_has_no_rank():
    assert rank_of(["z"], {"a": 3}, ["a", "b"]) is None


def test_of_several_right_answers_the_better_one_counts():
    assert rank_of(["c", "b"], {"a": 3, "b": 2, "c": 1}, []) == 2


def test_top_k_and_mean_reciprocal_rank():
    figures = ranking([1, 2.5, 4], [10, 10, 10])
    assert [figures.top(k).good for k in (1, 2, 3, 5)] == [1, 1, 2, 3]
    assert figures.mrr == pytest.approx((1 + 0.4 + 0.25) / 3)
    assert figures.chance(3) == pytest.approx(0.3)


NAMES = st.sampled_from(["a", "b", "c", MISSED])


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), NAMES), min_size=1, max_size=30))
def test_macro_f1_is_that_of_scikit_learn_over_the_true_classes(answers):
    truth, said = zip(*answers, strict=True)
    labels = sorted(set(truth))
    expected = f1_score(truth, said, labels=labels, average="macro", zero_division=0.0)
    assert macro_f1(answers) == pytest.approx(expected)


def test_the_right_class_on_the_wrong_target_is_wrong_where_it_counts():
    answers = Classes((Answer("a", "a", 0.95, False), Answer("a", "a", 0.8, True), Answer("b", MISSED, 0.0, False)))
    assert (answers.accuracy.good, answers.with_target.good, answers.sure_and_wrong.good) == (2, 1, 1)
    assert answers.brier == pytest.approx((0.95**2 + 0.2**2) / 2)
    assert answers.confusion() == {"a": {"a": 2}, "b": {MISSED: 1}}


def _naive(minutes, values):
    """Each value against the 180 minutes before it, one by one."""
    found = []
    for here, at in enumerate(minutes):
        before = [v for m, v in zip(minutes[:here], values[:here], strict=True) if at - m <= 180]
        spread = np.std(before) if before else 0
        if len(before) >= LEAST and spread > 1e-9 and abs(values[here] - np.mean(before)) > 3 * spread:
            found.append(at * 60)
    return found


def test_three_sigma_compares_each_minute_with_those_before_it_alone():
    rng = np.random.default_rng(3)
    minutes, values = np.arange(400), rng.normal(1e6, 1, 400)
    values[[10, 60, 300]] += 50
    found = sigma_alerts({"x": (np.zeros(400, np.int64), minutes, values)})
    assert found.at.tolist() == _naive(minutes, values)
    assert 60 * 60 in found.at
    assert 10 * 60 not in found.at
    assert (found.series, found.between(0, 3600)) == (1, sum(at <= 3600 for at in found.at))


def test_a_constant_series_never_alerts():
    flat = sigma_alerts({"x": (np.zeros(200, np.int64), np.arange(200), np.ones(200))})
    assert len(flat.at) == 0


def test_nothing_recorded_gives_no_alerts():
    assert len(MinuteSeries().alerts().at) == 0


@given(st.lists(st.tuples(st.sampled_from("pq"), st.sampled_from("abc"), st.sampled_from("123")), max_size=14))
def test_pairs_are_counted_as_if_one_by_one(rows):
    two = [(x, y) for x, y in itertools.combinations(rows, 2) if x[0] == y[0]]
    counted = pairs(*([list(column) for column in zip(*rows, strict=True)] or [[], [], []]))
    assert counted.true == sum(x[1] == y[1] for x, y in two)
    assert counted.grouped == sum(x[2] == y[2] for x, y in two)
    assert counted.both == sum(x[1:] == y[1:] for x, y in two)


def test_a_pause_begins_a_new_incident_of_its_source_alone():
    moments = [(0, "p"), (3000, "q"), (10_000, "p"), (21_000, "p"), (21_100, "q")]
    updates = [Update(at, source, "text") for at, source in moments]
    assert pause_rule(updates) == ["1", "1", "1", "2", "2"]


def test_grouping_cannot_read_the_order_of_the_file():
    updates = [Update(5, "p", "zebra"), Update(5, "p", "ant"), Update(1, "p", "bee")]
    seen: list[str] = []

    def group(given):
        seen.extend(update.text for update in given)
        return [0, 0, 0]

    figures = text_groups(updates, ["x", "y", "x"], group)
    assert seen == ["bee", "ant", "zebra"]
    assert (figures.ours.both, figures.ours.grouped, figures.ours.f1) == (1, 3, 0.5)


def test_a_set_that_nobody_wrote_about_has_no_published_figures():
    assert known([]) is None
