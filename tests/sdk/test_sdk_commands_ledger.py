"""What a bot makes of commands that are old, played again, overtaken, contradictory or of another owner.

What could go wrong, and must not:
    - a clock off by up to 30 s shortens or lengthens a lease; one further off lets old commands in
    - a command caught on the wire is played again: at once, after its end, after a restart, when memory is full
    - a clear overtakes its command; an older version comes after a newer one
    - a newer version means another guard, and the one before stays closed
    - two commands, or two owners, want the same target
    - a command keeps every call away, so that nobody sees the recovery
    - the team's own code, a log handler or a cache, blocks the bot or breaks the ledger
"""

import logging
import threading
from dataclasses import replace

import pytest
from sdk_platform_stub import KEY

from conftest import NOW
from paramedic import Guard
from paramedic.commands.ledger import MOST_HELD, Ledger
from paramedic.commands.memory import Memory
from paramedic.commands.news import LINES_A_MINUTE
from paramedic.contract.command import SKEW_S, AckState, Lease, SignedCommand
from paramedic.guards.registry import registry
from paramedic.policy.breaker import State


@pytest.fixture
def guard(clock):
    return Guard("llm", peer="aurora", clock=clock)


def signed(command, key=KEY):
    return SignedCommand.seal(command, key).to_json()


def a_ledger(clock, *, wall=NOW, **options):
    return Ledger("support-bot", "me-1", KEY, registry, clock=clock, wall=lambda: wall, **options)


def states(acks):
    return [(ack.command_id, ack.state.value) for ack in acks]


# Clocks


@pytest.mark.parametrize("off_s", [-SKEW_S, -1.0, 0.0, 1.0, SKEW_S])
def test_a_clock_that_is_off_by_the_skew_at_most_changes_no_lease(guard, command, clock, off_s):
    ledger = a_ledger(clock, wall=NOW + off_s)
    assert ledger.receive(signed(command("trip_breaker", peer="aurora", ttl_s=20)))[0].state == "applied"
    clock.now += 19.9
    assert guard.state is State.OPEN_BY_COMMAND
    clock.now += 0.1
    assert guard.state is State.CLOSED


@pytest.mark.parametrize("off_s", [-SKEW_S - 1, SKEW_S + 21])
def test_a_clock_that_is_further_off_lets_nothing_in_and_says_so(guard, command, clock, off_s):
    ledger = a_ledger(clock, wall=NOW + off_s)
    (ack,) = ledger.receive(signed(command("trip_breaker", peer="aurora", ttl_s=20)))
    assert ack.state == "rejected"
    assert "the clocks of bot and platform differ" in ack.reason
    assert guard.state is State.CLOSED


def test_a_wall_clock_that_is_set_meanwhile_changes_no_lease(guard, command, clock):
    wall = [NOW]
    ledger = Ledger("support-bot", "me-1", KEY, registry, clock=clock, wall=lambda: wall[0])
    ledger.receive(signed(command("trip_breaker", peer="aurora", ttl_s=20)))
    wall[0] -= 3600
    clock.now += 20
    assert guard.state is State.CLOSED
    assert states(ledger.sweep())[0][1] == "expired"


# Replays


@pytest.mark.parametrize(("age_s", "left_s"), [(0, 20), (20, 20), (35, 15), (49, 1)])
def test_a_restarted_bot_that_hears_an_old_command_cannot_be_held_beyond_its_end(guard, command, clock, age_s, left_s):
    """It knows nothing of before. The command may still hold until it expires, and the skew that clocks may have."""
    ledger = a_ledger(clock, wall=NOW + age_s)
    ledger.receive(signed(command("trip_breaker", peer="aurora", ttl_s=20)))
    clock.now += left_s - 0.01
    assert guard.state is State.OPEN_BY_COMMAND
    clock.now += 0.01
    assert guard.state is State.CLOSED


def test_the_same_text_again_is_answered_the_same_and_changes_nothing(ledger, guard, command, clock):
    text = signed(command("trip_breaker", peer="aurora", ttl_s=20))
    first = ledger.receive(text)
    clock.now += 15
    assert ledger.receive(text) == first
    clock.now += 5
    assert guard.state is State.CLOSED


