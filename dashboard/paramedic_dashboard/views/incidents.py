"""Incidents, "/incidents?status=open&q=": the list, newest first."""

import streamlit as st

from paramedic_dashboard.contact.answers import IncidentList, Summary
from paramedic_dashboard.contact.reader import Seen
from paramedic_dashboard.paint.html import empty, heading, quiet
from paramedic_dashboard.parts import lists, page, session
from paramedic_dashboard.parts.live import follow
from paramedic_dashboard.words import freshness, plural

POLL_S, OLDEST_S = 5.0, 30.0
# Words of the address too, /incidents?status=needs+you, and the states that the API is asked for.
UNRESOLVED = "open,acknowledged,mitigated"
STATES = {"open": UNRESOLVED, "needs you": UNRESOLVED, "resolved": "resolved", "all": ""}
NOTHING = {
    "open": "Nothing is open.",
    "needs you": "Nothing needs you.",
    "resolved": "Nothing was resolved yet.",
    "all": "No incident so far.",
}


def show() -> None:
    session.stop_asking()
    reader = session.reader()
    contact = reader.version()
    st.html(heading("Incidents", 1))
    follow(_head, contact, every_s=POLL_S, oldest_s=OLDEST_S)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        status = st.segmented_control(
            "Status", list(STATES), default="open", required=True, key="status",
            bind="query-params", label_visibility="collapsed",
        )  # fmt: skip
        asked = st.text_input(
            "Search", key="q", bind="query-params", placeholder="Search title, id, target", width=280,
            label_visibility="collapsed",
        )  # fmt: skip
    found, more, trouble = _found(status or "open")
    if trouble and not found:
        st.html(empty(f"The list cannot be read: {trouble}. This page goes on trying."))
        return
    _list(_matching(found, asked or ""), found, status or "open", more)


def _head() -> None:
    reader = session.reader()
    contact, now = reader.version(), reader.now()
    data_at = contact.value.data_at if contact.value else None
    told = quiet(freshness(data_at, now).text) if contact.ok else quiet("")
    st.html(page.troubles(contact, None, now) + told)


def _found(status: str) -> tuple[list[Summary], bool, str]:
    """The incidents of this status, newest first; whether there are more; what went wrong."""
    pages = _pages(STATES[status], _wanted(status))
    found = [one for answer in pages if answer.value for one in answer.value.items]
    if status == "needs you":
        found = [one for one in found if one.needs_you]
    last = pages[-1].value
    return found, bool(last and last.next), next((answer.trouble for answer in pages if not answer.ok), "")


def _pages(state: str, wanted: int) -> list[Seen[IncidentList]]:
    pages = [session.reader().incidents(state)]
    while len(pages) < wanted and (last := pages[-1].value) and last.next:
        pages.append(session.reader().incidents(state, last.next))
    return pages


def _wanted(status: str) -> int:
    return int(st.session_state.get(f"pages-{status}", 1))


def _matching(found: list[Summary], asked: str) -> list[Summary]:
    words = asked.lower().split()
    return [one for one in found if all(word in _text(one) for word in words)]


def _text(one: Summary) -> str:
    return f"{one.id} {one.title} {one.target} {one.fault_class} {one.owner} sev{one.severity}".lower()


def _list(shown: list[Summary], found: list[Summary], status: str, more: bool) -> None:
    if not shown:
        st.html(empty(f"None of {plural(len(found), 'incident')} matches." if found else NOTHING[status]))
    with st.container(gap="small", key="incidents"):
        lists.rows(shown, session.reader().now(), key=status)
    if more:
        st.button("Show older ones", key="older", on_click=_one_page_more, args=(status,))


def _one_page_more(status: str) -> None:
    st.session_state[f"pages-{status}"] = _wanted(status) + 1


show()
