"""Questions before anything that touches a bot or ends an incident.

A question stays open in the session until it is answered or dismissed, because a live rerun of the page
would close it under the reader's finger.
"""

from collections.abc import Callable

import streamlit as st

from paramedic_dashboard.contact.answers import Action, Incident
from paramedic_dashboard.paint.html import quiet
from paramedic_dashboard.paint.incident import approval
from paramedic_dashboard.parts import session, writes

LABELS = ("Real", "False alarm", "Duplicate", "Planned")
NOTE, LABEL = "note", "label"  # keys of the fields; one dialog is open at a time


def show(incident: Incident, *, off: bool) -> None:
    """Show the open question about this incident, if there is one and it still makes sense."""
    question = session.asking()
    if question is None:
        return
    action = next((one for one in incident.actions if one.id == question.about), None)
    if question.kind == "resolve" and question.about == incident.id and incident.state != "resolved":
        _resolve(incident, off)
    elif question.kind == "approve" and action and action.waits:
        _approve(action, off)
    elif question.kind == "reject" and action and action.waits:
        _reject(action, off)
    elif question.kind == "revert" and action and action.in_force:
        _revert(action, off)
    else:
        session.stop_asking()  # somebody else has answered it; the page says what


@st.dialog("Approve this action?", width="medium", on_dismiss=session.stop_asking)
def _approve(action: Action, off: bool) -> None:
    st.html(approval(action))
    # The version is in the key: when the action changes under the reader's eyes, the tick is gone.
    seen = st.checkbox("I have read it; do it now", key=f"seen-{action.id}-{action.version}")
    _answer("Approve", off or not seen, lambda: writes.approve(action))


@st.dialog("Reject this action?", on_dismiss=session.stop_asking)
def _reject(action: Action, off: bool) -> None:
    st.html(approval(action))
    st.text_input("Why? (paramedic keeps it)", key=NOTE)
    _answer("Reject", off, lambda: writes.reject(action, _note()))


@st.dialog("Roll this action back?", on_dismiss=session.stop_asking)
def _revert(action: Action, off: bool) -> None:
    st.html(approval(action))
    st.html(quiet("The bots go back to their normal way at once. If the fault is still there, users will feel it."))
    st.text_input("Why? (paramedic keeps it)", key=NOTE)
    _answer("Roll back", off, lambda: writes.revert(action, _note()))


@st.dialog("Resolve this incident?", on_dismiss=session.stop_asking)
def _resolve(incident: Incident, off: bool) -> None:
    st.radio("What was it?", LABELS, key=LABEL)
    st.text_area("Note for the next one who reads it", key=NOTE, max_chars=1900)
    _answer("Resolve", off, lambda: writes.resolve(incident, str(st.session_state.get(LABEL, LABELS[0])), _note()))


def _note() -> str:
    """What stands in the field now; what the script read before may lack the last words."""
    return str(st.session_state.get(NOTE, ""))


def _answer(label: str, off: bool, do: Callable[[], None]) -> None:
    def answer() -> None:
        do()
        st.rerun()  # the page, not only the dialog

    with st.container(horizontal=True):
        st.button(label, type="primary", key=f"do-{label}", disabled=off, on_click=answer)
        st.button("Cancel", key=f"no-{label}", on_click=_cancel)


def _cancel() -> None:
    session.stop_asking()
    st.rerun()