def test_a_nonce_that_came_with_another_command_is_refused(ledger, guard, command):
    one, two = command("shed_load", peer="aurora", parameters={"share": 0.5}), command("trip_breaker", peer="aurora")
    sealed = SignedCommand.seal(one, KEY)
    ledger.receive(sealed.to_json())
    from paramedic.contract import command as contract

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contract.secrets, "token_hex", lambda _: sealed.open(KEY, service="support-bot", now=NOW).nonce)
        text = signed(two)
    (ack,) = ledger.receive(text)
    assert (ack.command_id, ack.state) == (two.id, "rejected")
    assert f"came with {one.id!r} before" in ack.reason
    assert guard.state is State.CLOSED


def test_when_memory_is_full_what_is_older_than_the_forgotten_is_refused(command):
    memory = Memory(remembered=2)
    old = replace(command("trip_breaker"), issued_at=10.0, nonce="a")
    memory.remember(old, None)
    for number in range(2):
        memory.remember(replace(command("trip_breaker"), issued_at=20.0 + number, nonce=f"n{number}"), None)
    with pytest.raises(ValueError, match="nobody knows whether it was seen before"):
        memory.seen(old)
    assert memory.seen(replace(command("trip_breaker"), issued_at=10.1, nonce="b")) is None


def test_a_version_that_comes_late_does_not_replace_a_newer_one_nor_bring_it_back(ledger, guard, command, clock):
    one = command("trip_breaker", peer="aurora", ttl_s=20)
    two = replace(one, version=2, lease=Lease("L", 10.0))
    late = signed(one)
    ledger.receive(signed(two))
    assert ledger.receive(late) == []
    clock.now += 10
    assert states(ledger.sweep()) == [(one.id, "expired")]
    assert ledger.receive(late) == []
    assert guard.state is State.CLOSED


def test_a_refused_newer_version_stays_refused_when_the_older_one_ends(ledger, guard, command, clock):
    """The end of version 1 must not make version 2 look unseen."""
    one = command("trip_breaker", peer="aurora", ttl_s=20)
    two = signed(replace(one, version=2, parameters={"abandon_after_s": -1}))
    ledger.receive(signed(one))
    (refused,) = ledger.receive(two)
    assert "abandon_after_s" in refused.reason
    assert guard.state is State.OPEN_BY_COMMAND, "what is wrong changes nothing"
    clock.now += 20
    ledger.sweep()
    ledger.receive(signed(replace(one, version=2)))
    assert guard.state is State.CLOSED


def test_a_clear_that_overtakes_its_command_wins(ledger, guard, command):
    trip = command("trip_breaker", peer="aurora", version=3)
    ledger.receive(signed(command("clear", version=3, parameters={"command_id": trip.id})))
    (ack,) = ledger.receive(signed(trip))
    assert (ack.command_id, ack.state, ack.reason) == (trip.id, "reverted", "it was cleared before it came")
    assert guard.state is State.CLOSED
    assert ledger.receive(signed(replace(trip, version=4)))[0].state == "applied", "a newer one was not meant"


def test_a_renewal_that_was_held_back_until_after_the_clear_does_nothing(ledger, guard, command):
    trip = command("trip_breaker", peer="aurora")
    held_back = signed(replace(trip, version=2))
    ledger.receive(signed(trip))
    ledger.receive(signed(command("clear", version=2, parameters={"command_id": trip.id})))
    ledger.receive(held_back)
    assert guard.state is State.CLOSED


def test_a_renewal_that_was_held_back_until_after_the_lease_and_the_clear_does_nothing(ledger, guard, command, clock):
    trip = command("trip_breaker", peer="aurora", ttl_s=20)
    held_back = signed(replace(trip, version=2))
    ledger.receive(signed(trip))
    clock.now += 20
    ledger.sweep()
    ledger.receive(signed(command("clear", version=2, parameters={"command_id": trip.id})))
    ledger.receive(held_back)
    assert guard.state is State.CLOSED


# Newer versions, owners, and commands beside each other


