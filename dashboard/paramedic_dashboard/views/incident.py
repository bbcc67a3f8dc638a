"""Incident, "/incident?id=INC-12": what notifications lead to, and what a woken person reads first."""

from datetime import datetime

import streamlit as st
from markupsafe import Markup

from paramedic_dashboard.contact.answers import Action, Incident, Similar
from paramedic_dashboard.contact.client import NotFound
from paramedic_dashboard.paint import evidence as chart
from paramedic_dashboard.paint import incident as paint
from paramedic_dashboard.paint.html import empty, heading, quiet
from paramedic_dashboard.paint.overview import users_sentence
from paramedic_dashboard.paint.waterfall import waterfall
from paramedic_dashboard.parts import dialogs, lists, page, session, writes
from paramedic_dashboard.parts.live import follow
from paramedic_dashboard.postmortem import postmortem
from paramedic_dashboard.words import plural, since, sure

POLL_S, OPEN_POLL_S, OLDEST_S, OPEN_OLDEST_S = 5.0, 2.0, 60.0, 10.0


def show() -> None:
    id_ = str(st.query_params.get("id", ""))
    reader = session.reader()
    contact = reader.version()
    st.page_link(page.INCIDENTS, label="All incidents", icon=":material/arrow_back:")
    try:
        seen = reader.incident(id_) if id_ else None
    except NotFound:
        seen = None
    if seen is None:
        _not_found(id_)
    elif seen.value is None:
        follow(_troubles, contact, every_s=POLL_S, oldest_s=OLDEST_S)
        st.html(heading(f"{id_}: nothing to show yet", 1) + empty(f"{seen.trouble}. This page goes on trying."))
    else:
        _page(seen.value, off=not (contact.ok and seen.ok))


def _page(incident: Incident, *, off: bool) -> None:
    reader = session.reader()
    now, over = reader.now(), incident.resolved_at is not None

    def head() -> None:
        fresh_now = reader.now()
        st.html(
            page.troubles(reader.version(), reader.overview().value, fresh_now)
            + paint.chips(incident, fresh_now, session.zone())
        )

    every_s, oldest_s = (POLL_S, OLDEST_S) if over else (OPEN_POLL_S, OPEN_OLDEST_S)
    follow(head, reader.version(), every_s=every_s, oldest_s=oldest_s)
    st.html(heading(incident.title, 1) + paint.verdict(incident, _users_now(off)))
    left, right = st.columns([5, 7])
    with left:
        st.html(heading("Suspects") + paint.suspects(incident.suspects))
        _alerts(incident, now)
    with right:
        _evidence(incident)
    left, right = st.columns([5, 7])
    with left:
        _actions(incident, now, off)
    with right:
        _traces(incident)
    left, right = st.columns([5, 7])
    with left:
        st.html(heading("Timeline") + paint.timeline(incident.timeline, session.zone()))
    with right:
        _similar(incident.similar, now)
        _export(incident)
    _bar(incident, off)
    dialogs.show(incident, off=off)


def _users_now(off: bool) -> Markup | None:
    reader = session.reader()
    overview = reader.overview().value
    return users_sentence(overview, reader.now(), trusted=not off) if overview else None


def _troubles() -> None:
    reader = session.reader()
    found = page.troubles(reader.version(), None, reader.now())
    st.html(found or quiet("asking again…"))


def _not_found(id_: str) -> None:
    session.stop_asking()
    st.html(heading("Incident not found" if id_ else "Which incident?", 1))
    if id_:
        st.html(quiet(f"There is no incident {id_}. It may belong to another platform, or be too old."))
    reader = session.reader()
    overview = reader.overview().value
    if overview is None or not overview.unresolved:
        st.html(quiet("No incident is open."))
        return
    st.html(heading("Open now"))
    with st.container(gap="small", key="open-now"):
        lists.rows(overview.unresolved, reader.now(), key="open")


def _alerts(incident: Incident, now: datetime) -> None:
    if incident.alert_list:
        with st.expander(plural(len(incident.alert_list), "alert"), key="alerts"):
            st.html(paint.alerts(incident.alert_list, now))


