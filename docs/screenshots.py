"""Pictures of the running dashboard: every page, on a desk and on a phone, light and dark.

    make screenshots                                                          # of a demo that it runs first
    python docs/screenshots.py --url http://127.0.0.1:8501 --out build/screenshots   # of one that runs already

Writes overview-, incidents- and incident-{desktop,phone}-{light,dark}.png. `--first-screen` stops at what is
seen without scrolling; the default is the whole page.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, Page, sync_playwright

from paramedic_cli.evidence import Arm
from paramedic_cli.experiment import Experiment, Plan
from paramedic_demo import scenario

SIZES = {"desktop": (1440, 900), "phone": (390, 844)}
SCHEMES = ("light", "dark")
READY = '[data-testid="stApp"][data-test-script-state="notRunning"]'
TALLEST_PX = 8000
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str | None:
    """The system's Chromium; None leaves the choice to Playwright's own."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def pages(incident: str) -> dict[str, str]:
    return {
        "overview": "/",
        "incidents": "/incidents?status=all",
        "incident": f"/incident?id={quote(incident, safe='')}",
    }


def open_page(browser: Browser, url: str, size: str, scheme: str) -> Page:
    """One page, drawn: Streamlit says when its script is done; charts need a moment more."""
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        device_scale_factor=2 if size == "phone" else 1,
        timezone_id="UTC",
    )
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("h1", timeout=30_000)
    page.wait_for_selector(READY, timeout=30_000)
    page.wait_for_timeout(1200)
    return page


def whole(page: Page) -> None:
    """Make the window as tall as the page: Streamlit scrolls inside of it."""
    tall = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": page.viewport_size["width"], "height": min(int(tall), TALLEST_PX)})  # type: ignore[index]
    page.wait_for_timeout(700)


def take(base_url: str, out: Path, incident: str, *, first_screen: bool) -> Iterator[Path]:
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        for size in SIZES:
            for scheme in SCHEMES:
                for name, path in pages(incident).items():
                    page = open_page(browser, base_url.rstrip("/") + path, size, scheme)
                    if not first_screen:
                        whole(page)
                    file = out / f"{name}-{size}-{scheme}.png"
                    page.screenshot(path=file)
                    page.context.close()
                    yield file
        browser.close()


def take_of_a_demo(_: str | None, out: Path, incident: str, *, first_screen: bool) -> Iterator[Path]:
    """The same, of a demo that ends when the pictures are taken."""
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(scenario.load("demo"), Arm.PLATFORM, 1, Path(folder), with_dashboard=True)
        with Experiment(plan, lambda progress: None) as experiment:
            experiment.run()
            url = experiment.progress.addresses["dashboard"]
            yield from take(url, out, incident, first_screen=first_screen)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--url", help="where a dashboard runs already; without it a demo is run first")
    asked.add_argument("--out", type=Path, default=Path("docs/pictures"), help="folder for the pictures")
    asked.add_argument("--incident", default="INC-1", help="id of the incident to show")
    asked.add_argument("--first-screen", action="store_true", help="only what is seen without scrolling")
    given = asked.parse_args()
    pictures = take if given.url else take_of_a_demo
    for file in pictures(given.url, given.out, given.incident, first_screen=given.first_screen):
        sys.stdout.write(f"{file}\n")


if __name__ == "__main__":
    main()