def test_a_newer_version_that_means_another_guard_frees_the_one_before(ledger, guard, command, clock):
    other = Guard("search", peer="borealis", clock=clock)
    trip = command("trip_breaker", peer="aurora")
    ledger.receive(signed(trip))
    ledger.receive(signed(command("trip_breaker", id=trip.id, version=2, peer="borealis")))
    assert (guard.state, other.state) == (State.CLOSED, State.OPEN_BY_COMMAND)


def test_a_newer_version_may_ask_for_something_else(ledger, guard, command):
    trip = command("trip_breaker", peer="aurora")
    ledger.receive(signed(trip))
    ledger.receive(signed(command("set_deadline", id=trip.id, version=2, peer="aurora", parameters={"deadline_s": 3})))
    assert guard.state is State.CLOSED


def test_when_a_lease_is_over_another_owner_may_take_up_its_command(ledger, guard, command, clock):
    trip = command("trip_breaker", peer="aurora", ttl_s=20, owner="operator:anna")
    ledger.receive(signed(trip))
    clock.now += 20
    assert ledger.receive(signed(replace(trip, version=2, owner="paramedic")))[0].state == "applied"


def test_two_commands_for_one_target_both_stand_until_both_are_over(ledger, guard, command):
    one, two = (command("trip_breaker", peer="aurora", owner=owner) for owner in ("paramedic", "operator:anna"))
    ledger.receive(signed(one))
    ledger.receive(signed(two))
    for command_id, owner, left in (
        (one.id, "paramedic", State.OPEN_BY_COMMAND),
        (two.id, "operator:anna", State.CLOSED),
    ):
        ledger.receive(signed(command("clear", owner=owner, parameters={"command_id": command_id})))
        assert guard.state is left


def test_nobody_but_its_owner_renews_or_clears_a_command(ledger, guard, command, clock):
    trip = command("trip_breaker", peer="aurora", ttl_s=20, owner="operator:anna")
    ledger.receive(signed(trip))
    renewal = replace(trip, version=2, owner="paramedic")
    clear = command("clear", owner="operator:ben", parameters={"command_id": trip.id})
    for stranger in (renewal, clear):
        (ack,) = ledger.receive(signed(stranger))
        assert (ack.state, ack.reason) == (
            "rejected",
            f"the lease of {trip.id!r} is held by 'operator:anna', not by {stranger.owner!r}",
        )
    clock.now += 19
    assert guard.state is State.OPEN_BY_COMMAND
    assert ledger.receive(signed(replace(trip, version=2)))[0].state == "applied", (
        "its owner's renewal was not in the way"
    )
    clock.now += 19
    assert guard.state is State.OPEN_BY_COMMAND


def test_the_local_operator_beats_a_renewal_too_and_the_platform_is_told(ledger, guard, command):
    trip = command("trip_breaker", peer="aurora")
    ledger.receive(signed(trip))
    guard.force("closed")
    (ack,) = ledger.receive(signed(replace(trip, version=2)))
    assert (ack.state, ack.reason) == ("rejected", "overridden by operator")
    guard.force(None)
    assert guard.state is State.CLOSED
    assert ledger.in_force() == [], "nor does a guard that is made later obey"


def test_more_commands_than_any_platform_sends_are_refused(ledger, command, guard):
    texts = [signed(command("set_deadline", peer="aurora", parameters={"deadline_s": 9})) for _ in range(MOST_HELD + 1)]
    assert [ledger.receive(text)[0].state.value for text in texts].count("rejected") == 1


# A share that remains


