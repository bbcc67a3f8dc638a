"""Numbers, moments and states in words: what a person reads at 3 a.m., decided in one place.

    65.0 s -> "1 min"     0.9996 -> "99.96 %"     "no_effect" -> Badge(at risk, "▲", "No effect")

State is never told by colour alone: every tone has its own sign, and a badge always has a word.
"""

import re
import string
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from paramedic_dashboard.contact.answers import Action, Summary

PERCENT = "\N{NO-BREAK SPACE}%"
STALE_S = 15.0  # data this old is no longer "live"


class Tone(StrEnum):
    """How bad; the value is the name in the style sheet."""

    CRITICAL = "critical"
    RISK = "risk"
    GOOD = "good"
    INFO = "info"
    NONE = "none"  # no data


SIGN = {Tone.CRITICAL: "●", Tone.RISK: "▲", Tone.GOOD: "✓", Tone.INFO: "i", Tone.NONE: "◌"}


@dataclass(frozen=True)
class Badge:
    tone: Tone
    text: str

    @property
    def sign(self) -> str:
        return SIGN[self.tone]


def ago(seconds: float) -> str:
    """A length of time, as short as it can be said: "8 s", "58 min", "5 h 02 min", "3 d"."""
    seconds = max(0.0, seconds)
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes // (24 * 60)} d"


def since(moment: datetime, now: datetime) -> str:
    return ago((now - moment).total_seconds())


def clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%H:%M:%S}"


def day_and_clock(moment: datetime, now: datetime) -> str:
    """The time today, with the date when it was another day."""
    moment, now = moment.astimezone(UTC), now.astimezone(UTC)
    return f"{moment:%H:%M:%S}" if moment.date() == now.date() else f"{moment:%d %b %H:%M}"


def percent(ratio: float | None) -> str:
    """A share, never rounded up to 100 % nor down to 0 %: "99.96 %", "38 %", "no data"."""
    if ratio is None:
        return "no data"
    if ratio in (0.0, 1.0):
        return f"{ratio * 100:.0f}{PERCENT}"
    shown = f"{ratio * 100:.2f}" if ratio > 0.99 or ratio < 0.01 else f"{ratio * 100:.1f}"
    if float(shown) >= 100:
        return f"> 99.99{PERCENT}"
    return f"< 0.01{PERCENT}" if float(shown) <= 0 else f"{shown.rstrip('0').rstrip('.')}{PERCENT}"


def sure(probability: float) -> str:
    """How sure; a diagnosis is never said to be certain."""
    return f"{min(99, round(probability * 100))}{PERCENT}"


def seconds(value: float | None) -> str:
    if value is None:
        return "no data"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def milliseconds(value: float) -> str:
    return seconds(value / 1000)


def count(number: int) -> str:
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def plural(number: int, one: str, many: str = "") -> str:
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def plain(text: str) -> str:
    """Telemetry inside a Markdown label, so that it reads as written and does nothing.

    Every sign of Markdown is escaped; a word joiner, which nobody sees, breaks what is recognised only after
    escapes are gone: web addresses, e-mail addresses, ``:icons:`` and ``:colour[...]``.
    """
    one_line = " ".join(text.split())
    broken = re.sub(r"[:@](?=\S)|www(?=\.)", "\\g<0>\N{WORD JOINER}", one_line, flags=re.IGNORECASE)
    return "".join(f"\\{letter}" if letter in string.punctuation else letter for letter in broken)


def severity(incident: Summary) -> Badge:
    over = incident.state == "resolved"
    tone = Tone.INFO if over else {1: Tone.CRITICAL, 2: Tone.RISK}.get(incident.severity, Tone.INFO)
    return Badge(tone, f"SEV{incident.severity}")


def state(incident: Summary) -> Badge:
    match incident.state:
        case "resolved":
            return Badge(Tone.GOOD, "Resolved")
        case "mitigated":
            return Badge(Tone.GOOD, "Mitigated")
        case "acknowledged":
            return Badge(Tone.INFO, "Acknowledged")
        case "open":
            return Badge(Tone.CRITICAL if incident.needs_you else Tone.INFO, "Not acknowledged")
        case other:
            return Badge(Tone.NONE, other)


