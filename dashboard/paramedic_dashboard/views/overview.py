"""Overview, "/": must I act, how are users, what holds in the bots, how much noise was kept away."""

from datetime import datetime

import streamlit as st

from paramedic_dashboard.contact.answers import Action, Overview, Summary
from paramedic_dashboard.paint import overview as paint
from paramedic_dashboard.paint.html import empty, heading, lead, quiet
from paramedic_dashboard.parts import lists, page, session, writes
from paramedic_dashboard.parts.live import follow
from paramedic_dashboard.words import since

POLL_S, OLDEST_S = 5.0, 20.0
RESOLVED_SHOWN = 8


def show() -> None:
    session.stop_asking()
    contact = session.reader().version()
    follow(_head, contact, every_s=POLL_S, oldest_s=OLDEST_S)
    seen, now = session.reader().overview(), session.reader().now()
    if seen.value is None:
        st.html(empty(f"There is nothing to show yet: {seen.trouble}. This page goes on trying."))
        return
    overview, off = seen.value, not (contact.ok and seen.ok)
    _needs_you(overview, now, off)
    _in_hand(overview, now)
    left, right = st.columns([7, 5])
    with left:
        st.html(heading("Users") + paint.users_panel(overview, session.dark()))
    with right:
        st.html(heading("Breakers and failover") + paint.in_force_table(overview.in_force, now))
    left, right = st.columns([5, 7])
    with left:
        st.html(heading("Noise") + paint.noise_funnel(overview.noise))
    with right:
        _resolved(overview, now)


def _head() -> None:
    """The live piece: trouble, headline, users."""
    reader = session.reader()
    contact, seen = reader.version(), reader.overview()
    now, overview = reader.now(), seen.value
    trusted = overview if contact.ok and seen.ok else None
    parts = page.troubles(contact, overview, now) + heading(paint.headline(trusted, now), 1)
    if overview is not None:
        ok = trusted is not None
        sentence = paint.users_sentence(overview, now, trusted=ok)
        parts += lead("Users:", sentence) + paint.state_row(overview, now, trusted=ok)
    st.html(parts)


def _needs_you(overview: Overview, now: datetime, off: bool) -> None:
    if not overview.needs_you:
        if not overview.in_hand:
            st.html(_quiet_time(overview, now))
        return
    st.html(heading("Needs you"))
    actions = session.reader().actions().value
    waiting = {action.incident: action for action in (actions.items if actions else ()) if action.waits}
    with st.grid(min(2, len(overview.needs_you)), min_column_width=330):
        for incident in overview.needs_you:
            _card(incident, waiting.get(incident.id), now, off)


def _quiet_time(overview: Overview, now: datetime) -> str:
    if not overview.resolved:
        return quiet("No incident so far.")
    last = overview.resolved[0]
    return quiet(f"The last incident, {last.id}, ended {since(last.resolved_at or last.opened_at, now)} ago.")


def _card(incident: Summary, waiting: Action | None, now: datetime, off: bool) -> None:
    with st.container(border=True, key=f"card-{incident.id}", height="stretch", gap="xsmall"):
        st.html(paint.card_head(incident, waiting, now))
        lists.link(incident.id, incident.title)
        st.html(paint.card_body(incident, waiting))
        st.space("stretch")
        _card_button(incident, waiting, off)


def _card_button(incident: Summary, waiting: Action | None, off: bool) -> None:
    """One button. An action is never approved from a list: its page shows what it would do."""
    if waiting or incident.state != "open":
        label, icon = ("Review and approve", "fact_check") if waiting else ("Open", "arrow_forward")
        if st.button(label, type="primary", width="stretch", key=f"open-{incident.id}", icon=f":material/{icon}:"):
            st.switch_page(page.INCIDENT, query_params={"id": incident.id})
        return
    st.button(
        "Acknowledge",
        type="primary",
        width="stretch",
        key=f"ack-{incident.id}",
        icon=":material/check:",
        disabled=off,
        help=page.BUTTONS_OFF if off else None,
        on_click=writes.acknowledge,
        args=(incident,),
    )


def _in_hand(overview: Overview, now: datetime) -> None:
    if not overview.in_hand:
        return
    st.html(heading("In hand"))
    with st.container(border=True, gap="small", key="in-hand"):
        lists.rows(overview.in_hand, now, key="hand")


def _resolved(overview: Overview, now: datetime) -> None:
    st.html(heading("Resolved"))
    if not overview.resolved:
        st.html(quiet("None yet."))
        return
    with st.container(gap="small", key="resolved"):
        lists.rows(overview.resolved[:RESOLVED_SHOWN], now, key="resolved")
    st.page_link(page.INCIDENTS, label="All incidents", query_params={"status": "all"}, icon=":material/list:")


show()