@pytest.mark.parametrize(
    ("kind", "parameters", "asked", "left"),
    [
        ("trip_breaker", {}, 0.0, 0.01),
        ("failover", {}, 0.0, 0.01),
        ("degrade", {"level": 1}, 0.001, 0.01),
        ("trip_breaker", {}, 0.1, 0.1),
        ("disable_tool", {}, 0.0, 0.0),
        ("disable_tool", {}, 0.005, 0.01),
    ],
)
def test_a_share_of_the_calls_still_goes_through_but_for_a_tool_that_is_switched_off(
    ledger, clock, command, kind, parameters, asked, left
):
    draws = iter([max(0.0, left - 0.0001), 0.0, left])
    guard = Guard("llm", peer="aurora", clock=clock, draw=lambda: next(draws), fallbacks=[lambda: "light"])
    ledger.receive(signed(command(kind, peer="aurora", probe_share=asked, parameters=parameters)))
    answers = [guard.run_sync(lambda: "strong") for _ in range(3)] if left else [guard.run_sync(lambda: "strong")]
    assert answers == (["strong", "strong", "light"] if left else ["light"])


def test_shedding_everything_leaves_a_share(ledger, clock, command):
    draws = iter([0.98, 0.999])
    guard = Guard("llm", peer="aurora", clock=clock, draw=lambda: next(draws), fallbacks=[lambda: "sorry"])
    ledger.receive(signed(command("shed_load", peer="aurora", parameters={"share": 1})))
    assert [guard.run_sync(lambda: "answer") for _ in range(2)] == ["sorry", "answer"]


def test_a_guard_that_is_made_later_keeps_its_share_too(ledger, clock, command):
    ledger.receive(signed(command("trip_breaker", peer="aurora")))
    guard = Guard("llm", peer="aurora", clock=clock, draw=lambda: 0.0)
    ledger.greet([guard])
    assert guard.run_sync(lambda: "a probe") == "a probe"


# Caches


def test_a_cache_is_flushed_once_a_command_and_named(ledger, command):
    flushed = []
    registry.add_cache("answers", lambda: flushed.append("answers"))
    registry.add_cache("prices", lambda: flushed.append("prices"), peer="shop")
    flush = command("flush_cache", guard="answers")
    first = ledger.receive(signed(flush))
    assert (first[0].state, first[0].guards, flushed) == ("applied", ("answers",), ["answers"])
    (again,) = ledger.receive(signed(replace(flush, version=2)))
    assert (again.state, again.version, again.guards) == ("applied", 2, ("answers",))
    assert flushed == ["answers"], "a renewal empties nothing"
    assert ledger.receive(signed(command("flush_cache", peer="shop")))[0].guards == ("prices",)
    assert not ledger.holds_any


def test_a_flush_that_nobody_obeys_is_rejected_and_tried_again_with_the_next_version(ledger, command):
    flush = command("flush_cache", guard="answers")
    assert ledger.receive(signed(flush))[0].reason == "no cache matches"
    registry.add_cache("answers", lambda: None)
    assert ledger.receive(signed(flush))[0].reason == "no cache matches", "this version was answered"
    assert ledger.receive(signed(replace(flush, version=2)))[0].state == "applied"


def test_a_cache_that_cannot_be_flushed_is_named_and_does_not_keep_others(ledger, command):
    flushed = []

    def broken():
        raise OSError("disk")

    registry.add_cache("answers", broken)
    registry.add_cache("answers", lambda: flushed.append(1))
    (ack,) = ledger.receive(signed(command("flush_cache", guard="answers")))
    assert (ack.state, ack.guards, ack.reason) == (
        "applied",
        ("answers",),
        "cache 'answers' could not be flushed: OSError",
    )
    assert flushed == [1]


def test_the_cache_of_an_object_that_is_gone_is_gone(ledger, command):
    class Answers:
        def flush(self):
            raise AssertionError("nobody should")

    registry.add_cache("answers", Answers().flush)
    assert ledger.receive(signed(command("flush_cache", guard="answers")))[0].reason == "no cache matches"


def test_the_methods_of_what_cannot_be_held_weakly_are_caches_too(ledger, command):
    cache = {"question": "answer"}
    registry.add_cache("answers", cache.clear)
    ledger.receive(signed(command("flush_cache", guard="answers")))
    assert cache == {}


@pytest.mark.parametrize(("name", "flush", "why"), [("", print, "needs a name"), ("a", None, "must be a function")])
def test_what_is_no_cache_is_refused_when_it_is_added(name, flush, why):
    with pytest.raises((ValueError, TypeError), match=why):
        registry.add_cache(name, flush)


