"""The cheap model first; a dearer one when its answer is not good enough."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paramedic import Guard, Refused
from paramedic.policy.breaker import State
from paramedic.policy.stepping import LEAST_ANSWERS, Step, worth_asking
from paramedic.request import request
from paramedic.routing.cascade import Cascade
from paramedic.routing.members import Member
from paramedic.telemetry.runtime import dropped
from paramedic.testing.waiting import no_wait


def model(name, seen, answer=None):
    async def ask(question):
        seen.append(name)
        if isinstance(answer, Exception):
            raise answer
        return answer or f"{name}: {question}"

    ask.__name__ = name
    return ask


def check(answer):
    return "unsure" if answer == "?" else None


def test_a_good_cheap_answer_is_taken(run):
    seen = []
    cascade = Cascade("llm", [model("small", seen), model("large", seen)], check=check)
    assert run(cascade("hi")) == "small: hi"
    assert seen == ["small"]


def test_an_answer_that_fails_the_check_is_stepped_up(run, sink):
    seen = []
    cascade = Cascade("llm", [model("small", seen, "?"), model("large", seen)], check=check, peer="aurora")
    assert run(cascade("hi")) == "large: hi"
    told = [(s.attributes["paramedic.guard"], s.attributes["paramedic.cascade.step"]) for s in sink.spans]
    assert told == [("llm.small", 0), ("llm.large", 1)]
    assert {span.attributes["service.peer.name"] for span in sink.spans} == {"aurora"}


def test_stepping_up_says_nothing_about_the_health_of_the_cheap_model(run):
    cascade = Cascade("llm", [model("small", [], "?"), model("large", [])], check=check)

    async def main():
        for _ in range(30):
            await cascade("hi")

    run(main())
    assert cascade.guards[0].counts == {"worked": 30, "stepped_up": 30}
    assert cascade.guards[0].state is State.CLOSED
    assert cascade.step_ups == [1.0, None]


def test_the_last_answer_stands_unchecked(run):
    cascade = Cascade("llm", [model("small", [], "?"), model("large", [], "?")], check=check)
    assert run(cascade("hi")) == "?"


def test_a_model_that_fails_is_stepped_over(run):
    seen = []
    cascade = Cascade("llm", [model("small", seen, OSError("down")), model("large", seen)], check=check)
    assert run(cascade("hi")) == "large: hi"


def test_an_answer_in_doubt_is_better_than_an_error(run):
    cascade = Cascade("llm", [model("small", [], "?"), model("large", [], OSError("down"))], check=check)
    assert run(cascade("hi")) == "?"


def test_when_all_fail_the_first_error_of_a_call_that_was_made_is_raised(run):
    cascade = Cascade("llm", [model(n, [], OSError(n)) for n in ("a", "b", "c")], check=check)
    cascade.guards[0].force("open")
    with pytest.raises(OSError, match="b"):
        run(cascade("hi"))
    for guard in cascade.guards:
        guard.force("open")
    with pytest.raises(Refused):
        run(cascade("hi"))


def test_fallbacks_come_after_all_models(run):
    members = [model("small", [], OSError("small")), model("large", [], OSError("large"))]
    cascade = Cascade("llm", members, check=check, fallbacks=[lambda question: 1 / 0, lambda question: "Sorry!"])
    assert run(cascade("hi")) == "Sorry!"


def test_a_fallback_is_better_than_an_answer_in_doubt_and_that_better_than_an_error(run):
    members = [model("small", [], "?"), model("large", [], OSError("large"))]
    assert run(Cascade("llm", members, check=check, fallbacks=[lambda question: "cached"])("hi")) == "cached"
    assert run(Cascade("llm", members, check=check, fallbacks=[lambda question: 1 / 0])("hi")) == "?"


def test_a_model_is_asked_again_before_the_next_one(run):
    seen = []
    cascade = Cascade("llm", [model("small", seen, TimeoutError("late")), model("large", seen)], check=check, retry=2)
    with no_wait():
        assert run(cascade("hi")) == "large: hi"
    assert seen == ["small", "small", "large"]


def test_sync_cascades_ask_fallbacks_alike():
    def broken(question):
        raise OSError("down")

    members = [Member(broken, model="small"), Member(broken, model="large")]
    assert Cascade("llm", members, check=check, fallbacks=[str.upper]).run_sync("hi") == "HI"


def test_what_is_ignored_is_raised_at_once(run):
    seen = []
    cascade = Cascade(
        "llm", [model("small", seen, KeyError("mine")), model("large", seen)], check=check, ignore=(KeyError,)
    )
    with pytest.raises(KeyError, match="mine"):
        run(cascade("hi"))
    assert seen == ["small"]


def test_a_check_may_ask_a_judge(run):
    async def judge(answer):
        return check(answer)

    cascade = Cascade("llm", [model("small", [], "?"), model("large", [])], check=judge)
    assert run(cascade("hi")) == "large: hi"


def test_a_check_that_fails_takes_the_answer_and_is_counted(run):
    before = dropped.counts.get("check", 0)
    cascade = Cascade("llm", [model("small", []), model("large", [])], check=lambda answer: 1 / 0)
    assert run(cascade("hi")) == "small: hi"
    assert dropped.counts["check"] == before + 1


def test_sync_models_are_asked_alike():
    cascade = Cascade("llm", [Member(lambda q: "?", model="small"), Member(lambda q: q, model="large")], check=check)
    assert cascade.run_sync("hi") == "hi"


def test_a_cheap_model_that_seldom_helps_is_skipped_but_for_a_tenth_and_comes_back(run):
    seen, answer = [], ["?"]

    async def small(question):
        seen.append("small")
        return answer[0]

    cascade = Cascade(
        "llm",
        [Member(small, model="small", cost=1.0), Member(model("large", seen), model="large", cost=4.0)],
        check=check,
        draw=random.Random(3).random,
    )

    async def ask(times):
        seen.clear()
        for _ in range(times):
            await cascade("hi")
        return seen.count("small"), seen.count("large")

    assert run(ask(LEAST_ANSWERS)) == (LEAST_ANSWERS, LEAST_ANSWERS)
    asked_small, asked_large = run(ask(1000))
    assert asked_large == 1000
    assert 60 < asked_small < 140
    answer[0] = "good"
    run(ask(2500))
    assert run(ask(100)) == (100, 0)


def test_a_skipped_model_is_asked_when_the_dear_one_fails(run):
    seen = []
    large = [None]

    async def dear(question):
        if isinstance(large[0], Exception):
            raise large[0]
        return large[0] or "large"

    cascade = Cascade(
        "llm",
        [Member(model("small", seen, "?"), model="small", cost=1.0), Member(dear, model="large", cost=1.1)],
        check=check,
        draw=lambda: 0.9,
    )

    async def main():
        for _ in range(LEAST_ANSWERS):
            assert await cascade("hi") == "large"
        seen.clear()
        assert await cascade("hi") == "large"
        large[0] = "?"
        assert await cascade("hi") == "?"
        assert seen == []
        large[0] = OSError("down")
        return await cascade("hi")

    assert run(main()) == "?"
    assert seen == ["small"]


def test_no_model_is_asked_where_the_data_may_not_go(run):
    seen = []
    members = [
        Member(model("small", seen), model="small", region="us"),
        Member(model("large", seen), model="large", region="eu"),
    ]
    cascade = Cascade("llm", members, check=check)

    async def main():
        with request(residency={"eu"}):
            assert await cascade("hi") == "large: hi"
        with request(residency={"ch"}):
            await cascade("hi")

    with pytest.raises(Refused) as refused:
        run(main())
    assert refused.value.reason == "residency"
    assert seen == ["large"]


def test_the_dearest_answer_that_may_be_had_stands_unchecked(run):
    members = [
        Member(model("small", [], "?"), model="small", region="eu"),
        Member(model("large", []), model="large", region="us"),
    ]
    cascade = Cascade("llm", members, check=check, fallbacks=[lambda question: "cached"])

    async def main():
        with request(residency={"eu"}):
            return await cascade("hi")

    assert run(main()) == "?"


COSTS = st.lists(st.floats(0.01, 100), min_size=2, max_size=2).map(sorted)


@given(costs=COSTS, ups=st.integers(0, 40))
def test_the_cheap_one_is_skipped_if_and_only_if_it_costs_more_than_it_saves(costs, ups):
    """The oracle adds up what 40 calls cost in either way."""
    cheap, dear = costs
    step = Step()
    step.answers, step.weight, step.weight_up = 40, 40.0, float(ups)
    with_both, alone = 40 * cheap + ups * dear, 40 * dear
    if abs(with_both - alone) > 1e-6 * alone:
        assert (worth_asking(costs, [step, Step()], lambda: 0.5) == [1]) == (with_both > alone)
    assert worth_asking(costs, [step, Step()], lambda: 0.05) == [0, 1]


@given(costs=st.lists(st.floats(0.01, 100), min_size=2, max_size=5).map(sorted), data=st.data())
def test_the_dearest_is_always_asked_last_and_none_is_asked_twice(costs, data):
    steps = [Step() for _ in costs]
    for step in steps:
        for up in data.draw(st.lists(st.booleans(), max_size=30)):
            step.hear(up)
    asked = worth_asking(costs, steps, lambda: data.draw(st.floats(0, 0.99)))
    assert asked[-1] == len(costs) - 1
    assert asked == sorted(set(asked))


def test_too_few_answers_and_unknown_costs_skip_nothing():
    step = Step()
    for _ in range(LEAST_ANSWERS - 1):
        step.hear(True)
    assert worth_asking([1, 2], [step, Step()], lambda: 0.9) == [0, 1]
    step.hear(True)
    assert worth_asking([1, 2], [step, Step()], lambda: 0.9) == [1]
    assert worth_asking([0, 0], [step, Step()], lambda: 0.9) == [0, 1]


def test_a_middle_model_may_be_skipped_alone():
    steps = [Step() for _ in range(3)]
    for _ in range(100):
        steps[0].hear(False)
        steps[1].hear(True)
    assert worth_asking([1, 5, 6], steps, lambda: 0.9) == [0, 2]


def test_a_first_model_is_weighed_against_what_comes_after_it_and_not_against_the_dearest():
    """The middle one is nearly always good enough, so the first one saves nothing."""
    steps = [Step() for _ in range(3)]
    for i in range(100):
        steps[0].hear(i % 5 < 3)
        steps[1].hear(False)
    assert worth_asking([1, 2, 100], steps, lambda: 0.9) == [1, 2]


def test_old_answers_are_forgotten():
    step = Step()
    for _ in range(2000):
        step.hear(True)
    for _ in range(600):
        step.hear(False)
    assert step.share < 0.06


def stream(question):
    yield question


@pytest.mark.parametrize(
    ("members", "error", "why"),
    [
        ([print], ValueError, "at least two members"),
        ([print, print], ValueError, "two members called 'print'"),
        ([Member(print, cost=2), Member(repr, cost=1)], ValueError, "must rise"),
        ([stream, print], TypeError, "not generator stream"),
    ],
)
def test_a_cascade_that_cannot_work_is_refused(members, error, why):
    with pytest.raises(error, match=why):
        Cascade("llm", members, check=check)


def test_each_model_is_reached_by_commands(clock, command, obey, run):
    seen = []
    cascade = Cascade("llm", [model("small", seen), model("large", seen)], check=check, clock=clock)
    assert obey(command("trip_breaker", guard="llm.small")).guards == ("llm.small",)
    assert run(cascade("hi")) == "large: hi"
    assert seen == ["large"]
    assert isinstance(cascade.guards[0], Guard)
