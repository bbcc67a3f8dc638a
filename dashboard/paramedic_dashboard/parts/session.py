"""What one tab remembers between reruns, and nothing that matters: the truth lives in the API.

toasts   what to tell the reader at the top of the next run
asking   the question that is open: ("approve", "ACT-7"); kept, so that a live rerun does not close it
"""

import getpass
import os
from dataclasses import dataclass
from datetime import tzinfo
from zoneinfo import ZoneInfo

import streamlit as st

from paramedic_dashboard.contact.client import Api
from paramedic_dashboard.contact.reader import Reader
from paramedic_dashboard.launch import API_URL, OPERATOR, TOKEN
from paramedic_dashboard.words import plain

TOASTS, ASKING = "toasts", "asking"


@dataclass(frozen=True)
class Question:
    """A dialog that waits for an answer."""

    kind: str  # "approve", "reject", "revert" or "resolve"
    about: str  # id of the action or incident


def reader() -> Reader:
    """The one reader of this process, for the API that the environment names."""
    return _reader(os.environ.get(API_URL, "http://127.0.0.1:8600"), os.environ.get(TOKEN, ""))


@st.cache_resource(show_spinner=False)
def _reader(url: str, token: str) -> Reader:
    return Reader(Api(url, token))


def me() -> str:
    """Whose name stands on a write: the one who is set, else the user of this process."""
    if name := os.environ.get(OPERATOR, "").strip():
        return name[:100]
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "operator"  # a container whose user has no name


def dark() -> bool:
    return st.context.theme.type == "dark"


def zone() -> tzinfo | None:
    """Where the reader is, as the browser says."""
    name = st.context.timezone
    try:
        return ZoneInfo(name) if name else None
    except (ValueError, KeyError, OSError):  # what a browser sends is not ours to trust
        return None


def say(text: str, icon: str) -> None:
    """Tell the reader something at the top of the next run."""
    st.session_state.setdefault(TOASTS, []).append((text, icon))


def flush_toasts() -> None:
    for text, icon in st.session_state.pop(TOASTS, []):
        st.toast(plain(text), icon=icon, duration="long")


def ask(kind: str, about: str) -> None:
    st.session_state[ASKING] = Question(kind, about)


def asking() -> Question | None:
    question = st.session_state.get(ASKING)
    return question if isinstance(question, Question) else None


def stop_asking() -> None:
    st.session_state.pop(ASKING, None)
