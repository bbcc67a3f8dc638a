"""Pieces of the overview: how users fare, what holds in bots now, how much noise was kept away."""

from datetime import datetime

from markupsafe import Markup

from paramedic_dashboard.contact.answers import Action, Noise, Overview, Summary
from paramedic_dashboard.paint.html import DOT, badge, badges, meter, moment, quiet
from paramedic_dashboard.paint.sparkline import sparkline
from paramedic_dashboard.words import (
    Badge,
    Tone,
    ago,
    clock,
    count,
    freshness,
    in_force,
    is_stale,
    percent,
    plural,
    seconds,
    severity,
    since,
    state,
    sure,
    users_tone,
    verification,
)


def headline(overview: Overview | None, now: datetime) -> str:
    """The one line that must be true: a page that knows nothing must not say that all is well."""
    if overview is None:
        return "No contact with paramedic"
    waiting = len(overview.needs_you)
    if waiting:
        return f"{waiting} {'needs' if waiting == 1 else 'need'} you now"
    if overview.data_at is None:
        return "Waiting for the first data"
    if is_stale(overview.data_at, now):
        return f"Blind: no data for {since(overview.data_at, now)}"
    if users_tone(overview.users.success) is Tone.CRITICAL:
        return "Users are hurting; paramedic is on it" if overview.in_hand else "Users are hurting"
    return "Nothing needs you"


def state_row(overview: Overview, now: datetime, *, trusted: bool) -> Markup:
    """Badges for users and for the age of the data; grey when what they say may be over."""
    users, data_at = overview.users, overview.data_at
    tone = users_tone(users.success) if trusted and not is_stale(data_at, now) else Tone.NONE
    answers = "users: no data" if users.success is None else f"{percent(users.success)} of answers good"
    age = freshness(data_at, now)
    if not trusted and data_at is not None:
        age = Badge(Tone.RISK, f"as of {clock(data_at)} UTC")
    return badges(Badge(tone, answers), age, after=f"{len(overview.unresolved) or 'none'} open")


def users_sentence(overview: Overview, now: datetime, *, trusted: bool) -> Markup:
    """How users fare, with its date when that is not now."""
    data_at = overview.data_at
    old = data_at is not None and (not trusted or is_stale(data_at, now))
    told = Markup("as of {} UTC: ").format(moment(data_at)) if old and data_at else Markup("")
    return told + Markup("{}").format(overview.users.sentence)


def card_head(incident: Summary, waiting: Action | None, now: datetime) -> Markup:
    status = Badge(Tone.RISK, "Waiting for approval") if waiting else state(incident)
    age = f"{incident.id} · {since(incident.onset_at, now)}"
    return badges(severity(incident), status, after=age)


def card_body(incident: Summary, waiting: Action | None) -> Markup:
    impact = incident.impact
    facts = (
        f"Cause: {incident.cause} ({sure(incident.probability)})",
        f"{plural(impact.bad_calls, 'bad answer')} of {count(impact.calls)}",
        plural(incident.alerts, "alert"),
    )
    done = incident.done or ("an action waits for you" if waiting else "nothing done")
    verified = verification(incident)
    return Markup(
        '<p class="pm-quiet pm-clamp">{}</p><p class="pm-clamp"><strong>Paramedic:</strong> {} {}</p>'
    ).format(DOT.join(facts), done, badge(verified) if verified else "")


def row_facts(incident: Summary, now: datetime) -> Markup:
    parts = [incident.id, f"began {since(incident.onset_at, now)} ago"]
    if incident.resolved_at:
        lasted_s = (incident.resolved_at - incident.onset_at).total_seconds()
        parts[1:] = [f"ended {since(incident.resolved_at, now)} ago", f"lasted {ago(lasted_s)}"]
    if incident.owner:
        parts.append(incident.owner)
    return badges(severity(incident), state(incident), verification(incident, when=False), after=DOT.join(parts))


def users_panel(overview: Overview, dark: bool) -> Markup:
    """Three numbers of the last 30 s and the line of the last 15 minutes."""
    users = overview.users
    rate = "no data" if users.calls_per_s is None else f"{users.calls_per_s:.1f} /s"
    tiles = (
        ("Good answers", percent(users.success), users.success is None),
        ("Answer time, p95", seconds(users.p95_s), users.p95_s is None),
        ("Requests", rate, users.calls_per_s is None),
    )
    tile = Markup('<div class="pm-tile {}"><span class="pm-quiet">{}</span><strong>{}</strong></div>')
    numbers = Markup("").join(tile.format("pm-hatch" if missing else "", name, value) for name, value, missing in tiles)
    line = sparkline(overview.success_line.points, dark=dark)
    return Markup('<div class="pm-tiles">{}</div>{}').format(numbers, line)


def in_force_table(actions: tuple[Action, ...], now: datetime) -> Markup:
    if not actions:
        return Markup('<p class="pm-quiet">Every call goes its normal way.</p>')
    row = Markup(
        "<tr><td><div><strong>{}</strong></div><span class='pm-quiet'>{}</span></td>"
        "<td><div>{}</div></td><td>{}</td></tr>"
    )
    rows = Markup("").join(
        row.format(a.target, a.incident, in_force(a), Markup("{} ago").format(since(a.applied_at or a.created_at, now)))
        for a in actions
    )
    return Markup(
        '<table class="pm-table"><thead><tr><th>Target</th><th>State</th><th>Since</th></tr></thead>{}</table>'
    ).format(Markup("<tbody>{}</tbody>").format(rows))


def noise_funnel(noise: Noise) -> Markup:
    """From raw alerts down to messages, in bars of one scale."""
    if not noise.raw_alerts and not noise.alerts and not noise.notifications:
        return quiet("No alert yet: nothing was noisy, and nothing was sent.")
    steps = (
        ("Raw alerts of the usual rules", noise.raw_alerts),
        ("Alerts of paramedic", noise.alerts),
        ("Incidents", noise.incidents),
        ("Messages to people", noise.notifications),
    )
    most = max(number for _, number in steps)
    line = Markup('<div class="pm-funnel"><span>{}</span><strong>{}</strong>{}</div>')
    bars = Markup("").join(line.format(name, count(number), meter(number / most)) for name, number in steps)
    return Markup("{}<p class='pm-quiet'>{}</p>").format(bars, _ratio(noise))


def _ratio(noise: Noise) -> str:
    if not noise.notifications:
        return "Nobody was messaged."
    if not noise.raw_alerts:
        return "The usual rules would have been silent."
    if noise.raw_alerts < noise.notifications:
        return f"{noise.notifications / noise.raw_alerts:.1f} messages for each raw alert."
    return f"{noise.raw_alerts / noise.notifications:.1f} raw alerts for each message that was sent."
