"""The windows of a breaker, against a list of everything that ever happened."""

from hypothesis import given
from hypothesis import strategies as st

from paramedic.policy.window import CountWindow, TimeWindow

verdicts = st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0, 3)), max_size=80)


def sums(window):
    return window.count, window.failed, window.slow


def sums_of(seen):
    return len(seen), sum(failed for failed, _, _ in seen), sum(slow for _, slow, _ in seen)


@given(steps=verdicts, size=st.integers(1, 12))
def test_a_window_of_calls_holds_the_last_ones(steps, size):
    window, seen = CountWindow(size), []
    for failed, slow, _ in steps:
        window.add(failed, slow, 0.0)
        seen.append((failed, slow, 0.0))
        assert sums(window) == sums_of(seen[-size:])
        assert window.unmoved_by_good == (sums_of(seen[-size:]) == (size, 0, 0))


@given(steps=verdicts, width=st.sampled_from([1.0, 7.5, 60.0]))
def test_a_window_of_seconds_holds_what_is_younger_to_a_tenth_of_it(steps, width):
    """All that is younger than nine tenths of it, nothing that is older than all of it."""
    window, seen, now = TimeWindow(width), [], 100.0
    for failed, slow, wait in steps:
        now += wait
        window.add(failed, slow, now)
        seen.append((failed, slow, now))
        surely = sums_of([one for one in seen if now - one[2] < 0.9 * width])
        perhaps = sums_of([one for one in seen if now - one[2] <= width])
        assert all(a <= b <= c for a, b, c in zip(surely, sums(window), perhaps, strict=True))


@given(steps=verdicts)
def test_a_cleared_window_is_as_new(steps):
    for window in (CountWindow(5), TimeWindow(5.0)):
        for failed, slow, _ in steps:
            window.add(failed, slow, 1.0)
        window.clear()
        assert sums(window) == (0, 0, 0)
        window.add(True, False, 2.0)
        assert sums(window) == (1, 1, 0)


def test_a_good_call_moves_a_window_that_is_not_full():
    window = CountWindow(2)
    window.add(False, False, 0.0)
    assert not window.unmoved_by_good
    window.add(False, False, 0.0)
    assert window.unmoved_by_good


def test_a_good_call_always_moves_a_window_of_seconds():
    window = TimeWindow(10.0)
    for _ in range(100):
        window.add(False, False, 0.0)
    assert not window.unmoved_by_good
