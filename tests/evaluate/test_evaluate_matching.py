"""Which opening tells of which fault, and the figures that follow."""

import numpy as np
import pytest
from eval_kit import fault, opening
from hypothesis import given
from hypothesis import strategies as st

from paramedic_detector.diagnosis.taxonomy import Taxonomy
from paramedic_detector.evaluate.coverage import stretches
from paramedic_detector.evaluate.figures import chance_recall, detection
from paramedic_detector.evaluate.matching import match
from paramedic_detector.evaluate.truth import GRACE_S, Span, covered_s, faults_of


class Row:
    """A row of faults.csv."""

    def __init__(self, fault_type: str = "slow", root: str = "orders", **more: str) -> None:
        self.case, self.start, self.end = "a", 100.0, 200.0
        self.root_cause_service, self.fault_type, self.more = root, fault_type, more


@pytest.mark.parametrize(
    ("at", "found"), [(99.9, False), (100, True), (280, True), (280 + GRACE_S, True), (280 + GRACE_S + 0.1, False)]
)
def test_a_fault_is_found_by_what_opens_from_its_start_to_a_minute_after_its_end(at, found):
    matches = match([fault(100, 280)], [opening(at)])
    assert (matches.found, len(matches.outside)) == ((1, 0) if found else (0, 1))


def test_a_second_opening_for_one_fault_is_extra_and_not_false():
    matches = match([fault(100)], [opening(120), opening(150)])
    assert (matches.of[0].at, len(matches.extra), len(matches.outside)) == (120, 1, 0)


def test_one_opening_cannot_tell_of_two_faults():
    faults = [fault(100), fault(120, root="stock")]
    assert match(faults, [opening(130)]).found == 1
    assert match(faults, [opening(130), opening(131)]).found == 2


def test_of_two_faults_that_are_there_the_blamed_one_is_found():
    faults = [fault(100, root="stock"), fault(120, root="orders")]
    matches = match(faults, [opening(130, "stock"), opening(140, "orders")])
    assert [one.target for one in matches.of] == ["stock", "orders"]


def test_an_opening_in_an_injection_without_a_label_is_told_apart():
    matches = match([fault(100)], [opening(1000), opening(2000)], [Span(950, 1010)])
    assert ([one.at for one in matches.explained], [one.at for one in matches.outside]) == ([1000], [2000])


@given(st.lists(st.integers(0, 3000), max_size=12), st.lists(st.integers(0, 2500), max_size=6, unique=True))
def test_every_opening_is_counted_exactly_once(moments, starts):
    faults, openings = [fault(start) for start in sorted(starts)], [opening(at + 0.5) for at in sorted(set(moments))]
    matches = match(faults, openings)
    said = [one for one in matches.of if one] + [*matches.extra, *matches.explained, *matches.outside]
    assert sorted(one.at for one in said) == [one.at for one in openings]


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 40)), max_size=8))
def test_covered_time_is_that_of_the_seconds_that_some_window_touches(windows):
    spans = [(float(start), float(start + length)) for start, length in windows]
    seconds = {at for start, length in windows for at in range(start, start + length) if 10 <= at < 100}
    assert covered_s(spans, Span(10, 100)) == len(seconds)


def test_chance_recall_is_what_random_openings_would_reach():
    faults, rng = [fault(0, 40), fault(500, 940)], np.random.default_rng(1)
    draws = rng.uniform(0, 1000, (20_000, 3))
    hit = [((draws >= f.window[0]) & (draws <= f.window[1])).any(axis=1).mean() for f in faults]
    assert chance_recall(faults, 3, 1000) == pytest.approx(np.mean(hit), abs=0.01)


def test_a_kind_that_is_there_around_faults_alone_is_told_from_one_that_runs_through():
    """Hourly faults; logs were kept around each of them, and the gap of the metrics has nothing to do with faults."""
    faults = [fault(3600 * n, 3600 * n + 180) for n in range(1, 5)]
    around = np.concatenate([np.arange(f.start - 90, f.end + 90) for f in faults]).astype(np.int64)
    through = np.concatenate([np.arange(0, 9000, 60), np.arange(10_800, 18_000, 60)])
    (stretch,) = stretches({"logs": around, "metrics": through}, faults, 60.0)
    assert (stretch.usable, stretch.partial, len(stretch.faults)) == ({"metrics"}, {"logs"}, 4)


def test_a_long_gap_ends_a_stretch_and_without_quiet_time_nothing_is_left_out():
    seconds = np.concatenate([np.arange(0, 600), np.arange(90_000, 90_600)])
    first, second = stretches({"spans": seconds}, [fault(0, 600)], None)
    assert (first.span.end, second.span.start) == (600, 90_000)
    assert (first.usable, len(first.faults), len(second.faults)) == ({"spans"}, 1, 0)


def test_the_figures_of_a_stretch():
    faults = [fault(600), fault(2000), fault(5000)]
    openings = [opening(630), opening(650), opening(2090), opening(3000), opening(4000)]
    figures = detection(faults, match(faults, openings, [Span(2990, 3010)]), [Span(0, 7200)])
    assert figures.recall.value == pytest.approx(2 / 3)
    assert figures.delays_s == (30, 90)
    assert figures.delay_s(0.5) == 60
    assert (figures.openings, figures.extra, figures.outside, figures.explained) == (5, 1, 2, 1)
    assert figures.fault_free_hours == pytest.approx((7200 - 3 * 240) / 3600)
    assert figures.false_per_hour == pytest.approx(2 / figures.fault_free_hours)


def test_without_quiet_time_there_is_no_rate_of_false_openings_rather_than_none():
    figures = detection([fault(0, 100)], match([fault(0, 100)], []), [Span(0, 100)])
    assert figures.false_per_hour is None
    assert figures.delay_s(0.5) is None


def test_copies_that_are_marked_so_are_left_out_and_counted():
    truth = faults_of([Row(), Row(augmented="True"), Row(augmented="False")], Taxonomy.load())
    assert (len(truth.faults), truth.copies) == (2, 1)


def test_a_row_that_says_no_start_is_left_out_and_counted():
    row = Row()
    row.start = float("nan")
    truth = faults_of([row, Row()], Taxonomy.load())
    assert (len(truth.faults), truth.undated) == (1, 1)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (Row("network_delay"), "network_degraded"),  # by the taxonomy's labels
        (Row("provider_slow"), "provider_slow"),  # a class of its own name
        (Row("gremlins", fault_class="network_delay"), "network_degraded"),
        (Row("gremlins"), None),
    ],
)
def test_a_label_is_read_by_the_taxonomy_or_stands_for_nothing(row, expected):
    assert faults_of([row], Taxonomy.load()).faults[0].fault_class == expected


def test_a_fault_may_have_several_root_causes():
    assert faults_of([Row(root="orders | stock")], Taxonomy.load()).faults[0].roots == ("orders", "stock")
