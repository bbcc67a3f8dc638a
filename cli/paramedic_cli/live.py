"""The display of a running experiment: a live page in a terminal, plain lines anywhere else.

Both show the same values of `Progress`; neither decides anything.
"""

import time
from contextlib import AbstractContextManager
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from paramedic_cli.evidence import Request
from paramedic_cli.experiment import Progress, fault_target
from paramedic_cli.journal import Event, Kind
from paramedic_cli.users import availability, sent_between

STYLES = {Kind.FAULT: "red", Kind.SEEN: "yellow", Kind.DONE: "cyan", Kind.PROOF: "green", Kind.NOTICE: "dim"}
RECENT_S, SETTLED_S = 10.0, 2.0  # users' success: of messages sent in these seconds, the newest two left out
LINES = 14  # of the journal, in the live page
STATUS_EVERY_S = 15.0  # in plain lines


def recent_success(requests: list[Request], now: float) -> float | None:
    """Share of useful answers to what users sent lately; None without any."""
    return availability(sent_between(requests, now - RECENT_S - SETTLED_S, now - SETTLED_S)).value


class PlainDisplay(AbstractContextManager["PlainDisplay"]):
    """One line an event, and every quarter of a minute how users fare."""

    def __init__(self, console: Console) -> None:
        self._console, self._told, self._status_at = console, 0, 0.0

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, progress: Progress) -> None:
        for event in progress.journal.events[self._told :]:
            self._line(f"{_clock(event.at)}  {event.kind:<6}  {event.text}")
        self._told = len(progress.journal.events)
        now = time.time()
        if progress.began_at is not None and now - self._status_at >= STATUS_EVERY_S:
            self._status_at = now
            self._line(f"{_clock(now)}  users   {users_sentence(progress, now)}")

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)


class LiveDisplay(AbstractContextManager["LiveDisplay"]):
    """A page that is drawn again and again in one place."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> "LiveDisplay":
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def show(self, progress: Progress) -> None:
        self._live.update(page(progress, time.time()), refresh=True)


def display_for(console: Console) -> PlainDisplay | LiveDisplay:
    return LiveDisplay(console) if console.is_terminal else PlainDisplay(console)


def page(progress: Progress, now: float) -> RenderableType:
    """The live page: users, faults, incidents, what happened, where to click."""
    parts: list[RenderableType] = [_head(progress, now), _faults(progress, now)]
    if progress.witness:
        parts.append(_incidents(progress))
    events = progress.journal.events[-LINES:]
    parts.append(
        Panel(Group(*map(_event, events)) if events else Text("starting"), title="what happened", title_align="left")
    )
    parts.append(Text("   ".join(f"{name}: {url}" for name, url in progress.addresses.items()), style="bold"))
    return Group(*parts)


def users_sentence(progress: Progress, now: float) -> str:
    """How users fare now and since the beginning, and what was sent to people."""
    lately, whole = recent_success(progress.requests, now), availability(progress.requests).value
    words = [f"{_percent(lately)} useful answers in the last {RECENT_S:.0f} s, {_percent(whole)} since the start"]
    if progress.witness:
        words.append(f"{progress.witness.messages()} Slack messages")
        if progress.witness.silent_since:
            words.append(f"the platform has not answered for {now - progress.witness.silent_since:.0f} s")
    return "; ".join(words)


def _head(progress: Progress, now: float) -> Text:
    plan = progress.plan
    gone = f"{now - progress.began_at:.0f}" if progress.began_at else "0"
    head = Text(
        f"{plan.scenario.name}, {plan.arm} arm, seed {plan.seed}: {gone} of {plan.scenario.duration_s:.0f} s\n",
        style="bold",
    )
    return head.append(f"users: {users_sentence(progress, now)}", style="default")


def _faults(progress: Progress, now: float) -> Table:
    table = Table("fault", "of", "what", "state", box=None, pad_edge=False)
    for fault in progress.plan.scenario.faults:
        table.add_row(
            escape(fault.name), escape(fault_target(fault)), fault.kind, _fault_state(progress, fault.name, now)
        )
    return table


def _fault_state(progress: Progress, name: str, now: float) -> Text:
    if name in progress.healed:
        return Text("healed", style="dim")
    if name in progress.injected:
        return Text(f"injected {now - progress.injected[name]:.0f} s ago", style="bold red")
    return Text("to come", style="dim")


def _incidents(progress: Progress) -> Table:
    table = Table("incident", "state", "what paramedic says", "sure", "what it did", "proof", box=None, pad_edge=False)
    for i in progress.witness.seen.values() if progress.witness else ():
        table.add_row(i.id, i.state, escape(i.title), f"{i.probability:.0%}", escape(i.done), i.verification)
    if not table.rows:
        table.add_row("none", "", "", "", "", "")
    return table


def _event(event: Event) -> Text:
    line = Text(_clock(event.at), style="dim", no_wrap=True, overflow="ellipsis")
    return line.append(f"  {event.kind:<6}  ", style=STYLES[event.kind]).append(event.text, style="default")


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at):%H:%M:%S}"


def _percent(share: float | None) -> str:
    return "no data:" if share is None else f"{share:.1%}"
