"""Lists of incidents: a link, its badges and facts; the same on every page."""

from collections.abc import Iterable
from datetime import datetime

import streamlit as st

from paramedic_dashboard.contact.answers import Summary
from paramedic_dashboard.paint.overview import row_facts
from paramedic_dashboard.parts import page
from paramedic_dashboard.words import plain


def link(id_: str, title: str, icon: str | None = None) -> None:
    st.page_link(page.INCIDENT, label=plain(title) or plain(id_), query_params={"id": id_}, icon=icon)


def rows(incidents: Iterable[Summary], now: datetime, *, key: str) -> None:
    for incident in incidents:
        with st.container(key=f"row-{key}-{incident.id}", gap=None):
            link(incident.id, incident.title)
            st.html(row_facts(incident, now))