def verification(incident: Summary, *, when: bool = True) -> Badge | None:
    """Whether what was done has worked, and since when; None when nothing was done."""
    match incident.verification:
        case "verified":
            at = incident.verified_at if when else None
            return Badge(Tone.GOOD, f"Verified {clock(at)}" if at else "Verified")
        case "verifying":
            return Badge(Tone.INFO, "Verifying")
        case "no_effect":
            return Badge(Tone.RISK, "No effect")
        case "harmful":
            return Badge(Tone.CRITICAL, "Harmful")
        case "":
            return None
        case other:
            return Badge(Tone.NONE, other)


_RESULTS = {
    "proposed": Badge(Tone.RISK, "Waiting for approval"),
    "approved": Badge(Tone.INFO, "Approved"),
    "sent": Badge(Tone.INFO, "Sent"),
    "applied": Badge(Tone.INFO, "Applied"),
    "verifying": Badge(Tone.INFO, "Verifying"),
    "verified": Badge(Tone.GOOD, "Verified"),
    "no_effect": Badge(Tone.RISK, "No effect"),
    "harmful": Badge(Tone.CRITICAL, "Harmful"),
    "rejected": Badge(Tone.NONE, "Rejected"),
    "expired": Badge(Tone.NONE, "Expired"),
    "failed": Badge(Tone.CRITICAL, "Failed"),
}


def result(action: Action) -> Badge:
    return _RESULTS.get(action.state, Badge(Tone.NONE, action.state))


def what(action: Action) -> str:
    """The action in plain words: "Fail over support-bot away from aurora"."""
    service, target = action.service, action.target
    match action.kind:
        case "failover":
            return f"Fail over {service} away from {target}"
        case "trip_breaker":
            return f"Open the breaker of {service} to {target}"
        case "shed_load":
            return f"Shed load of {service} on {target}"
        case "limit_concurrency":
            return f"Limit concurrent calls of {service} to {target}"
        case "set_deadline":
            return f"Shorten the deadline of {service} for {target}"
        case "degrade":
            return f"Answer {service} from a simpler fallback instead of {target}"
        case "disable_tool":
            return f"Disable the tool {target} in {service}"
        case "cap_tokens":
            return f"Cap tokens of {service} on {target}"
        case "flush_cache":
            return f"Flush the cache of {service} for {target}"
        case other:
            return f"{other}: {service}, {target}"


def in_force(action: Action) -> str:
    """What holds now because of the action: "traffic avoids it, 10 % still probes"."""
    probes = f", {percent(action.probe_share)} still probes" if action.probe_share else ""
    match action.kind:
        case "failover":
            return f"On fallback: {action.service} avoids it{probes}"
        case "trip_breaker":
            return f"Open: {action.service} does not call it{probes}"
        case _:
            return f"{what(action)}{probes}"


def blast_radius(action: Action) -> str:
    """Who is touched, at most."""
    touched = 1 - action.probe_share
    return (
        f"Every instance of {action.service}, and of its calls only those to {action.target}: "
        f"{percent(touched)} of them; {percent(action.probe_share)} still go there and probe."
    )


def users_tone(success: float | None) -> Tone:
    if success is None:
        return Tone.NONE
    return Tone.GOOD if success >= 0.99 else Tone.RISK if success >= 0.95 else Tone.CRITICAL


def is_stale(data_at: datetime | None, now: datetime) -> bool:
    return data_at is None or (now - data_at).total_seconds() > STALE_S


def freshness(data_at: datetime | None, now: datetime) -> Badge:
    """How old the data are: it is the data that go stale, not the page."""
    if data_at is None:
        return Badge(Tone.NONE, "no data yet")
    if is_stale(data_at, now):
        return Badge(Tone.RISK, f"stale {since(data_at, now)}")
    return Badge(Tone.GOOD, f"live {clock(data_at)} UTC")
