"""What a router does when nobody helped at first: another round, the least bad member, the fallbacks."""

import asyncio

import pytest

from paramedic import BreakerOpen, Guard, Router
from paramedic.guards.fallbacks import Fallback
from paramedic.guards.sharing import retry_budgets
from paramedic.policy.breaker import Breaker, State
from paramedic.policy.retry import Retry
from paramedic.routing.members import Member
from paramedic.testing import StatusError
from paramedic.testing.waiting import no_wait

ONE_FAILURE = Breaker(in_a_row=1, rest_s=10)


@pytest.fixture(autouse=True)
def full_budgets():
    retry_budgets.clear()


class Members:
    """Members that answer with their name or raise what they are told, and write down who was asked."""

    def __init__(self, names, **errors):
        self.seen, self.errors = [], {name: errors.get(name) for name in names}
        self.calls = {name: self._call(name) for name in names}

    def _call(self, name):
        async def call(*_):
            self.seen.append(name)
            error = self.errors[name]
            if isinstance(error, list):
                error = error.pop(0) if error else None
            if error is not None:
                raise error
            return name

        return call


def router_of(members, **options):
    return Router("bot", members.calls, **{"draw": lambda: 0.5, **options})


# Another round


def test_all_members_are_gone_through_again_after_a_wait(run, sink):
    members = Members("ab", a=[StatusError(503)], b=[TimeoutError("late")])
    with no_wait() as waited:
        assert run(router_of(members, retry=Retry(base_s=0.2))()) == "a"
    assert members.seen == ["a", "b", "a"]
    assert waited == [0.1]
    assert [span.attributes.get("paramedic.retry") for span in sink.spans] == [None, None, 1]


def test_no_round_is_made_for_errors_that_another_call_cannot_mend(run):
    members = Members("ab", a=KeyError("bug"), b=KeyError("bug"))
    with pytest.raises(KeyError):
        run(router_of(members, retry=3)())
    assert members.seen == ["a", "b"]


def test_one_error_that_may_be_over_soon_is_enough_for_another_round(run):
    members = Members("ab", a=KeyError("bug"), b=[StatusError(503)])
    with no_wait():
        assert run(router_of(members, retry=3)()) == "b"
    assert members.seen == ["a", "b", "a", "b"]


def test_rounds_end_with_the_attempts(run):
    members = Members("ab", a=ConnectionError("a"), b=ConnectionError("b"))
    with no_wait() as waited, pytest.raises(ConnectionError, match="a"):
        run(router_of(members, retry=2, breaker=None)())
    assert members.seen == ["a", "b"] * 2
    assert len(waited) == 1


def test_rounds_end_with_the_budget_of_the_members_peers(run):
    """Ten tokens, of which five may go: each round of two failures takes two."""
    members = Members("ab", a=ConnectionError("a"), b=ConnectionError("b"))
    with no_wait(), pytest.raises(ConnectionError):
        run(router_of(members, retry=50, breaker=None)())
    assert members.seen == ["a", "b"] * 3


def test_no_round_is_made_when_all_circuits_have_opened(run, clock):
    members = Members("ab", a=ConnectionError("a"), b=ConnectionError("b"))
    with no_wait() as waited, pytest.raises(ConnectionError):
        run(router_of(members, retry=9, breaker=ONE_FAILURE, clock=clock)())
    assert members.seen == ["a", "b"]
    assert waited == []


def test_one_closed_circuit_is_enough_for_another_round(run, clock):
    members = Members("ab", a=ConnectionError("a"), b=[ConnectionError("b")])
    router = router_of(members, retry=9, breaker=Breaker(in_a_row=2), clock=clock)

    async def main():
        with pytest.raises(ConnectionError, match="a"):
            await router.guards["a"].run(members.calls["a"])
        return await router()

    with no_wait():
        assert run(main()) == "b"
    assert members.seen == ["a", "a", "b", "b"]


