"""The running dashboard in Chromium: what only a browser can tell."""

import re
from collections.abc import Callable

import httpx
import pytest
from fake_worlds import hostile, treated, waiting
from playwright.sync_api import BrowserContext, Page, expect
from site_under_test import READY, Site

WAIT_MS = 20_000
LOOKS = [
    ("phone", "/"),
    ("phone", "/incidents?status=all"),
    ("phone", "/incident?id=INC-66"),
    ("phone", "/incident?id=INC-404"),
    ("desk", "/"),
    ("desk", "/incident?id=INC-66"),
]


def visit(context: BrowserContext, url: str, *, watch: Callable[[Page], None] | None = None) -> Page:
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    if watch:
        watch(page)
    page.goto(url)
    page.wait_for_selector("h1")
    page.wait_for_selector(READY)
    return page


@pytest.mark.parametrize(("device", "address"), LOOKS)
def test_hostile_text_is_text_and_no_page_breaks(
    site: Site, request: pytest.FixtureRequest, device: str, address: str
) -> None:
    """No error, nothing wider than the screen, no script run, and nothing asked of another machine."""
    context: BrowserContext = request.getfixturevalue(device)
    site.api.show(hostile())
    asked: list[str] = []
    popups: list[str] = []

    def watch(page: Page) -> None:
        page.on("request", lambda one: asked.append(one.url))
        page.on("dialog", lambda one: popups.append(one.message))

    page = visit(context, site.url + address, watch=watch)
    expect(page.get_by_text("<script>alert(1)</script>").first).to_be_attached()
    assert page.locator("[data-testid=stException]").count() == 0
    assert page.locator("[data-testid=stMain]").evaluate("main => main.scrollWidth - main.clientWidth") == 0
    assert page.locator("img[src*='192.0.2']").count() == 0
    assert page.locator("a[href*='192.0.2'], a[href*='example.com']").count() == 0
    assert asked
    assert [url for url in asked if not _is_here(url)] == []
    assert popups == []


def _is_here(url: str) -> bool:
    return bool(re.match(r"(https?|wss?)://127\.0\.0\.1[:/]|data:|blob:|about:", url))


def test_an_acknowledgement_in_one_tab_shows_in_another_with_its_buttons(site: Site, desk: BrowserContext) -> None:
    site.api.show(treated())
    first, second = visit(desk, site.url), visit(desk, site.url)
    expect(second.get_by_role("button", name="Acknowledge")).to_be_visible(timeout=WAIT_MS)
    first.get_by_role("button", name="Acknowledge").click()
    expect(second.get_by_role("heading", name="Nothing needs you")).to_be_visible(timeout=WAIT_MS)
    expect(second.get_by_role("button", name="Acknowledge")).to_have_count(0, timeout=WAIT_MS)
    assert site.api.world.incidents[0]["owner"] == "jun"


def test_a_phone_shows_what_matters_without_scrolling(site: Site, phone: BrowserContext) -> None:
    site.api.show(treated())
    page = visit(phone, f"{site.url}/incident?id=INC-12")
    bar = page.get_by_role("button", name="Ack", exact=True).bounding_box()
    assert bar is not None
    assert bar["y"] + bar["height"] <= 844
    for told in ("Users now", "Likely cause", "Done for you", "You"):
        line = page.locator("dt", has_text=re.compile(f"^{told}$")).locator("xpath=..").bounding_box()
        assert line is not None
        assert line["y"] + line["height"] <= bar["y"], told
    assert bar["height"] >= 44


def test_approving_shows_what_will_be_done_and_survives_a_change_elsewhere(site: Site, phone: BrowserContext) -> None:
    site.api.show(waiting())
    page = visit(phone, f"{site.url}/incident?id=INC-13")
    page.get_by_role("button", name="Approve").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Fail over front-door away from support-bot in eu-1b")).to_be_visible()
    site.api.touch("INC-12", "maya")  # another incident changes; the live page reruns
    asked = len(site.api.asked)
    page.wait_for_function("() => document.querySelector('[role=dialog]')")
    while len(site.api.asked) < asked + 3:
        page.wait_for_timeout(100)
    page.wait_for_selector(READY)
    dialog.get_by_text("I have read it; do it now").click()
    dialog.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_text("Approved: Fail over front-door away from support-bot in eu-1b")).to_be_visible()
    assert site.api.world.incidents[0]["actions"][0]["state"] == "sent"


def test_a_dialog_is_dark_when_the_page_is(site: Site, phone: BrowserContext) -> None:
    """It hangs outside of the page; with light colours on dark ground its text could not be read."""
    site.api.show(treated())
    page = visit(phone, f"{site.url}/incident?id=INC-12")
    page.get_by_role("button", name="Roll back").click()
    note = page.get_by_role("dialog").get_by_text("The bots go back to their normal way")
    expect(note).to_have_css("color", "rgb(184, 192, 204)")


def test_the_chart_is_drawn_and_told(site: Site, desk: BrowserContext) -> None:
    site.api.show(treated())
    page = visit(desk, f"{site.url}/incident?id=INC-12")
    chart = page.locator("[data-testid=stEChartsChart]")
    expect(chart.locator("canvas").first).to_be_visible()
    assert "Good answers to users in %" in page.content()


def test_contact_lost_and_found_again_shows_without_a_reload(site: Site, desk: BrowserContext) -> None:
    site.api.show(treated())
    page = visit(desk, f"{site.url}/incident?id=INC-12")
    site.api.stop()
    try:
        expect(page.get_by_text("Paramedic does not answer.")).to_be_visible(timeout=WAIT_MS)
        expect(page.get_by_role("button", name="Ack", exact=True)).to_be_disabled(timeout=WAIT_MS)
        expect(page.get_by_text("aurora answers 503")).to_be_visible()
    finally:
        site.api.start()
    expect(page.get_by_role("button", name="Ack", exact=True)).to_be_enabled(timeout=WAIT_MS)
    expect(page.get_by_text("Paramedic does not answer.")).to_have_count(0, timeout=WAIT_MS)


def test_answers_carry_security_headers_and_the_bundle_is_compressed(site: Site) -> None:
    with httpx.Client(base_url=site.url, headers={"accept-encoding": "gzip"}) as client:
        front = client.get("/")
        assert client.get("/healthz").json() == {"status": "ok"}
        bundle = client.get(re.findall(r'src="\./(static/js/index[^"]+\.js)"', front.text)[0])
    assert "connect-src 'self'" in front.headers["content-security-policy"]
    assert front.headers["x-content-type-options"] == "nosniff"
    assert bundle.headers["content-encoding"] == "gzip"
    assert front.headers["content-encoding"] == "gzip"


def test_a_page_of_another_host_name_gets_no_live_connection(site: Site) -> None:
    headers = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13",
               "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip
    refused = httpx.get(f"{site.url}/_stcore/stream", headers={**headers, "host": "evil.example"})
    assert refused.status_code in (400, 403)
