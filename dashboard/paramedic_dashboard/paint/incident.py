"""Pieces of the incident page, in its order: verdict, suspects, actions, timeline."""

from collections.abc import Sequence
from datetime import datetime, tzinfo

from markupsafe import Markup

from paramedic_dashboard.contact.answers import Action, Alert, Event, Impact, Incident, Suspect
from paramedic_dashboard.paint.html import (
    DOT,
    badge,
    badges,
    bullets,
    empty,
    fields,
    meter,
    moment,
)
from paramedic_dashboard.words import (
    Badge,
    Tone,
    blast_radius,
    clock,
    count,
    percent,
    plural,
    result,
    severity,
    since,
    state,
    sure,
    verification,
    what,
)

NEXT_STEP = {"resolved": "Nothing. It is over."}


def chips(incident: Incident, now: datetime, zone: tzinfo | None) -> Markup:
    status = Badge(Tone.RISK, "Waiting for approval") if incident.waiting else state(incident)
    over = incident.resolved_at
    length = since(incident.onset_at, over or now)
    began = moment(incident.onset_at, now=now, zone=zone)
    owner = Markup(" · {}").format(incident.owner) if incident.owner else ""
    after = Markup("{} · began {} UTC · {}{}{}").format(incident.id, began, "lasted " if over else "", length, owner)
    return badges(severity(incident), status, after=after)


def verdict(incident: Incident, users_now: Markup | None) -> Markup:
    """What a woken person needs, in five lines: users, cause, what was done, the damage, the next step."""
    likely = Badge(Tone.CRITICAL if incident.resolved_at is None else Tone.INFO, f"{sure(incident.probability)} likely")
    cause = Markup("{} {}").format(incident.cause, badge(likely))
    rows = [("Likely cause", cause, ""), ("Done for you", _done(incident), ""), ("Impact", impact(incident.impact), "")]
    if users_now is not None and incident.resolved_at is None:
        rows.insert(0, ("Users now", users_now, ""))
    rows.append(("You", Markup("{}").format(incident.you or NEXT_STEP.get(incident.state, "Watch.")), "pm-you"))
    return fields(rows)


def _done(incident: Incident) -> Markup:
    waiting = incident.waiting
    if not incident.done:
        return Markup("nothing yet; one action waits for you") if waiting else Markup("nothing")
    verified = verification(incident)
    says_so = "->" in incident.done or "→" in incident.done
    change = "" if says_so else _before_after(incident.actions)
    return Markup("{} {} {}").format(incident.done, change, badge(verified) if verified else "")


def _before_after(actions: Sequence[Action]) -> Markup:
    """The numbers behind "verified": of the last action that has them."""
    for action in reversed(actions):
        if action.before is not None and action.after is not None:
            return Markup("<span class='pm-nowrap'>({} → {} good)</span>").format(
                percent(action.before), percent(action.after)
            )
    return Markup("")


def impact(damage: Impact) -> Markup:
    if not damage.calls:
        return Markup("no calls since it began")
    share = percent(damage.bad_calls / damage.calls)
    parts = [f"{plural(damage.bad_calls, 'bad answer')} of {count(damage.calls)} ({share})"]
    if damage.callers_hurt:
        parts.append(f"hurt: {', '.join(damage.callers_hurt)}")
    return DOT.join(parts)


def suspects(found: Sequence[Suspect]) -> Markup:
    if not found:
        return empty("No suspect: the cause is unknown, and paramedic says so rather than guess.")
    one = Markup(
        '<div class="pm-suspect"><div class="pm-split"><span><strong>{}</strong> '
        '<span class="pm-quiet">{}</span></span><strong>{}</strong></div>{}{}</div>'
    )
    return Markup("").join(
        one.format(
            suspect.name,
            suspect.kind,
            sure(suspect.probability),
            meter(suspect.probability, Tone.INFO if place == 0 else Tone.NONE),
            bullets(suspect.evidence[:3]),
        )
        for place, suspect in enumerate(found)
    )


