"""Numbers of names: few, lasting, and never another name's while somebody uses them."""

import numpy as np
import pytest
from collector_kit import Clock

from paramedic_collector.interner import EMPTY, OVERFLOW, Interner

KEEP_S = 600.0


@pytest.fixture
def clock():
    return Clock(0.0)


def by_mark(table, *names):
    """The numbers of names, which are given as the fold gives them."""
    marks = np.array([hash(name) or 1 for name in names], np.int64)
    return table.numbers_of(marks, names.__getitem__)


def by_name(table, *names):
    return table.intern(names)


@pytest.mark.parametrize("numbers", [by_mark, by_name])
def test_names_that_come_back_after_long_are_not_taken_for_a_new_one_beside_them(numbers, clock):
    """The new name sweeps the table, in which the others were not used for long until this very moment."""
    table = Interner("", "_overflow", limit=3, keep_s=KEEP_S, clock=clock)
    numbers(table, "old", "unused", "older")
    clock.now += KEEP_S + 1
    together = ["old", "older", "new"]
    assert [table[number] for number in numbers(table, *together)] == together


def test_a_name_too_many_is_the_overflow_until_another_was_not_used_for_long(clock):
    table = Interner("", "_overflow", limit=2, keep_s=KEEP_S, clock=clock)
    by_mark(table, "a", "b")
    assert by_mark(table, "c").tolist() == [OVERFLOW]
    clock.now += KEEP_S + 1
    assert [table[number] for number in by_mark(table, "c", "b")] == ["c", "b"]


def test_no_name_is_number_nothing():
    table = Interner("", "_overflow", limit=2, keep_s=KEEP_S, clock=lambda: 0.0)
    assert table.numbers_of(np.zeros(2, np.int64), lambda at: "never asked").tolist() == [EMPTY, EMPTY]
