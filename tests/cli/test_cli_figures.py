"""Intervals, percentiles, users' recovery and the comparison of arms."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paramedic_cli.comparison import arm_figures
from paramedic_cli.evidence import Arm, Injection, Request, Run, Spend, requests_of
from paramedic_cli.intervals import percentile, wilson
from paramedic_cli.users import recovery

FAULT = Injection("f", "provider_outage", "aurora", injected_at=100.0, healed_at=160.0)


def steady(bad: set[int]) -> list[Request]:
    """Ten messages a second from 90 s to 170 s; those with the given numbers get nothing useful."""
    return [Request(90 + i / 10, 0.2, i not in bad) for i in range(800)]


def test_the_interval_of_wilson_agrees_with_a_published_value():
    """Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263 gives 0.2553 to 0.3662."""
    low, high = wilson(81, 263)
    assert low == pytest.approx(0.2553, abs=5e-5)
    assert high == pytest.approx(0.3662, abs=5e-5)


def test_all_good_of_few_is_not_certainty():
    low, high = wilson(20, 20)
    assert high == 1.0
    assert low == pytest.approx(0.8389, abs=5e-5)  # Newcombe, the same table: 0 of 20 reaches 0.1611


@given(total=st.integers(1, 10_000), part=st.floats(0, 1))
def test_the_interval_holds_the_share_and_stays_inside(total, part):
    good = math.floor(total * part)
    low, high = wilson(good, total)
    assert 0.0 <= low <= good / total <= high <= 1.0


def test_no_try_gives_no_interval():
    assert wilson(0, 0) is None


def test_more_good_than_tried_is_refused():
    with pytest.raises(ValueError, match="3 of 2"):
        wilson(3, 2)


@pytest.mark.parametrize(("q", "value"), [(0.5, 2.0), (0.95, 9.0), (1.0, 9.0), (0.01, 1.0)])
def test_a_percentile_is_a_value_that_occurred(q, value):
    assert percentile([9.0, 1.0, 2.0], q) == value


def test_a_percentile_of_nothing_is_none():
    assert percentile([], 0.5) is None


def test_one_lost_message_among_many_is_no_outage():
    found = recovery(steady({150}), FAULT)
    assert (found.seconds, found.noticed) == (0.0, False)


def test_loss_is_dated_by_its_last_lost_message():
    found = recovery(steady(set(range(100, 120)) | {130, 135, 138}), FAULT)
    assert found.seconds == pytest.approx(3.8)
    assert found.noticed


def test_a_single_lost_message_long_after_does_not_move_the_recovery():
    assert recovery(steady(set(range(100, 120)) | {400}), FAULT).seconds == pytest.approx(1.9)


def test_success_lost_again_later_counts_to_its_last_loss():
    assert recovery(steady(set(range(100, 120)) | set(range(400, 420))), FAULT).seconds == pytest.approx(31.9)


def test_loss_before_the_fault_is_not_the_faults():
    assert not recovery(steady(set(range(80, 100))), FAULT).noticed


def test_too_few_messages_prove_no_recovery():
    few = [Request(at, 0.2, True) for at in (110.0, 120.0, 130.0)]
    assert recovery(few, FAULT).seconds is None


def test_a_line_cut_short_is_not_a_request():
    lines = ['{"at": 2.0, "seconds": 0.5, "useful": true}', '{"at": 1.0, "seconds": 0.1, "useful": false}', '{"at": 3']
    assert requests_of(lines) == (Request(1.0, 0.1, False), Request(2.0, 0.5, True))


def test_an_arm_is_told_by_what_users_and_owners_got():
    run = Run(
        Arm.BARE,
        "one",
        1,
        began_at=90.0,
        ended_at=170.0,
        injections=(FAULT,),
        requests=tuple(Request(90 + i / 10, 8.0 if 100 <= i < 700 else 0.2, not 100 <= i < 400) for i in range(800)),
        spend=Spend(calls=900, failed=300, cost_usd=0.5),
    )
    figures = arm_figures([run, run])
    assert figures["availability"] == pytest.approx(500 / 800)
    assert figures["availability_during_faults"] == pytest.approx(300 / 600)
    assert (figures["fault_latency_p50_seconds"], figures["fault_latency_p95_seconds"]) == (8.0, 8.0)
    assert (figures["wasted_calls"], figures["provider_calls"], figures["cost_usd"]) == (600, 1800, 1.0)
    low, high = figures["availability_during_faults_interval"]
    assert low < 0.5 < high