def test_another_round_leaves_out_whose_budget_is_used_up(run):
    members = Members("ab", a=[ConnectionError("a")], b=[ConnectionError("b")])
    told = {name: Member(call, peer=f"peer {name}") for name, call in members.calls.items()}
    router = Router("bot", told, retry=2, breaker=None, draw=lambda: 0.5)
    for _ in range(5):
        retry_budgets.of("peer a").failed()
    with no_wait():
        assert run(router()) == "b"
    assert members.seen == ["a", "b", "b"]


def test_no_round_is_made_for_which_the_deadline_leaves_no_time(run):
    members = Members("a", a=ConnectionError("a"))
    with no_wait() as waited, pytest.raises(ConnectionError):
        run(router_of(members, retry=Retry(base_s=60, longest_s=60), deadline_s=20)())
    assert waited == []


def test_layers_of_retries_do_not_multiply(run):
    """A router inside a guard, each with three attempts: three calls, not nine."""
    members = Members("a", a=ConnectionError("a"))
    router = router_of(members, retry=3, breaker=None)
    outer = Guard("outer", retry=3, breaker=None)
    with no_wait(), pytest.raises(ConnectionError):
        run(outer.run(router))
    assert members.seen == ["a"] * 3


# Retry-After


def test_a_member_that_is_rate_limited_hands_over_at_once_and_is_asked_last_for_as_long_as_it_said(run, clock):
    members = Members("ab", a=[StatusError(429, {"retry-after": "20"})])
    router = router_of(members, clock=clock, retry=3)

    async def ask():
        members.seen.clear()
        await router()
        return "".join(members.seen)

    with no_wait() as waited:
        assert run(ask()) == "ab"
        assert run(ask()) == "b"
        clock.now += 19.9
        assert run(ask()) == "b"
        clock.now += 0.1
        assert run(ask()) == "a"
    assert waited == []


def test_a_member_that_asked_to_be_left_alone_is_still_better_than_none(run, clock):
    members = Members("ab", a=[StatusError(429, {"retry-after": "20"})])
    router = router_of(members, clock=clock)

    async def main():
        await router()
        members.errors["b"] = OSError("down")
        return await router()

    assert run(main()) == "a"
    assert members.seen == ["a", "b", "b", "a"]


def test_the_shortest_wish_decides_how_long_a_round_waits(run):
    members = Members("ab", a=[StatusError(429, {"retry-after": "20"})], b=[StatusError(429, {"retry-after": "2"})])
    with no_wait() as waited:
        run(router_of(members, retry=Retry(base_s=0))())
    assert waited == [2.0]


def test_a_wish_is_not_believed_for_ever(run, clock):
    members = Members("ab", a=[StatusError(429, {"retry-after": "86400"})])
    router = router_of(members, clock=clock)
    run(router())
    clock.now += 301
    run(router())
    assert members.seen == ["a", "b", "a"]


# What must not run twice


@pytest.mark.parametrize("error", [TimeoutError("late"), StatusError(500), ConnectionResetError("cut")])
def test_what_must_not_run_twice_is_not_sent_to_another_member_once_it_may_have_arrived(run, error):
    members = Members("ab", a=error)
    with pytest.raises(type(error)):
        run(router_of(members, retry=Retry(repeatable=False))())
    assert members.seen == ["a"]


@pytest.mark.parametrize("error", [ConnectionRefusedError("no"), StatusError(429)])
def test_what_never_arrived_is_sent_to_another_member(run, error):
    members = Members("ab", a=error)
    assert run(router_of(members, retry=Retry(repeatable=False))()) == "b"


def test_with_a_key_it_is_sent_everywhere_under_the_same_key(run):
    keys = []

    async def broken(order):
        keys.append(Guard.headers()["Idempotency-Key"])
        raise TimeoutError("late")

    async def book(order):
        keys.append(Guard.headers()["Idempotency-Key"])
        return "booked"

    router = Router(
        "bot",
        {"a": broken, "b": broken},
        retry=Retry(attempts=2, repeatable=False),
        idempotency_key=lambda order: f"order-{order}",
        fallbacks=[Guard("other")(book)],
        breaker=None,
    )
    with no_wait():
        assert run(router(7)) == "booked"
    assert keys == ["order-7"] * 5


