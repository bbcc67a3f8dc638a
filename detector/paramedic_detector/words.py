"""The sentences that people read, from the facts: title, cause, done, you, users. Pure, plain words, UTC.

They stand on the page, in Slack and in the terminal alike, so they are written here and nowhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from paramedic.contract.command import ActionKind, Target
from paramedic_detector.actions import BAD_ENDS, in_force, spec_of, undecided, waits_for_person
from paramedic_detector.store.tables import ActionRow, IncidentRow
from paramedic_detector.values import ActionSpec, ActionState, Diagnosis, IncidentState, Mode, Reason, Signal

# What the target does, and what that is called.
CLASSES: Final[dict[str, tuple[str, str]]] = {
    "provider_outage": ("fails", "provider outage"),
    "provider_rate_limited": ("refuses calls", "rate limit"),
    "provider_slow": ("is slow", "slow provider"),
    "auth_failure": ("refuses our key", "authentication failure"),
    "dependency_errors": ("fails", "dependency errors"),
    "dependency_slow": ("is slow", "slow dependency"),
    "zone_outage": ("is down", "zone outage"),
    "network_degraded": ("is hard to reach", "degraded network"),
    "deploy_regression": ("got worse with a deploy", "deploy regression"),
    "traffic_surge": ("gets more traffic than usual", "traffic surge"),
    "retry_storm": ("is flooded by retries", "retry storm"),
    "resource_leak": ("runs out of resources", "resource leak"),
    "saturation": ("is saturated", "saturation"),
    "cost_runaway": ("costs more than usual", "runaway cost"),
    "quality_degradation": ("gives useless answers", "degraded quality"),
    "nlu_degradation": ("misunderstands users", "degraded language understanding"),
    "tool_loop": ("calls its tools in circles", "tool loop"),
}
SIGNALS: Final[dict[str, str]] = {
    Signal.ERRORS: "fails more than usual",
    Signal.RATE_LIMITED: "is refused for its rate",
    Signal.AUTH: "is refused for its key",
    Signal.SLOW: "is slower than usual",
    Signal.HANG: "hangs",
    Signal.USELESS: "gives useless answers",
    Signal.MISSING: "went silent",
    Signal.SURGE: "gets more traffic than usual",
    Signal.FANOUT: "is called more often for each request than usual",
    Signal.COST: "costs more than usual",
    Signal.REFUSED: "is left alone by its callers",
    Signal.OWN_TIME: "is slower than usual by itself",
    Signal.GAP: "is slow to answer its callers",
    Signal.FIRST_TOKEN: "begins its answers late",
    Signal.DROP: "gets less traffic than usual",
    Signal.TOKENS: "uses more tokens than usual",
    Signal.GAUGE: "is at an unusual level",
    Signal.DRIFT: "drifts towards a limit",
    Signal.LOG: "logs other lines than usual",
    Signal.FLOW: "logs in another order than usual",
    Signal.SLO: "burns its error budget",
    Signal.OUTSIDE: "is reported by another system",
}
KINDS: Final[dict[ActionKind, str]] = {
    ActionKind.TRIP_BREAKER: "breaker of {service} for {target} opened",
    ActionKind.FAILOVER: "failover of {service} away from {target}",
    ActionKind.SHED_LOAD: "part of the load of {service} on {target} shed",
    ActionKind.LIMIT_CONCURRENCY: "fewer calls at once from {service} to {target}",
    ActionKind.SET_DEADLINE: "a shorter deadline of {service} for {target}",
    ActionKind.DEGRADE: "simpler answers of {service} without {target}",
    ActionKind.DISABLE_TOOL: "tool {target} of {service} switched off",
    ActionKind.CAP_TOKENS: "shorter answers of {service} from {target}",
    ActionKind.FLUSH_CACHE: "cache of {service} flushed",
}
# What the reader should do when nothing is treated, by the reason of policy.
UNTREATED: Final[dict[str, str]] = {
    Reason.NOT_SURE: "Look into it: paramedic is {sure} sure, too little to act.",
    Reason.UNKNOWN_CLASS: "Look into it: paramedic does not know this kind of fault, and never treats the unknown.",
    Reason.NO_RULE: "Look into it: the policy has no treatment for this.",
    Reason.SHADOW: "Look into it: the policy's rule only watches (shadow).",
    Reason.NO_CALLER: "Look into it: no bot that calls {target} takes commands now; check that its bots are connected.",
    Reason.LAST_HEALTHY: "Look into it: {target} is the last healthy one, and leaving it would hurt more.",
    Reason.EXHAUSTED: "Take over: every treatment of the policy was tried and none helped.",
    Reason.STOPPED: "Take over, or switch the global stop off: paramedic only watches.",
}


@dataclass(frozen=True, slots=True)
class You:
    """What the reader should do, and whether it cannot wait."""

    sentence: str
    needed: bool = False


def percent(ratio: float) -> str:
    """A share as people say it; never rounded up to 100 % nor down to 0 %."""
    hundredths = ratio * 100
    if 0 < hundredths < 1 or 99 < hundredths < 100:
        return f"{min(99.9, max(0.1, hundredths)):.1f} %"
    return f"{hundredths:.0f} %"


def clock(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%H:%M:%S} UTC"


def span(seconds: float) -> str:
    """A length of time in its two largest units at most: "4 s", "3 min 20 s", "2 h 5 min"."""
    total = max(0, round(seconds))
    hours, minutes, rest = total // 3600, total % 3600 // 60, total % 60
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{rest} s"


def title(fault_class: str, target: str, signal: str = "") -> str:
    """As in `aurora fails: provider outage`; before a diagnosis, what the strongest alert says."""
    if fault_class in CLASSES:
        verb, noun = CLASSES[fault_class]
        return f"{target} {verb}: {noun}"
    if fault_class not in ("", "unknown"):
        return f"{target} is hurt: {fault_class.replace('_', ' ')}"
    return f"{target} {SIGNALS.get(signal, 'is not as usual')}: cause not known"


def cause(diagnosis: Diagnosis | None, explanation: str) -> str:
    return diagnosis.summary if diagnosis and diagnosis.summary else explanation


def named(target: Target) -> str:
    return str(target) or "the system"


def what(spec: ActionSpec) -> str:
    """The action as a noun phrase: "failover of support-bot away from aurora"."""
    form = KINDS.get(spec.kind, spec.kind.value.replace("_", " ") + " of {service} for {target}")
    return form.format(service=spec.service, target=named(spec.target))


def worked(before: float | None, after: float | None) -> str:
    """As in `41 % -> 99 % of calls succeed`, with what is known of it."""
    if after is None:
        return ""
    if before is None:
        return f"{percent(after)} of calls succeed"
    return f"{percent(before)} -> {percent(after)} of calls succeed"


def done(actions: Sequence[ActionRow]) -> str:
    """What paramedic has done, newest treatment only; empty when nothing was sent."""
    sent = [action for action in actions if action.sent_at is not None]
    newest = [action for action in sent if action.treatment == sent[-1].treatment]
    return "; ".join(_done(action) for action in newest)


def _done(action: ActionRow) -> str:
    state, name = ActionState(action.state), _capital(what(spec_of(action)))
    since = f"at {clock(action.applied_at or action.sent_at or action.created_at)}"
    numbers = worked(action.before, action.after)
    if action.recovered_at is not None:
        how = f": it worked ({numbers})" if state == ActionState.VERIFIED and numbers else ""
        return f"{name} {since}{how}; taken back at {clock(action.recovered_at)}, when the fault was over"
    if action.rolled_back_at is not None:
        why = {ActionState.NO_EFFECT: "it did not help", ActionState.HARMFUL: "it made things worse"}
        reason = why.get(state, action.changed_how)
        return f"{name} {since}, taken back at {clock(action.rolled_back_at)}: {reason}"
    if state == ActionState.VERIFIED:
        return f"{name} {since}: it works" + (f", {numbers}" if numbers else "")
    if state in BAD_ENDS:
        return f"{name} {since}: {action.result or state.value}"
    return f"{name} {since}; " + ("checking whether it works" if action.applied_at else "waiting for the bots")


def you(incident: IncidentRow, actions: Sequence[ActionRow], *, age_s: float, settle_s: float) -> You:
    """What the reader should do next.

    Args:
        age_s: Since the incident opened.
        settle_s: A diagnosis may still grow sure; before that nobody is asked to look.
    """
    target = named(target_of(incident))
    waiting = [action for action in actions if waits_for_person(action)]
    if incident.state == IncidentState.RESOLVED:
        return You("Nothing: it is over.")
    if waiting:
        return You(f"Approve or reject: {what(spec_of(waiting[-1]))}.", needed=True)
    if any(undecided(action) for action in actions):
        return You("Nothing yet: paramedic is checking whether its treatment works.")
    if any(action.state == ActionState.VERIFIED and in_force(action) for action in actions):
        return You(f"Nothing now: paramedic takes the treatment back when {target} has recovered.")
    if actions and actions[-1].recovered_at is not None:
        return You(f"Nothing: {target} has recovered; paramedic waits until it is quiet.")
    return _untreated(incident, target, age_s=age_s, settle_s=settle_s)


def _untreated(incident: IncidentRow, target: str, *, age_s: float, settle_s: float) -> You:
    if incident.decision_reason == Reason.ALREADY_TREATED or not incident.decision_mode:
        return You("Nothing yet: paramedic is looking at it.")
    if age_s < settle_s and incident.decision_mode == Mode.TELL:
        return You("Nothing yet: paramedic is looking at it.")
    form = UNTREATED.get(incident.decision_reason, "Look into it: {target} is not treated.")
    sentence = form.format(target=target, sure=percent(incident.probability))
    if incident.acknowledged_at is not None:
        return You(f"{incident.owner or 'Somebody'} has it. {sentence}")
    return You(sentence, needed=True)


def target_of(incident: IncidentRow) -> Target:
    return Target(peer=incident.peer, zone=incident.zone, guard=incident.guard)


def impact(calls: int, bad_calls: int) -> str:
    if not calls:
        return "No request of a user was seen since it began."
    if not bad_calls:
        return f"None of {calls:,} requests of users was hurt."
    share = percent(bad_calls / calls)
    return f"{bad_calls:,} of {calls:,} requests of users failed or got a useless answer ({share})."


def users(success: float | None, calls_per_s: float | None, *, served_by: str = "") -> str:
    """Whether users are hurting now."""
    if success is None:
        return "No requests of users in the last 30 s." if calls_per_s is not None else "No data yet."
    instead = f", without {served_by}" if served_by else ""
    if success >= 0.99:
        return f"Answers are normal{instead}: {percent(success)} useful in the last 30 s."
    if success >= 0.9:
        return f"Most users get answers{instead}: {percent(success)} useful in the last 30 s."
    return f"Users are hurting{instead}: only {percent(success)} of answers useful in the last 30 s."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
