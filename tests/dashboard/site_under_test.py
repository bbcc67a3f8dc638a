"""What the browser's tests know of the dashboard that they look at."""

from dataclasses import dataclass

from fake_api import FakeApi

READY = '[data-testid="stApp"][data-test-script-state="notRunning"]'  # Streamlit has drawn the page


@dataclass
class Site:
    """A dashboard process and the API that it reads."""

    url: str
    api: FakeApi