def _evidence(incident: Incident) -> None:
    st.html(heading("Evidence"))
    if not incident.evidence.panels:
        st.html(empty("No series is kept for this incident any more."))
        return
    st.echarts_chart(
        chart.chart(incident, dark=session.dark()),
        height=chart.height_px(incident.evidence),
        key=f"evidence-{incident.id}",
        alt=chart.told(incident.evidence),
    )
    st.html(quiet(chart.legend_sentence(incident)))


def _actions(incident: Incident, now: datetime, off: bool) -> None:
    st.html(heading("Actions"))
    if not incident.actions:
        st.html(empty("Paramedic has done nothing."))
    for action in incident.actions:
        with st.container(key=f"action-{action.id}", gap="xsmall"):
            st.html(paint.action_row(action, now))
            if action.in_force:
                _roll_back(action, off)


def _roll_back(action: Action, off: bool) -> None:
    st.button(
        "Roll back",
        key=f"revert-{action.id}",
        icon=":material/undo:",
        disabled=off,
        help=page.BUTTONS_OFF if off else None,
        on_click=session.ask,
        args=("revert", action.id),
    )


def _traces(incident: Incident) -> None:
    st.html(heading("Example trace"))
    if not incident.traces:
        st.html(empty("No example trace was kept."))
        return
    nth = 0
    if len(incident.traces) > 1:
        nth = st.segmented_control(
            "Trace", range(len(incident.traces)), default=0, required=True, key=f"trace-{incident.id}",
            format_func=lambda n: f"Trace {n + 1}", label_visibility="collapsed",
        ) or 0  # fmt: skip
    trace = incident.traces[min(nth, len(incident.traces) - 1)]
    st.html(quiet(trace.note or trace.trace_id) + waterfall(trace))


def _similar(found: tuple[Similar, ...], now: datetime) -> None:
    st.html(heading("Similar before"))
    if not found:
        st.html(quiet("Nothing like it was seen before."))
    for one in found:
        with st.container(key=f"similar-{one.id}", gap=None):
            lists.link(one.id, one.title)
            facts = f"{one.id} · {since(one.opened_at, now)} ago · {sure(one.match)} alike · ended by: {one.ended_by}"
            st.html(quiet(facts))


def _export(incident: Incident) -> None:
    st.download_button(
        "Export postmortem (Markdown)",
        postmortem(incident),
        file_name=f"{''.join(c for c in incident.id if c.isalnum() or c in '-_')}.md",
        mime="text/markdown",
        on_click="ignore",
        icon=":material/download:",
        key="postmortem",
    )


def _bar(incident: Incident, off: bool) -> None:
    """One row at the thumb; what is most likely wanted stands left and is filled."""
    if incident.state == "resolved":
        return
    with st.bottom, st.container(horizontal=True, wrap=False, key="bar"):
        waiting = incident.waiting
        if waiting:
            _bar_button("Approve", "fact_check", off, primary=True, ask=("approve", waiting.id))
            _bar_button("Reject", "block", off, ask=("reject", waiting.id))
        elif incident.acknowledged_at is None:
            _ack_button(incident, off)
        _bar_button("Resolve", "task_alt", off, ask=("resolve", incident.id))


def _ack_button(incident: Incident, off: bool) -> None:
    st.button(
        "Ack",
        key="ack",
        type="primary" if incident.needs_you else "secondary",
        icon=":material/check:",
        width="stretch",
        disabled=off,
        help=page.BUTTONS_OFF if off else None,
        on_click=writes.acknowledge,
        args=(incident,),
    )


def _bar_button(label: str, icon: str, off: bool, *, ask: tuple[str, str], primary: bool = False) -> None:
    st.button(
        label,
        key=label.lower(),
        type="primary" if primary else "secondary",
        icon=f":material/{icon}:",
        width="stretch",
        disabled=off,
        help=page.BUTTONS_OFF if off else None,
        on_click=session.ask,
        args=ask,
    )


show()
