"""The life of an action: which state may follow which, and what acknowledgements and verdicts make of it.

    proposed -> approved -> sent -> applied -> verifying -> verified | no_effect | harmful
        \\____________\\_________\\________\\__________\\____-> rejected | expired | failed

`rolled_back_at` is a date beside the state. An end is an end, with one exception: what was verified may
still turn harmful (the fallback dies too), for no harmful action may stay in place.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from paramedic.contract.command import AckState, ActionKind, Target
from paramedic_detector.store.tables import AckRow, ActionRow
from paramedic_detector.values import ActionSpec, ActionState, Outcome, Verdict

S = ActionState
_LATE_ENDS: Final = frozenset({S.REJECTED, S.EXPIRED, S.FAILED})
MOVES: Final[Mapping[ActionState, frozenset[ActionState]]] = {
    S.PROPOSED: frozenset({S.APPROVED}) | _LATE_ENDS,
    S.APPROVED: frozenset({S.SENT}) | _LATE_ENDS,
    S.SENT: frozenset({S.APPLIED}) | _LATE_ENDS,
    S.APPLIED: frozenset({S.VERIFYING}) | _LATE_ENDS,
    S.VERIFYING: frozenset({S.VERIFIED, S.NO_EFFECT, S.HARMFUL}) | _LATE_ENDS,
    S.VERIFIED: frozenset({S.HARMFUL}),
    S.NO_EFFECT: frozenset(),
    S.HARMFUL: frozenset(),
    S.REJECTED: frozenset(),
    S.EXPIRED: frozenset(),
    S.FAILED: frozenset(),
}
ENDS: Final = frozenset({S.VERIFIED, S.NO_EFFECT, S.HARMFUL}) | _LATE_ENDS
BAD_ENDS: Final = ENDS - {S.VERIFIED}
_DATES: Final[Mapping[ActionState, str]] = {
    S.APPROVED: "approved_at",
    S.SENT: "sent_at",
    S.APPLIED: "applied_at",
    S.VERIFYING: "verifying_at",
}


class ImpossibleMove(ValueError):
    """An action cannot go from the one state to the other."""


class Step(StrEnum):
    """What is next for an action, and so why it moves or stays."""

    WAIT = "wait"
    APPLIED = "applied"  # an instance has applied it
    REFUSED = "refused"  # every instance that answered refused it
    UNHEARD = "unheard"  # its lease ended and nobody had answered
    LOST = "lost"  # no instance holds it any more
    VERIFIED = "verified"
    NO_EFFECT = "no_effect"
    HARMFUL = "harmful"
    RECOVERED = "recovered"  # the fault itself is over: hand the path back


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an action is waited for."""

    refusal_s: float = 2.0  # other instances may still apply it
    recovered_verdicts: int = 2  # in a row, before the path is handed back
    turned_verdicts: int = 2  # harmful ones in a row, before a verified action is taken back


def move(row: ActionRow, to: ActionState, *, now: float, by: str = "paramedic", how: str = "") -> None:
    """Put an action into its next state and date it.

    Raises:
        ImpossibleMove: That state cannot follow; nothing was changed.
    """
    if to not in MOVES[S(row.state)]:
        raise ImpossibleMove(f"{row.id} is {row.state}; it cannot become {to}")
    row.state = to.value
    if to in _DATES:
        setattr(row, _DATES[to], now)
    if to in ENDS and row.ended_at is None:
        row.ended_at = now
    note(row, now=now, by=by, how=how or f"marked it {to.value.replace('_', ' ')}")


def note(row: ActionRow, *, now: float, by: str, how: str) -> None:
    """Say who changed the action last; a write that saw an older version is now refused."""
    row.version += 1
    row.changed_at, row.changed_by, row.changed_how = now, by, how


def roll_back(row: ActionRow, *, now: float, by: str = "paramedic", how: str = "took it back") -> None:
    if row.rolled_back_at is None:
        row.rolled_back_at = now
        note(row, now=now, by=by, how=how)


def in_force(row: ActionRow) -> bool:
    """Sent, and neither taken back nor over before it took hold."""
    return row.sent_at is not None and row.rolled_back_at is None and S(row.state) not in _LATE_ENDS


def waits_for_person(row: ActionRow) -> bool:
    return row.state == S.PROPOSED and not row.automatic


def undecided(row: ActionRow) -> bool:
    """Proposed or under way: nobody knows yet whether it works."""
    return S(row.state) not in ENDS


def tried(row: ActionRow) -> bool:
    """It did not help, was refused or was taken back by a person: not to be chosen again for this incident.

    What expired says nothing about the treatment, and what was taken back on recovery had done its work.
    """
    if row.recovered_at is not None:
        return False
    refused = row.state == S.REJECTED and (row.sent_at is not None or row.by not in ("", "policy"))
    taken_back = row.rolled_back_at is not None and row.state != S.EXPIRED
    return refused or taken_back or S(row.state) in (S.NO_EFFECT, S.HARMFUL, S.FAILED)


def after_acks(row: ActionRow, acks: Iterable[AckRow], now: float, patience: Patience) -> Step:
    """What the bots' answers mean for an action that was sent."""
    newest = _newest(acks)
    holding = [ack for ack in newest.values() if ack.state == AckState.APPLIED]
    if row.state == S.SENT:
        waited_s = now - (row.sent_at or now)
        if holding:
            return Step.APPLIED
        if newest and waited_s >= patience.refusal_s:
            return Step.REFUSED
        return Step.UNHEARD if waited_s >= float(row.spec["ttl_s"]) else Step.WAIT
    if in_force(row) and row.applied_at is not None and newest and not holding:
        return Step.LOST
    return Step.WAIT


def after_verdict(row: ActionRow, verdict: Verdict, *, recovered: int, harmful: int, patience: Patience) -> Step:
    """What verification means for an action in force.

    Args:
        recovered: Verdicts in a row, this one included, that found the fault itself over.
        harmful: Verdicts in a row, this one included, that found the action harmful.
    """
    state = S(row.state)
    if state == S.VERIFYING:
        if verdict.outcome == Outcome.HARMFUL:
            return Step.HARMFUL
        if verdict.outcome == Outcome.VERIFIED:
            return Step.VERIFIED
        if recovered >= patience.recovered_verdicts:
            return Step.RECOVERED
        return Step.NO_EFFECT if verdict.outcome == Outcome.NO_EFFECT else Step.WAIT
    if state == S.VERIFIED:
        if harmful >= patience.turned_verdicts:
            return Step.HARMFUL
        return Step.RECOVERED if recovered >= patience.recovered_verdicts else Step.WAIT
    return Step.WAIT


def spec_to_json(spec: ActionSpec) -> dict[str, Any]:
    return asdict(spec) | {"kind": spec.kind.value, "parameters": dict(spec.parameters)}


def spec_of(row: ActionRow) -> ActionSpec:
    raw = row.spec
    return ActionSpec(**{**raw, "kind": ActionKind(raw["kind"]), "target": Target(**raw["target"])})


def _newest(acks: Iterable[AckRow]) -> dict[str, AckRow]:
    """The last word of each instance."""
    newest: dict[str, AckRow] = {}
    for ack in sorted(acks, key=lambda ack: (ack.command_version, ack.last_at)):
        newest[ack.instance] = ack
    return newest
