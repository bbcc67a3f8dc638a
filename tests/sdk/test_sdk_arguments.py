"""Mistakes in what a team hands to a guard, told when the guard is made."""

import re

import pytest

import paramedic
from paramedic import Breaker, Fallback, Guard, Retry


def light(question):
    return question


@pytest.mark.parametrize(
    ("argument", "value", "wanted"),
    [
        ("peer", 3, "a text"),
        ("zone", None, "a text"),
        ("deadline_s", "8", "a number of seconds"),
        ("deadline_s", True, "a number of seconds"),
        ("max_concurrent", "8", "a whole number of calls"),
        ("max_concurrent", 2.5, "a whole number of calls"),
        ("fallbacks", light, "a list of functions"),
        ("fallbacks", "light", "a list of functions"),
        ("breaker", 5, "Breaker(...), or None for no breaker"),
        ("retry", "3", "Retry(...) or a number"),
        ("retry", True, "Retry(...) or a number"),
        ("check", 3, "a function of the answer"),
        ("ignore", ValueError, "a tuple of exception types"),
        ("ignore", ("ValueError",), "a tuple of exception types"),
        ("ignore", (KeyboardInterrupt,), "a tuple of exception types"),
        ("attributes", 3, "a mapping"),
    ],
)
def test_an_argument_of_a_wrong_kind_is_named_and_shown_with_what_would_do(argument, value, wanted):
    with pytest.raises(TypeError, match=re.escape(f"{argument} of guard 'llm' takes {wanted}, got {value!r}")):
        Guard("llm", **{argument: value})


def test_what_is_right_is_taken():
    Guard("llm", deadline_s=8, fallbacks=(light, Fallback(light)), max_concurrent=1, breaker=None, retry=2)
    Guard("llm", deadline_s=0.5, fallbacks=[light], breaker=Breaker(), retry=Retry(), check=len, ignore=(KeyError,))


def test_a_guard_that_decorates_without_a_name_says_how_it_is_named():
    with pytest.raises(TypeError, match=r'named before it decorates, as in @guard\("llm.primary"\), got <function'):
        paramedic.guard(light)


def test_what_cannot_be_called_cannot_be_guarded():
    with pytest.raises(TypeError, match="guard 'llm' decorates functions, got 3"):
        Guard("llm")(3)


def test_a_function_without_a_guard_has_none():
    with pytest.raises(TypeError, match="<built-in function print> has no guard"):
        Guard.of(print)


def test_a_guard_shows_its_name_whom_it_calls_and_its_state():
    guard = Guard("llm", peer="aurora", zone="eu-1a")
    assert repr(guard) == "<guard 'llm' of 'aurora' in eu-1a: closed>"
    guard.force("open")
    assert repr(guard) == "<guard 'llm' of 'aurora' in eu-1a: open>"
