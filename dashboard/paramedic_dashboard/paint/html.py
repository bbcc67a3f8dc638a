"""The small pieces of HTML that all pages are made of; every value is escaped by `Markup.format`.

    badge(Badge(Tone.GOOD, "Verified"))  ->  <span class="pm-badge pm-good"><span aria-hidden>✓</span> Verified</span>

Nothing here decides anything: words and tones come from `words`.
"""

from collections.abc import Iterable
from datetime import datetime, tzinfo

from markupsafe import Markup

from paramedic_dashboard.words import Badge, Tone, clock, day_and_clock

SPACE = Markup(" ")
DOT = Markup(" · ")


def badge(shown: Badge) -> Markup:
    return Markup('<span class="pm-badge pm-{}"><span class="pm-sign" aria-hidden="true">{}</span>{}</span>').format(
        shown.tone, shown.sign, shown.text
    )


def badges(*shown: Badge | None, after: str | Markup = "") -> Markup:
    """A row of badges and, in grey, what belongs to them."""
    row = SPACE.join(badge(one) for one in shown if one)
    return Markup('<div class="pm-row">{}<span class="pm-quiet">{}</span></div>').format(row, after)


def heading(text: str | Markup, level: int = 2) -> Markup:
    return Markup('<h{0} class="pm-h{0}">{1}</h{0}>').format(level, text)


def lead(name: str, text: str | Markup) -> Markup:
    return Markup('<p class="pm-lead"><strong>{}</strong> {}</p>').format(name, text)


def quiet(text: str | Markup) -> Markup:
    return Markup('<p class="pm-quiet">{}</p>').format(text)


def banner(tone: Tone, head: str, text: str | Markup) -> Markup:
    return Markup(
        '<div class="pm-banner pm-{}" role="status"><span class="pm-sign" aria-hidden="true">{}</span>'
        "<div><strong>{}</strong> {}</div></div>"
    ).format(tone, Badge(tone, "").sign, head, text)


def moment(at: datetime, *, now: datetime | None = None, zone: tzinfo | None = None) -> Markup:
    """A time in UTC; the reader's own time shows when the pointer rests on it."""
    local = f"{at.astimezone(zone):%d %b %H:%M:%S %Z}" if zone else f"{at:%d %b %Y %H:%M:%S} UTC"
    shown = day_and_clock(at, now) if now else clock(at)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(at.isoformat(), local, shown)


def fields(rows: Iterable[tuple[str, str | Markup, str]]) -> Markup:
    """Name and value in lines: (name, value, extra class of the line)."""
    line = Markup('<div class="pm-field {}"><dt>{}</dt><dd>{}</dd></div>')
    return Markup('<dl class="pm-fields">{}</dl>').format(
        Markup("").join(line.format(extra, name, value) for name, value, extra in rows)
    )


def meter(share: float, tone: Tone = Tone.INFO) -> Markup:
    """A bar from 0 to 1; the number stands beside it, so it is decoration to a screen reader."""
    width = max(0.0, min(1.0, share)) * 100
    return Markup(
        '<div class="pm-meter" aria-hidden="true"><div class="pm-{}" style="width:{:.1f}%"></div></div>'
    ).format(tone, width)


def bullets(lines: Iterable[str]) -> Markup:
    items = Markup("").join(Markup("<li>{}</li>").format(line) for line in lines)
    return Markup('<ul class="pm-bullets">{}</ul>').format(items) if items else Markup("")


def empty(text: str | Markup) -> Markup:
    """Where something would stand: hatched, so that it cannot be taken for a good value."""
    return Markup('<div class="pm-empty">{}</div>').format(text)
