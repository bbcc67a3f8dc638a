"""What every page begins with: the style, what is to be told, and whether paramedic answers."""

from datetime import datetime
from pathlib import Path

import streamlit as st
from markupsafe import Markup

from paramedic_dashboard.contact.answers import Overview, Version
from paramedic_dashboard.contact.reader import Seen
from paramedic_dashboard.paint.html import banner
from paramedic_dashboard.parts import session
from paramedic_dashboard.words import Tone, clock, is_stale, since

OVERVIEW, INCIDENTS, INCIDENT = "views/overview.py", "views/incidents.py", "views/incident.py"
CSS = Path(__file__).parents[1].joinpath("style.css").read_text(encoding="utf-8")
BUTTONS_OFF = "Off, because paramedic does not answer."


def begin() -> None:
    # A dialog hangs outside of the page and does not inherit whether it is dark.
    scheme = "dark" if session.dark() else "light"
    st.html(f'<style>{CSS}\n[data-testid="stDialog"] {{ color-scheme: {scheme}; }}</style>')
    session.flush_toasts()


def troubles(contact: Seen[Version], overview: Overview | None, now: datetime) -> Markup:
    """Banners about what cannot be trusted, the worst first; empty when all is well."""
    found = [_no_contact(contact, now), _stale(contact, now), _stopped(overview)]
    return Markup("").join(one for one in found if one)


def _no_contact(contact: Seen[Version], now: datetime) -> Markup | None:
    if contact.ok:
        return None
    last = "Nothing was seen before."
    if contact.value is not None:
        last = f"What you see is from {clock(contact.at)} UTC, {since(contact.at, now)} ago."
    return banner(
        Tone.CRITICAL, "Paramedic does not answer.", f"{contact.trouble}. {last} Buttons are off until it answers."
    )


def _stale(contact: Seen[Version], now: datetime) -> Markup | None:
    if not contact.ok or contact.value is None or contact.value.data_at is None:
        return None
    data_at = contact.value.data_at
    if not is_stale(data_at, now):
        return None
    text = f"The newest are from {clock(data_at)} UTC: the bots or the collector stopped; `paramedic doctor` looks."
    return banner(Tone.RISK, f"No new data for {since(data_at, now)}.", text)


def _stopped(overview: Overview | None) -> Markup | None:
    if overview is None or not overview.stopped:
        return None
    return banner(Tone.RISK, "Global stop is on.", "Paramedic only watches; `paramedic stop --off` lets it act again.")