# Fallbacks


def test_fallbacks_come_after_all_members_in_order(run, sink):
    members = Members("ab", a=OSError("a"), b=OSError("b"))
    asked = []

    def light(*_):
        asked.append("light")
        raise OSError("light")

    @Guard("cache")
    def cached(*_):
        return "cached"

    assert run(router_of(members, fallbacks=[light, cached])()) == "cached"
    assert (members.seen, asked) == (["a", "b"], ["light"])
    levels = [(s.attributes["paramedic.guard"], s.attributes["paramedic.fallback.level"]) for s in sink.spans]
    assert levels == [("bot", 0), ("bot", 0), ("cache", 2)]


def test_a_fallback_has_time_when_the_members_used_up_theirs(run):
    async def hang():
        await asyncio.sleep(3600)

    async def light():
        await asyncio.sleep(0)
        return "light"

    router = Router("bot", {"a": hang, "b": hang}, deadline_s=0.01, fallbacks=[Fallback(light, deadline_s=5)])
    assert run(router()) == "light"


def test_a_wrong_request_goes_to_the_fallbacks_but_not_to_other_members(run):
    members = Members("ab", a=StatusError(422), b=StatusError(422))
    assert run(router_of(members, fallbacks=[lambda: "Sorry!"])()) == "Sorry!"
    assert len(members.seen) == 1


def test_what_is_ignored_goes_nowhere(run):
    members = Members("ab", a=KeyError("mine"))
    with pytest.raises(KeyError, match="mine"):
        run(router_of(members, ignore=(KeyError,), fallbacks=[lambda: "Sorry!"], retry=3)())
    assert members.seen == ["a"]


def test_when_fallbacks_fail_too_the_first_error_is_raised_and_names_them(run):
    def broken():
        raise OSError("fallback")

    members = Members("ab", a=OSError("a"), b=OSError("b"))
    with pytest.raises(OSError, match="a") as raised:
        run(router_of(members, fallbacks=[broken])())
    assert str(raised.value.__cause__) == "fallback"


def test_a_useless_answer_is_better_than_an_error(run):
    members = Members("ab", a=OSError("down"))
    assert run(router_of(members, check=lambda answer: "empty")()) == "b"


def test_sync_routers_make_rounds_and_ask_fallbacks_alike():
    seen, errors = [], [TimeoutError("late"), TimeoutError("late"), KeyError("bug")]

    def call(question):
        seen.append(question)
        raise errors.pop(0)

    router = Router("bot", {"a": call}, retry=5, fallbacks=[lambda question: f"light {question}"], breaker=None)
    with no_wait() as waited:
        assert router.run_sync("hi") == "light hi"
    assert (len(seen), len(waited)) == (3, 2)


def test_a_member_that_a_command_degrades_hands_over_and_skips_no_fallback(run, clock, command, obey):
    members = Members("ab", b=OSError("down"))
    router = router_of(members, clock=clock, breaker=ONE_FAILURE, fallbacks=[lambda: "light", lambda: "cached"])
    assert obey(command("degrade", peer="bot", zone="a", ttl_s=5.0, parameters={"level": 2})).guards == ("bot",)
    assert run(router()) == "light"  # "b" was asked, and failed
    assert run(router()) == "light"  # "b" rests, and "a" is the one that is back first
    assert members.seen == ["b"]


def test_a_useless_answer_does_not_hide_what_is_the_callers_own_business(run):
    members = Members("ab", b=KeyError("mine"))
    with pytest.raises(KeyError, match="mine"):
        run(router_of(members, check=lambda answer: "empty", ignore=(KeyError,))())
    assert members.seen == ["a", "b"]


# The least bad


