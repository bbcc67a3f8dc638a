"""The Streamlit script: what is common to all pages, then the page that the address names.

/            views/overview.py
/incidents   views/incidents.py    ?status=open&q=
/incident    views/incident.py     ?id=INC-12      (where notifications lead)
"""

from pathlib import Path

import streamlit as st

from paramedic_dashboard.parts import page

HERE = Path(__file__).parent

st.set_page_config(page_title="paramedic", page_icon=str(HERE / "icon.png"), layout="wide")
st.logo(str(HERE / "icon.png"), size="medium")
chosen = st.navigation(
    [
        st.Page(page.OVERVIEW, title="Overview", icon=":material/monitor_heart:", default=True),
        st.Page(page.INCIDENTS, title="Incidents", icon=":material/emergency:", url_path="incidents"),
        st.Page(page.INCIDENT, title="Incident", url_path="incident", visibility="hidden"),
    ],
    position="top",
)
page.begin()
chosen.run()
