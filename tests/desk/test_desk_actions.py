"""The life of an action: every transition, tried one by one, and random walks."""

from itertools import pairwise, product

import pytest
from desk_parts import FAILOVER
from hypothesis import given
from hypothesis import strategies as st

from paramedic.contract.command import AckState
from paramedic_detector import actions as life
from paramedic_detector.store.tables import AckRow, ActionRow
from paramedic_detector.values import ActionState, Outcome, Ratio, Verdict

# The drawing of DESIGN.md, written down a second time: from -> to.
WAY = ["proposed", "approved", "sent", "applied", "verifying"]
ALLOWED = set(pairwise(WAY))
ALLOWED |= {(a, end) for a in WAY for end in ("rejected", "expired", "failed")}
ALLOWED |= {("verifying", end) for end in ("verified", "no_effect", "harmful")}
ALLOWED |= {("verified", "harmful")}


def action(state: str = "proposed", **columns: object) -> ActionRow:
    return ActionRow(
        number=7,
        incident=1,
        version=1,
        state=state,
        kind=FAILOVER.kind.value,
        service="support-bot",
        spec=life.spec_to_json(FAILOVER),
        treatment="t",
        automatic=True,
        created_at=0.0,
        command_id="c",
        changed_at=0.0,
        **columns,
    )


def ack(state: AckState, *, instance: str = "bot-1", version: int = 1, at: float = 1.0) -> AckRow:
    return AckRow(action=7, instance=instance, state=state.value, command_version=version, at=at, last_at=at)


@pytest.mark.parametrize(("a", "b"), list(product(ActionState, ActionState)))
def test_only_the_drawn_transitions_are_possible(a, b):
    row = action(a.value)
    if (a.value, b.value) in ALLOWED:
        life.move(row, b, now=5.0)
        assert (row.state, row.version) == (b.value, 2)
        assert (row.ended_at == 5.0) == (b in life.ENDS)
        return
    with pytest.raises(life.ImpossibleMove, match=r"ACT-7 is \w+; it cannot become"):
        life.move(row, b, now=5.0)
    assert (row.state, row.version) == (a.value, 1)


@given(st.lists(st.sampled_from(list(ActionState)), max_size=12))
def test_whatever_is_tried_dates_are_in_order_and_an_end_is_dated_once(steps):
    row = action()
    for now, step in enumerate(steps, start=1):
        try:
            life.move(row, step, now=float(now))
        except life.ImpossibleMove:
            continue
    dates = [row.approved_at, row.sent_at, row.applied_at, row.verifying_at]
    known = [date for date in dates if date is not None]
    assert known == sorted(known)
    assert dates[: len(known)] == known, "no state was skipped"
    assert (row.ended_at is not None) == (ActionState(row.state) in life.ENDS)


def test_in_force_means_sent_and_neither_taken_back_nor_over():
    assert not life.in_force(action("approved"))
    assert life.in_force(action("sent", sent_at=1.0))
    assert life.in_force(action("verified", sent_at=1.0))
    assert not life.in_force(action("verified", sent_at=1.0, rolled_back_at=2.0))
    assert not life.in_force(action("expired", sent_at=1.0))


@pytest.mark.parametrize(
    ("acks", "waited_s", "step"),
    [
        ([], 1.0, life.Step.WAIT),
        ([], 30.0, life.Step.UNHEARD),
        ([ack(AckState.APPLIED)], 0.1, life.Step.APPLIED),
        ([ack(AckState.REJECTED)], 1.0, life.Step.WAIT),
        ([ack(AckState.REJECTED)], 2.0, life.Step.REFUSED),
        ([ack(AckState.REJECTED), ack(AckState.APPLIED, instance="bot-2")], 9.0, life.Step.APPLIED),
        ([ack(AckState.REJECTED, version=2, at=2.0), ack(AckState.APPLIED, version=1)], 9.0, life.Step.REFUSED),
    ],
)
def test_what_the_answers_mean_for_a_command_that_was_sent(acks, waited_s, step):
    row = action("sent", sent_at=100.0)
    assert life.after_acks(row, acks, 100.0 + waited_s, life.Patience()) == step


def test_an_action_that_no_bot_holds_any_more_is_lost():
    row = action("verifying", sent_at=1.0, applied_at=2.0)
    assert life.after_acks(row, [ack(AckState.APPLIED)], 9.0, life.Patience()) == life.Step.WAIT
    gone = [ack(AckState.APPLIED), ack(AckState.EXPIRED, at=8.0)]
    assert life.after_acks(row, gone, 9.0, life.Patience()) == life.Step.LOST
    back = [*gone, ack(AckState.APPLIED, version=2, at=9.0)]
    assert life.after_acks(row, back, 9.0, life.Patience()) == life.Step.WAIT


@pytest.mark.parametrize(
    ("state", "outcome", "recovered", "harmful", "step"),
    [
        ("verifying", Outcome.UNDECIDED, 0, 0, life.Step.WAIT),
        ("verifying", Outcome.VERIFIED, 0, 0, life.Step.VERIFIED),
        ("verifying", Outcome.VERIFIED, 5, 0, life.Step.VERIFIED),
        ("verifying", Outcome.HARMFUL, 5, 1, life.Step.HARMFUL),
        ("verifying", Outcome.NO_EFFECT, 1, 0, life.Step.NO_EFFECT),
        ("verifying", Outcome.NO_EFFECT, 2, 0, life.Step.RECOVERED),
        ("verified", Outcome.NO_EFFECT, 0, 0, life.Step.WAIT),
        ("verified", Outcome.HARMFUL, 0, 1, life.Step.WAIT),
        ("verified", Outcome.HARMFUL, 0, 2, life.Step.HARMFUL),
        ("verified", Outcome.VERIFIED, 1, 0, life.Step.WAIT),
        ("verified", Outcome.VERIFIED, 2, 0, life.Step.RECOVERED),
        ("applied", Outcome.HARMFUL, 0, 9, life.Step.WAIT),
    ],
)
def test_what_a_verdict_means(state, outcome, recovered, harmful, step):
    verdict = Verdict(outcome, 9.0, Ratio(1, 2), Ratio(2, 2), Ratio(0, 1), "")
    row = action(state, sent_at=1.0)
    assert life.after_verdict(row, verdict, recovered=recovered, harmful=harmful, patience=life.Patience()) == step


def test_what_worked_or_merely_expired_may_be_chosen_again():
    assert life.tried(action("no_effect", sent_at=1.0, rolled_back_at=2.0))
    assert life.tried(action("rejected", sent_at=1.0))
    assert life.tried(action("rejected", by="maya"))
    assert life.tried(action("verified", sent_at=1.0, rolled_back_at=2.0)), "a person took it back"
    assert not life.tried(action("rejected"))  # another treatment replaced the proposal
    assert not life.tried(action("expired", sent_at=1.0, rolled_back_at=2.0))
    assert not life.tried(action("verified", sent_at=1.0, rolled_back_at=2.0, recovered_at=2.0))


def test_a_spec_comes_back_from_the_store_as_it_was():
    assert life.spec_of(action()) == FAILOVER
