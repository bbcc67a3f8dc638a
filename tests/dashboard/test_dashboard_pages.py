"""The pages as scripts, against a real HTTP API: every state, every write, and no traceback."""

import re
from pathlib import Path
from typing import Any

import pytest
from fake_api import TOKEN, FakeApi
from fake_worlds import HOSTILE, WORLDS, empty, hostile, many, stale, treated, waiting
from streamlit.testing.v1 import AppTest

import paramedic_dashboard
from paramedic_dashboard.parts import session

APP = Path(paramedic_dashboard.__file__).with_name("app.py")
PAGES: tuple[tuple[str, dict[str, str]], ...] = (
    ("", {}),
    ("views/incidents.py", {"status": "all"}),
    ("views/incident.py", {"id": "INC-12"}),
)


@pytest.fixture(autouse=True)
def environment(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARAMEDIC_API_URL", api.url)
    monkeypatch.setenv("PARAMEDIC_OPERATOR_TOKEN", TOKEN)
    monkeypatch.setenv("PARAMEDIC_OPERATOR_NAME", "jun")


def visit(view: str = "", **query: str) -> AppTest:
    page = AppTest.from_file(str(APP), default_timeout=30)
    page.run()
    if view:
        page.switch_page(view)
        for name, value in query.items():
            page.query_params[name] = value
        page.run()
    assert not page.exception
    return page


def text(page: AppTest) -> str:
    """All HTML and all link labels of the page, in order, without what nobody sees."""
    parts = [*(one.value for one in page.html), *(one.value for one in page.page_link)]
    return " ".join(str(part) for part in parts if not str(part).startswith("<style")).replace("\u2060", "")


def toasts(page: AppTest) -> str:
    return " ".join(str(one.value) for one in page.toast).replace("\\", "").replace("\u2060", "")


def button(page: AppTest, key: str) -> Any:
    return page.button(key=key)


@pytest.mark.parametrize("world", [name for name in WORLDS if name != "many"])
@pytest.mark.parametrize(("view", "query"), PAGES)
def test_every_page_draws_in_every_world(api: FakeApi, world: str, view: str, query: dict[str, str]) -> None:
    api.show(WORLDS[world]())
    assert "<h1" in text(visit(view, **query))


def test_a_quiet_night_says_so_and_when_the_last_incident_ended(api: FakeApi) -> None:
    told = text(visit())
    assert "Nothing needs you" in told
    assert "The last incident, INC-9, ended" in told


def test_acknowledging_takes_the_card_away_and_says_whose_it_is(api: FakeApi) -> None:
    api.show(treated())
    page = visit()
    assert "1 needs you now" in text(page)
    button(page, "ack-INC-12").click().run()
    assert (api.world.incidents[0]["state"], api.world.incidents[0]["owner"]) == ("acknowledged", "jun")
    assert "INC-12 is yours" in toasts(page)
    assert "Nothing needs you" in text(page)
    assert "In hand" in text(page)


def test_who_is_slower_learns_who_was_faster_and_changes_nothing(api: FakeApi) -> None:
    api.show(treated())
    page = visit()
    api.touch("INC-12", "maya")
    button(page, "ack-INC-12").click().run()
    assert "Not done: maya acknowledged 4 s ago" in toasts(page)
    assert api.world.incidents[0]["owner"] == "maya"
    assert "ack-INC-12" not in {one.key for one in page.button}


def test_an_action_is_never_approved_from_the_list(api: FakeApi) -> None:
    api.show(waiting())
    page = visit()
    assert "Review and approve" in {one.label for one in page.button}
    assert not [one for one in api.asked if one.startswith("POST")]
    assert button(page, "open-INC-13").label == "Review and approve"


def test_approving_needs_a_tick_and_sends_the_version_that_was_read(api: FakeApi) -> None:
    api.show(waiting())
    page = visit("views/incident.py", id="INC-13")
    button(page, "approve").click().run()
    assert button(page, "do-Approve").disabled
    assert "Fail over front-door away from support-bot in eu-1b" in text(page)
    page.checkbox(key="seen-ACT-13-3").check().run()
    button(page, "do-Approve").click().run()
    action = api.world.incidents[0]["actions"][0]
    assert (action["state"], action["by"]) == ("sent", "jun")
    assert "Approved: Fail over front-door" in toasts(page)


def test_when_the_action_changes_under_the_reader_the_tick_is_gone(api: FakeApi) -> None:
    api.show(waiting())
    page = visit("views/incident.py", id="INC-13")
    button(page, "approve").click().run()
    page.checkbox(key="seen-ACT-13-3").check().run()
    action = api.world.incidents[0]["actions"][0]
    action |= {"version": 4, "target": "everything"}
    api.world.version += 1
    look_again(page)
    assert button(page, "do-Approve").disabled
    assert not page.checkbox(key="seen-ACT-13-4").value


def look_again(page: AppTest) -> None:
    """Run the page with nothing remembered: answers are shared for a second."""
    session.reader().forget()
    page.run()


def test_rejecting_and_rolling_back_and_resolving_say_why(api: FakeApi) -> None:
    api.show(waiting())
    page = visit("views/incident.py", id="INC-13")
    button(page, "reject").click().run()
    page.text_input(key="note").set_value("not tonight").run()
    button(page, "do-Reject").click().run()
    assert api.world.incidents[0]["actions"][0]["state"] == "rejected"
    button(page, "resolve").click().run()
    page.radio(key="label").set_value("False alarm").run()
    page.text_area(key="note").set_value("a test").run()
    button(page, "do-Resolve").click().run()
    assert (api.world.incidents[0]["state"], api.world.incidents[0]["you"]) == ("resolved", "False alarm. a test")


def test_what_is_in_force_can_be_rolled_back(api: FakeApi) -> None:
    api.show(treated())
    page = visit("views/incident.py", id="INC-12")
    button(page, "revert-ACT-12").click().run()
    button(page, "do-Roll back").click().run()
    assert api.world.incidents[0]["actions"][0]["rolled_back_at"]
    assert "revert-ACT-12" not in {one.key for one in page.button}


def test_a_question_that_somebody_else_has_answered_closes(api: FakeApi) -> None:
    api.show(waiting())
    page = visit("views/incident.py", id="INC-13")
    button(page, "approve").click().run()
    api.world.incidents[0]["actions"][0] |= {"state": "rejected", "version": 4}
    api.world.version += 1
    look_again(page)
    assert "do-Approve" not in {one.key for one in page.button}


def test_an_unknown_id_offers_what_is_open(api: FakeApi) -> None:
    api.show(treated())
    told = text(visit("views/incident.py", id="INC-404"))
    assert "Incident not found" in told
    assert "There is no incident INC-404" in told
    assert r"aurora fails\:" in told


def test_a_page_without_an_id_asks_which(api: FakeApi) -> None:
    assert "Which incident?" in text(visit("views/incident.py"))


@pytest.mark.parametrize(("view", "query"), PAGES)
def test_when_nobody_answers_a_new_page_says_so(api: FakeApi, view: str, query: dict[str, str]) -> None:
    api.stop()
    page = visit(view, **query)
    assert "Paramedic does not answer." in text(page)
    assert "Nothing needs you" not in text(page)


def test_when_the_api_goes_away_the_last_values_stay_and_buttons_are_off(api: FakeApi) -> None:
    api.show(treated())
    page = visit("views/incident.py", id="INC-12")
    assert not button(page, "ack").disabled
    api.stop()
    look_again(page)
    assert "aurora answers 503" in text(page)
    assert "as of" in text(page)
    assert button(page, "ack").disabled
    assert button(page, "resolve").disabled
    assert button(page, "revert-ACT-12").disabled
    assert "does not answer" in button(page, "ack").help


def test_a_wrong_token_is_told_with_its_cure(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARAMEDIC_OPERATOR_TOKEN", "wrong")
    assert "check PARAMEDIC_OPERATOR_TOKEN" in text(visit())


def test_old_data_are_called_old(api: FakeApi) -> None:
    api.show(stale())
    told = text(visit())
    assert "No new data for 3 min" in told
    assert "live" not in told


def test_before_the_first_data_nothing_is_called_healthy(api: FakeApi) -> None:
    api.show(empty())
    told = text(visit())
    assert "Waiting for the first data" in told
    assert "no data" in told
    assert "pm-good" not in told


def test_the_global_stop_is_told_on_every_page_that_acts(api: FakeApi) -> None:
    world = treated()
    world.stopped = True
    api.show(world)
    assert "Global stop is on." in text(visit())
    assert "Global stop is on." in text(visit("views/incident.py", id="INC-12"))


def test_the_list_filters_by_status_and_by_words(api: FakeApi) -> None:
    api.show(treated())
    assert "INC-9" not in text(visit("views/incidents.py"))
    assert "INC-12" in text(visit("views/incidents.py"))
    everything = visit("views/incidents.py", status="all")
    assert "INC-9" in text(everything)
    everything.text_input(key="q").set_value("eu-1a vanished").run()
    assert "INC-8" in text(everything)
    assert "INC-12 " not in text(everything)


def test_the_list_goes_on_where_the_page_ends(api: FakeApi) -> None:
    api.show(many())
    page = visit("views/incidents.py", status="all")
    assert len(page.page_link) == 50
    button(page, "older").click().run()
    assert len(page.page_link) == 100
    assert not page.exception


def test_hostile_text_never_reaches_a_markdown_label(api: FakeApi) -> None:
    """Titles are link labels, and what was done is a toast: both speak Markdown."""
    api.show(hostile())
    page = visit()
    button(page, "ack-INC-66").click().run()
    labels = [*(one.value for one in page.page_link), *(one.value for one in page.toast)]
    labels += [one.label for one in page.button]
    assert any(r"\<script\>" in label for label in labels)
    assert not any(re.search(r"\]\(|(?<!\\)<script", label) for label in labels)
    assert HOSTILE not in text(page)


def test_the_postmortem_is_there_to_be_taken(api: FakeApi) -> None:
    api.show(treated())
    page = visit("views/incident.py", id="INC-12")
    assert page.get_by_key("postmortem") is not None
