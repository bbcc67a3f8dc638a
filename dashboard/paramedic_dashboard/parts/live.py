"""Keeps a page true while it is open: a small piece polls, and the whole page reruns only when it must.

    every_s --> version changed, contact lost or regained, page too old?  yes: rerun the page
                                                                          no:  draw the small piece again

Only the small piece would not do: a button outside of it would go on offering what somebody else has done.
"""

from collections.abc import Callable
from datetime import timedelta

import streamlit as st

from paramedic_dashboard.contact.answers import Version
from paramedic_dashboard.contact.reader import Seen
from paramedic_dashboard.parts import session

_IN_FULL_RUN = "in_full_run"


def follow(draw: Callable[[], None], contact: Seen[Version], *, every_s: float, oldest_s: float) -> None:
    """Draw now, and again every `every_s`.

    Args:
        draw: Paints the small piece; cheap, and without buttons.
        contact: What the rest of the page is drawn from, asked before anything else on the page.
        every_s: Seconds between two polls.
        oldest_s: Seconds after which the page is drawn again even when nothing has changed, so that
            "58 min ago" stays true; not while a question is open.
    """
    reader = session.reader()
    shown, too_old = _mark(contact), reader.now() + timedelta(seconds=oldest_s)
    st.session_state[_IN_FULL_RUN] = True

    @st.fragment(run_every=every_s)
    def pulse() -> None:
        if not st.session_state.pop(_IN_FULL_RUN, False):
            aged = reader.now() > too_old and session.asking() is None
            if aged or _mark(reader.version()) != shown:
                st.rerun()
        draw()

    pulse()


def _mark(contact: Seen[Version]) -> tuple[int | None, bool]:
    return (contact.value.version if contact.value else None, contact.ok)