def test_a_slow_flush_keeps_no_new_guard_waiting(ledger, clock, command):
    begun, made = threading.Event(), threading.Event()

    def slow():
        begun.set()
        assert made.wait(20)

    registry.add_cache("answers", slow)
    registry.on_new_guards(ledger.greet)
    try:
        flushing = threading.Thread(target=ledger.receive, args=(signed(command("flush_cache", guard="answers")),))
        flushing.start()
        assert begun.wait(20)
        Guard("llm", peer="aurora", clock=clock)
        made.set()
        flushing.join(20)
    finally:
        registry.off_new_guards(ledger.greet)


# What is said


def test_nobody_who_talks_nonsense_can_fill_the_log(clock, guard, command, caplog):
    said = []
    ledger = a_ledger(clock, say=lambda ack, about: said.append(ack))
    for _ in range(2):
        for _ in range(100):
            assert ledger.receive(signed(command("trip_breaker", peer="aurora"), key=b"nobody"))[0].state == "rejected"
        clock.now += 60
    assert len(caplog.messages) == len(said) == 2 * LINES_A_MINUTE


def test_a_command_on_which_the_sdk_fails_is_refused_and_the_next_is_heard(ledger, guard, command, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(guard, "objection", lambda *_: 1 / 0)
        (ack,) = ledger.receive(signed(command("trip_breaker", peer="aurora")))
    assert (ack.state, ack.reason) == ("rejected", "the SDK failed on it: ZeroDivisionError('division by zero')")
    assert ledger.receive(signed(command("trip_breaker", peer="aurora")))[0].state == "applied"


def test_a_slow_log_handler_keeps_no_new_guard_waiting(ledger, clock, command, guard):
    made = threading.Event()

    class Slow(logging.Handler):
        def emit(self, record):
            threading.Thread(target=lambda: (ledger.greet([guard]), made.set())).start()
            assert made.wait(20), "the ledger was locked while it logged"

    handler = Slow()
    logging.getLogger("paramedic").addHandler(handler)
    try:
        ledger.receive(signed(command("trip_breaker", peer="aurora")))
    finally:
        logging.getLogger("paramedic").removeHandler(handler)
    assert made.is_set()


def test_each_word_on_a_command_is_said_once(clock, guard, command):
    said = []
    ledger = a_ledger(clock, say=lambda ack, about: said.append((ack.state.value, about and about.kind.value)))
    trip = command("trip_breaker", peer="aurora", ttl_s=20)
    text, forged = signed(trip), signed(command("trip_breaker", peer="aurora"), key=b"somebody")
    for _ in range(3):
        ledger.receive(text)
        ledger.snapshot(f"[{text}]")
        ledger.receive(forged)
    clock.now += 20
    ledger.sweep()
    assert said == [("applied", "trip_breaker"), ("rejected", None), ("expired", "trip_breaker")]


def test_a_forked_child_speaks_in_its_own_name_and_leaves_its_parents_own_commands(ledger, guard, command, clock):
    to_all, to_parent = (command("trip_breaker", peer="aurora", instance=i, ttl_s=20) for i in ("", "me-1"))
    text = signed(to_all)
    ledger.receive(text)
    other = Guard("search", peer="borealis", clock=clock)
    ledger.receive(signed(replace(to_parent, target=replace(to_parent.target, peer="borealis"))))
    assert other.state is State.OPEN_BY_COMMAND
    ledger.after_fork("child")
    assert (guard.state, other.state) == (State.OPEN_BY_COMMAND, State.CLOSED)
    assert [ack.instance for ack in ledger.receive(text)] == ["child"]
    clock.now += 20
    assert [(ack.instance, ack.state) for ack in ledger.sweep()] == [("child", AckState.EXPIRED)]


@pytest.mark.parametrize("snapshot", ["[" * 100_000, "[" + ",".join(["{}"] * 3000) + "]", "null", "7", "[[]]", '["x"]'])
def test_a_snapshot_of_nonsense_is_survived(ledger, guard, snapshot):
    ledger.snapshot(snapshot)
    assert guard.run_sync(lambda: "works") == "works"