def alerts(found: Sequence[Alert], now: datetime) -> Markup:
    row = Markup("<li><strong>{}</strong> <span class='pm-quiet'>{} since {}</span><br>{}</li>")
    items = Markup("").join(row.format(a.series, a.signal, clock(a.onset_at), a.explanation) for a in found)
    return Markup('<ul class="pm-bullets">{}</ul>').format(items)


def action_row(action: Action, now: datetime) -> Markup:
    began = action.sent_at or action.created_at
    who = "automatic" if action.automatic else f"approved by {action.by}" if action.by else "by a person"
    if action.waits:
        who = "not sent"
    rule = f" · rule {action.rule}" if action.rule else ""
    head = Markup('<div class="pm-split"><strong>{}</strong>{}</div>').format(what(action), badge(result(action)))
    facts = Markup('<p class="pm-quiet">{} · {}{}{}</p>').format(clock(began), who, rule, _end(action))
    numbers = _numbers(action)
    said = Markup("<p>{}</p>").format(action.result or action.reason) if action.result or action.reason else ""
    return Markup('<div class="pm-action">{}{}{}{}{}</div>').format(head, facts, said, numbers, _acks(action))


def _end(action: Action) -> str:
    if action.rolled_back_at:
        return f" · rolled back {clock(action.rolled_back_at)}"
    if action.in_force and action.lease_ends_at:
        return f" · in force, lease until {clock(action.lease_ends_at)}"
    return f" · ended {clock(action.ended_at)}" if action.ended_at else ""


def _numbers(action: Action) -> Markup:
    if action.before is None and action.after is None:
        return Markup("")
    parts = [f"before {percent(action.before)}", f"treated {percent(action.after)}"]
    if action.probing is not None:
        parts.append(f"still probing {percent(action.probing)}")
    return Markup('<p class="pm-quiet">Good answers: {}</p>').format(DOT.join(parts))


def _acks(action: Action) -> Markup:
    refusals = [ack for ack in action.acks if ack.state == "rejected"]
    if not refusals:
        return Markup("")
    return Markup('<p class="pm-quiet">{}</p>').format(
        DOT.join(f"{ack.instance} refused: {ack.reason}" for ack in refusals)
    )


def timeline(events: Sequence[Event], zone: tzinfo | None) -> Markup:
    if not events:
        return empty("Nothing has happened yet.")
    row = Markup('<li class="pm-event"><span class="pm-when">{}</span>{}<span>{}</span></li>')
    items = Markup("").join(row.format(moment(e.at, zone=zone), _event_sign(e.kind), e.text) for e in events)
    return Markup('<ol class="pm-timeline">{}</ol>').format(items)


_EVENT_SIGNS = {
    "detect": (Tone.CRITICAL, "!"),
    "group": (Tone.INFO, "≡"),
    "diagnose": (Tone.INFO, "?"),
    "act": (Tone.INFO, "⚙"),
    "verify": (Tone.GOOD, "✓"),
    "recover": (Tone.GOOD, "✓"),
    "notify": (Tone.INFO, "✉"),
    "person": (Tone.NONE, "☺"),
}


def _event_sign(kind: str) -> Markup:
    tone, sign = _EVENT_SIGNS.get(kind, (Tone.NONE, "·"))
    return Markup('<span class="pm-dot pm-{}" role="img" aria-label="{}">{}</span>').format(tone, kind, sign)


def approval(action: Action) -> Markup:
    """What a person agrees to: action, target, who is touched, when it counts as worked, how it ends."""
    return fields(
        (
            ("Action", what(action), ""),
            ("Target", f"{action.target}, as {action.service} calls it", ""),
            ("Why", action.reason or "no reason given", ""),
            ("Touches", blast_radius(action), ""),
            ("Worked when", WORKED, ""),
            ("Rolls back", ROLLS_BACK, ""),
            ("Rule", action.rule or "none", ""),
        )
    )


WORKED = (
    "the treated calls succeed clearly more often than those that still probe the faulty path, and than before. "
    "Until then it reads “verifying”."
)
ROLLS_BACK = (
    "by itself when it has no effect, does harm, or the target is well again; and in every bot when its lease ends "
    "without renewal, even if paramedic is dead. You can roll it back at any time."
)