def all_open(run, clock, **options):
    """A router whose members' breakers are all open; that of "a" rests one second less."""
    members = Members("ab", a=OSError("a"), b=OSError("b"))
    router = router_of(members, breaker=ONE_FAILURE, clock=clock, **options)

    async def main():
        for name in "ab":
            with pytest.raises(OSError, match=name):
                await router.guards[name].run(members.calls[name])
            clock.now += 1

    run(main())
    members.seen.clear()
    return router, members


def test_when_all_breakers_are_open_the_call_goes_to_the_member_whose_rest_ends_first(run, clock):
    router, members = all_open(run, clock)
    with pytest.raises(OSError, match="a"):
        run(router())
    assert members.seen == ["a"]
    with pytest.raises(OSError, match="b"):  # that of "a" rests anew
        run(router())
    assert members.seen == ["a", "b"]


def test_the_least_bad_member_closes_its_breaker_when_it_answers(run, clock):
    router, members = all_open(run, clock)
    members.errors["a"] = None
    assert run(router()) == "a"
    assert router.guards["a"].state is State.CLOSED
    assert router.guards["b"].state is State.OPEN


def test_of_many_callers_one_at_a_time_goes_to_the_least_bad(run, clock):
    running, most = 0, 0
    go_on = asyncio.Event()

    async def slow():
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go_on.wait()
        running -= 1
        raise OSError("still down")

    router = Router("bot", {"a": slow, "b": slow}, breaker=ONE_FAILURE, clock=clock)

    async def main():
        go_on.set()
        with pytest.raises(OSError, match="still down"):
            await router()
        go_on.clear()
        calls = [asyncio.ensure_future(router()) for _ in range(50)]
        await asyncio.sleep(0.01)
        assert running == 1
        go_on.set()
        return await asyncio.gather(*calls, return_exceptions=True)

    ends = run(main())
    assert most == 1
    assert sum(type(end) is OSError for end in ends) == 1
    assert sum(isinstance(end, BreakerOpen) for end in ends) == 49


def test_after_the_rest_there_is_one_trial_a_member_and_no_last_resort_beside_them(run, clock):
    asked, go_on, ill = [], asyncio.Event(), [True]

    def member(name):
        async def slow():
            asked.append(name)
            if ill[0]:
                raise OSError("down")
            await go_on.wait()
            return name

        return slow

    router = Router("bot", {"a": member("a"), "b": member("b")}, breaker=ONE_FAILURE, clock=clock)

    async def main():
        with pytest.raises(OSError, match="down"):
            await router()
        clock.now += 10
        ill[0] = False
        asked.clear()
        calls = [asyncio.ensure_future(router()) for _ in range(50)]
        await asyncio.sleep(0.01)
        go_on.set()
        await asyncio.gather(*calls, return_exceptions=True)

    run(main())
    assert sorted(asked) == ["a", "b"]
    assert {guard.state for guard in router.guards.values()} == {State.CLOSED}


def test_the_place_at_the_least_bad_is_given_back_when_its_caller_leaves(run, clock):
    async def hang():
        await asyncio.sleep(3600)

    async def main():
        hanging = Router("bot", {"a": hang, "b": hang}, breaker=ONE_FAILURE, clock=clock, attempt_s=0.005)
        with pytest.raises(TimeoutError):
            await hanging()
        for _ in range(3):  # each has the place and is cancelled
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await hanging()

    run(main())


@pytest.mark.parametrize("by", ["command", "operator"])
def test_who_is_kept_away_on_purpose_is_not_the_least_bad(run, clock, command, obey, by):
    router, members = all_open(run, clock)
    if by == "command":
        assert obey(command("failover", peer="bot", zone="a", probe_share=0.0)).guards == ("bot",)
    else:
        router.guards["a"].force("open")
    with pytest.raises(BreakerOpen):
        run(router())
    assert members.seen == []


def test_with_fallbacks_nobody_is_asked_who_rests(run, clock):
    router, members = all_open(run, clock, fallbacks=[lambda: "cached"])
    assert run(router()) == "cached"
    assert members.seen == []
