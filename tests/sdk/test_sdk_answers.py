"""Answers kept for a bad day: who gets which one, how old, how many."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paramedic import Guard
from paramedic.answers import Answers, arguments
from paramedic.contract.command import Target
from paramedic.guards.registry import registry
from paramedic.request import request
from paramedic.telemetry.runtime import dropped
from paramedic.testing import Clock

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def counted(answers):
    """A model that answers with the question and its number, through `answers`."""
    calls = []

    @answers.remembering
    def ask(question, **options):
        calls.append(question)
        return f"{question} {len(calls)}"

    return ask


def test_the_last_good_answer_is_given_when_the_call_fails(run):
    known = Answers()
    broken = []

    @Guard("llm", fallbacks=[known.recall])
    @known.remembering
    async def ask(question):
        if broken:
            raise OSError("down")
        return question.upper()

    assert run(ask("a?")) == "A?"
    broken.append(True)
    assert run(ask("a?")) == "A?"
    with pytest.raises(OSError, match="down"):
        run(ask("b?"))


def test_an_answer_is_forgotten_when_it_is_too_old(clock):
    known = Answers(seconds=60, clock=clock)
    counted(known)("a")
    clock.now += 60
    assert known.recall("a") == "a 1"
    clock.now += 1
    with pytest.raises(LookupError, match="young enough"):
        known.recall("a")


def test_a_newer_answer_takes_the_place_of_an_older_one(clock):
    known = Answers(seconds=60, clock=clock)
    ask = counted(known)
    ask("a")
    clock.now += 50
    ask("a")
    clock.now += 50
    assert known.recall("a") == "a 2"
    assert len(known) == 1


def test_tenants_do_not_see_each_others_answers():
    known = Answers(key=lambda question: question)
    ask = counted(known)
    with request(tenant="acme"):
        ask("where is my parcel?")
    with request(tenant="other"), pytest.raises(LookupError):
        known.recall("where is my parcel?")
    with request(tenant="acme"):
        assert known.recall("where is my parcel?") == "where is my parcel? 1"


def test_no_more_answers_are_kept_than_asked_for_and_the_oldest_go_first():
    known = Answers(size=2)
    ask = counted(known)
    for question in "abca":
        ask(question)
    assert len(known) == 2
    assert (known.recall("c"), known.recall("a")) == ("c 3", "a 4")


def test_an_answer_that_is_given_again_is_a_young_one():
    known = Answers(size=2)
    ask = counted(known)
    for question in "abac":
        ask(question)
    assert known.recall("a") == "a 3"


def test_numbers_that_are_equal_are_not_the_same_question():
    assert len({arguments(one) for one in (1, 1.0, True, "1")}) == 4


def test_old_answers_do_not_take_up_memory(clock):
    known = Answers(seconds=10, clock=clock)
    ask = counted(known)
    ask("a")
    clock.now += 11
    ask("b")
    assert len(known) == 1


@given(one=JSON, other=JSON)
def test_questions_are_the_same_when_their_json_is(one, other):
    import json

    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (arguments(one) == arguments(other)) == same
    assert (arguments(q=one) == arguments(q=other)) == same


@given(value=JSON)
def test_what_is_asked_by_name_is_not_what_is_asked_by_place(value):
    assert arguments(value) != arguments(q=value)


def test_arguments_that_the_call_changes_are_kept_as_they_were():
    known = Answers()

    @known.remembering
    def ask(messages):
        messages.append("more")
        return "answer"

    ask(["hi"])
    assert known.recall(["hi"]) == "answer"


@pytest.mark.parametrize("answer", [None, ""])
def test_what_helps_nobody_is_not_kept(answer):
    known = Answers(check=lambda text: None if text else "empty")
    known.remembering(lambda: answer)()
    assert len(known) == 0


def test_an_answer_that_its_call_found_useless_is_not_kept():
    known = Answers()

    @Guard("llm")
    @known.remembering
    def ask():
        Guard.current().useless("cut")
        return "half an ans"

    assert ask() == "half an ans"
    assert len(known) == 0


def test_what_cannot_be_compared_is_counted_and_not_kept():
    before = dropped.counts.get("answers key", 0)
    known = Answers()
    assert counted(known)(bytearray(b"a")).endswith(" 1")
    with pytest.raises(LookupError):
        known.recall(bytearray(b"a"))
    assert (len(known), dropped.counts["answers key"]) == (0, before + 2)


def test_a_key_of_none_keeps_nothing():
    known = Answers(key=lambda question: None)
    counted(known)("a")
    assert len(known) == 0


def test_a_check_that_fails_keeps_nothing_and_breaks_nothing():
    known = Answers(check=lambda answer: 1 / 0)
    assert counted(known)("a") == "a 1"
    assert len(known) == 0


def test_flushing_forgets_everything():
    known = Answers()
    counted(known)("a")
    assert known.flush() == 1
    assert len(known) == 0


def test_the_command_reaches_it_by_name_and_by_peer():
    known, other = Answers("faq", peer="aurora"), Answers("other")
    counted(known)("a")
    counted(other)("a")
    assert registry.flush(Target(guard="faq")).guards == ("faq",)
    assert (len(known), len(other)) == (0, 1)
    counted(known)("a")
    assert registry.flush(Target(peer="aurora")).guards == ("faq",)
    assert (len(known), len(other)) == (0, 1)


def test_a_forked_child_does_not_wait_for_a_thread_of_its_parent():
    known = Answers()
    counted(known)("a")
    with known._lock:  # as a thread of the parent may have held it
        known.after_fork()
        assert known.recall("a") == "a 1"


def test_streams_are_not_kept():
    def stream():
        yield 1

    with pytest.raises(TypeError, match="keep no streams"):
        Answers().remembering(stream)


@pytest.mark.parametrize(
    ("options", "why"), [({"name": ""}, "name"), ({"seconds": 0}, "seconds"), ({"size": 0}, "size")]
)
def test_answers_that_cannot_work_are_refused(options, why):
    with pytest.raises(ValueError, match=why):
        Answers(**options)


def test_many_threads_share_one_cache():
    known = Answers(size=16, seconds=5, clock=Clock())
    ask, wrong = counted(known), []

    def work():
        for i in range(300):
            ask(i % 40)
            try:
                if not known.recall(i % 40).startswith(f"{i % 40} "):
                    wrong.append(i)
            except LookupError:
                continue

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(known) == 16
