"""The calls of one guard under everything that can happen to it: no permit leaks, and none is given twice."""

import asyncio
import contextvars
import sys
import threading

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from paramedic import BulkheadFull, Guard, Refused
from paramedic.contract.command import ActionKind
from paramedic.guards.attempts import Useless
from paramedic.policy.breaker import Breaker, State
from paramedic.policy.effects import Effect
from paramedic.testing import Clock

MOST = 3
EFFECTS = [
    Effect(ActionKind.TRIP_BREAKER, "lease", 0.5),
    Effect(ActionKind.LIMIT_CONCURRENCY, "lease", 0.0, limit=1),
    Effect(ActionKind.SHED_LOAD, "lease", 0.0, shed_share=0.5),
    Effect(ActionKind.SET_DEADLINE, "lease", 0.0, deadline_s=60.0),
]


class GuardMachine(RuleBasedStateMachine):
    """Calls begin and end in any order, among commands, leases that end, the operator and forks."""

    def __init__(self):
        super().__init__()
        self.clock, self.draws = Clock(), 0.0
        self.guard = Guard(
            "any",
            max_concurrent=MOST,
            deadline_s=30.0,
            breaker=Breaker(in_a_row=2, rest_s=10, trials=2),
            clock=self.clock,
            draw=lambda: self.draws,
        )
        self.flying = []  # (call, its context)
        self.of_the_parent = []
        self.trials = 0

    @rule(draw=st.sampled_from([0.0, 0.9]))
    def chance(self, draw):
        self.draws = draw

    @rule(seconds=st.sampled_from([0.1, 10.0, 40.0]))
    def time_passes(self, seconds):
        self.clock.now += seconds

    @rule(probe=st.sampled_from([None, True, False]))
    def a_call_begins(self, probe):
        context = contextvars.copy_context()
        try:
            call = context.run(self.guard.begin, None, probe)
        except Refused as refused:
            if isinstance(refused, BulkheadFull):
                assert len(self.flying) >= 1
            return
        assert len(self.flying) < MOST
        self.flying.append((call, context))

    @precondition(lambda self: self.flying)
    @rule(
        which=st.integers(0, MOST),
        how=st.sampled_from(["works", "fails", "wrong request", "cancelled", "useless", "interrupted", "times out"]),
    )
    def a_call_ends(self, which, how):
        call, context = self.flying.pop(which % len(self.flying))
        context.run(self.end, call, how)

    def end(self, call, how):
        guard, error = self.guard, None
        if how == "works":
            return guard.ended(call, 1)
        if how == "useless":
            call.useless("empty")
            with pytest.raises(Useless):
                guard.ended(call, "")
            return None
        error = {
            "fails": RuntimeError(),
            "wrong request": type("Wrong", (Exception,), {"status_code": 404})(),
            "cancelled": asyncio.CancelledError(),
            "interrupted": KeyboardInterrupt(),
            "times out": TimeoutError(),
        }[how]
        return guard.failed(call, error)

    @rule(number=st.integers(0, 2), effect=st.sampled_from(EFFECTS), ttl=st.sampled_from([5.0, 60.0]))
    def a_command_comes(self, number, effect, ttl):
        self.guard.obey(f"cmd-{number}", effect, self.clock() + ttl)

    @rule(number=st.integers(0, 2))
    def a_command_goes(self, number):
        self.guard.disobey(f"cmd-{number}")

    @rule(state=st.sampled_from(["open", "closed", None]))
    def the_operator_speaks(self, state):
        self.guard.force(state)

    @rule()
    def the_process_forks(self):
        """This is the child now; what was in flight is the parent's, yet may still end here."""
        self.guard.after_fork()
        self.of_the_parent += self.flying
        self.flying = []

    @precondition(lambda self: self.of_the_parent)
    @rule(how=st.sampled_from(["works", "fails", "cancelled"]))
    def a_call_of_the_parent_ends_here(self, how):
        call, context = self.of_the_parent.pop()
        context.run(self.end, call, how)

    @invariant()
    def permits_are_the_calls_in_flight(self):
        assert self.guard.in_flight()[0] == len(self.flying) <= MOST

    @invariant()
    def the_short_way_is_open_only_when_nothing_has_to_be_asked(self):
        gate = self.guard._gate
        easy = gate.forced is None and gate.effects is None and gate.circuit.until is None
        assert (gate.admits is not None) == easy
        if easy:
            assert gate.admits.era == gate.circuit.era

    def teardown(self):
        for call, context in self.flying:
            context.run(self.end, call, "cancelled")
        self.guard.force("closed")
        for number in range(3):
            self.guard.disobey(f"cmd-{number}")
        for _ in range(MOST):
            contextvars.copy_context().run(self.guard.begin, None)
        with pytest.raises(BulkheadFull):
            contextvars.copy_context().run(self.guard.begin, None)


GuardMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestGuard = GuardMachine.TestCase


@pytest.fixture
def restless():
    """Threads that are interrupted as often as Python can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(many, work):
    together = threading.Barrier(many)

    def run():
        together.wait()
        work()

    threads = [threading.Thread(target=run) for _ in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_the_last_permit_goes_to_exactly_one_of_many_threads(restless):
    """Nobody is let in beyond the limit, and no permit stays unused while somebody is turned away."""
    for _ in range(30):
        guard = Guard("db", max_concurrent=5)
        begun, refused = [], []

        def ask(guard=guard, begun=begun, refused=refused):
            try:
                begun.append(guard.begin(None))
            except BulkheadFull:
                refused.append(1)

        in_threads(8, ask)
        assert (len(begun), len(refused)) == (5, 3)


def test_a_permit_that_comes_free_while_one_waits_to_be_turned_away_is_used():
    """Two came in together for the last permit; the other one has left again when this one looks closer."""
    guard, other = Guard("db", max_concurrent=1), object()

    class Lock:
        def __enter__(self):
            guard._calls.pop(other, None)

        def __exit__(self, *_):
            return

    guard._lock, guard._calls[other] = Lock(), None
    guard.ended(guard.begin(None), "answer")
    assert guard.counts["worked"] == 1


def test_all_calls_of_many_threads_are_counted_and_none_stays_in_flight(restless):
    guard = Guard("db", max_concurrent=4, breaker=None)
    inside, most = [], [0]

    def work(answer):
        inside.append(1)
        most[0] = max(most[0], len(inside))
        inside.pop()
        return answer

    def calls():
        for number in range(200):
            try:
                guard.run_sync(work, number)
            except BulkheadFull:
                continue

    in_threads(8, calls)
    assert most[0] <= 4
    assert guard.in_flight() == (0, 0.0)
    assert guard.counts["worked"] + guard.counts["refused.bulkhead"] == 8 * 200


def test_after_a_rest_threads_get_exactly_the_trials(restless, clock):
    for trials in (1, 2, 3):
        guard = Guard("db", breaker=Breaker(in_a_row=1, rest_s=10, trials=trials), clock=clock)
        guard.failed(guard.begin(None), RuntimeError())
        assert guard.state is State.OPEN
        clock.now += 10
        begun = []

        def ask(guard=guard, begun=begun):
            try:
                begun.append(guard.begin(None))
            except Refused:
                return

        in_threads(16, ask)
        assert len(begun) == trials
