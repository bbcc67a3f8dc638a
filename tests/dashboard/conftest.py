"""A fake API for each test; one running dashboard and one browser for all that need them."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fake_api import TOKEN, FakeApi
from fake_worlds import quiet
from playwright.sync_api import Browser, BrowserContext, sync_playwright
from site_under_test import Site

from paramedic_dashboard.launch import command

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip


@pytest.fixture
def api() -> Iterator[FakeApi]:
    fake = FakeApi(quiet()).start()
    yield fake
    fake.stop()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    fake = FakeApi(quiet()).start()
    port, folder = _free_port(), tmp_path_factory.mktemp("dashboard")
    env = {**os.environ, "PARAMEDIC_OPERATOR_NAME": "jun"}
    argv, env = command(fake.url, TOKEN, "127.0.0.1", port, env=env)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, env=env, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_until_alive(f"http://127.0.0.1:{port}/healthz", process, folder / "log")
        yield Site(f"http://127.0.0.1:{port}", fake)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        fake.stop()


@pytest.fixture(scope="module")  # no longer: its event loop counts as running until it stops, for all tests after it
def chromium() -> Iterator[Browser]:
    found = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no chromium on this machine; `apt-get install chromium` brings it, and CI has it")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=found, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def phone_context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    yield context
    context.close()


@pytest.fixture(scope="module")
def desk_context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light")
    yield context
    context.close()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_until_alive(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"the dashboard ended with {process.returncode}:\n{log.read_text()}")
        try:
            if httpx.get(url, timeout=2).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise RuntimeError(f"the dashboard did not answer at {url}:\n{log.read_text()}")


@pytest.fixture
def phone(phone_context: BrowserContext) -> Iterator[BrowserContext]:
    yield from _without_old_pages(phone_context)


@pytest.fixture
def desk(desk_context: BrowserContext) -> Iterator[BrowserContext]:
    yield from _without_old_pages(desk_context)


def _without_old_pages(context: BrowserContext) -> Iterator[BrowserContext]:
    """A context keeps what it loaded, so that only the first page of all pays for the bundle."""
    yield context
    for page in context.pages:
        page.close()
