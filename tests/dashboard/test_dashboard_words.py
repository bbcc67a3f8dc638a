"""Words, and pieces of pages: true, escaped, and never by colour alone."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fake_worlds import HOSTILE, WORLDS, World, empty, hostile, quiet, stale, treated, waiting
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from paramedic_dashboard import words
from paramedic_dashboard.contact.answers import Incident, Overview, Span, Trace
from paramedic_dashboard.paint import evidence, html, incident, overview
from paramedic_dashboard.paint.waterfall import culprits, in_order, waterfall
from paramedic_dashboard.postmortem import postmortem
from paramedic_dashboard.words import Badge, Tone


def now() -> datetime:
    return datetime.now(UTC)


def seen(world: World) -> Overview:
    return TypeAdapter(Overview).validate_python(world.overview())


def details(world: World) -> list[Incident]:
    return [TypeAdapter(Incident).validate_python(one) for one in world.incidents]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(-3, "0 s"), (8.4, "8 s"), (60, "1 min"), (3599, "59 min"), (18120, "5 h 02 min"), (3 * 86400, "3 d")],
)
def test_a_length_of_time_is_said_shortly(seconds: float, told: str) -> None:
    assert words.ago(seconds) == told


@pytest.mark.parametrize(
    ("ratio", "told"),
    [(None, "no data"), (0.0, "0 %"), (1.0, "100 %"), (0.38, "38 %"), (0.524, "52.4 %"), (0.9987, "99.87 %"),
     (0.999999, "> 99.99 %"), (0.0000001, "< 0.01 %"), (0.1, "10 %")],
)  # fmt: skip
def test_a_share_is_said_plainly(ratio: float | None, told: str) -> None:
    assert words.percent(ratio).replace("\N{NO-BREAK SPACE}", " ") == told


@given(st.floats(0, 1))
def test_only_all_is_100_percent_and_only_none_is_0(ratio: float) -> None:
    told = words.percent(ratio)
    assert (told == "100\N{NO-BREAK SPACE}%") == (ratio == 1.0)
    assert (told == "0\N{NO-BREAK SPACE}%") == (ratio == 0.0)


@given(st.text())
def test_a_label_has_no_live_markdown(text: str) -> None:
    """Every sign of Markdown stands behind a backslash, and nothing is left that becomes a link or an icon."""
    label = words.plain(text)
    assert not re.search(r"(?<!\\)(?:\\\\)*[*_`\[\]()<>!#$~|&]", label)
    assert not re.search(r":[a-z/]|@\w|www\.", label, re.IGNORECASE)
    assert "\n" not in label


def test_every_tone_has_its_own_sign() -> None:
    assert len({Badge(tone, "").sign for tone in Tone}) == len(Tone)


def test_the_headline_never_says_all_is_well_without_knowing_it() -> None:
    blind = replace(seen(quiet()), data_at=now() - timedelta(minutes=3))
    assert overview.headline(seen(quiet()), now()) == "Nothing needs you"
    assert overview.headline(None, now()) == "No contact with paramedic"
    assert overview.headline(blind, now()) == "Blind: no data for 3 min"
    assert overview.headline(seen(empty()), now()) == "Waiting for the first data"
    assert overview.headline(seen(treated()), now()) == "1 needs you now"


def test_the_headline_never_says_all_is_well_while_users_are_hurting() -> None:
    hurting = replace(seen(quiet()), users=replace(seen(quiet()).users, success=0.6))
    assert overview.headline(hurting, now()) == "Users are hurting"
    busy = replace(hurting, in_hand=seen(waiting()).in_hand)
    assert overview.headline(busy, now()) == "Users are hurting; paramedic is on it"


def test_without_contact_or_fresh_data_no_badge_of_users_is_green() -> None:
    fresh, old = seen(treated()), seen(stale())
    assert "pm-good" in overview.state_row(fresh, now(), trusted=True)
    assert "pm-good" not in overview.state_row(fresh, now(), trusted=False)
    assert "pm-good" not in overview.state_row(old, now(), trusted=True)
    assert "as of" in overview.users_sentence(old, now(), trusted=True)


@pytest.mark.parametrize("name", [name for name in WORLDS if name != "many"])
def test_no_text_of_anybody_becomes_markup(name: str) -> None:
    """All pieces of all pages, in every world; the hostile one has markup in every text."""
    world = WORLDS[name]()
    over = seen(world)
    pieces = [
        overview.state_row(over, now(), trusted=True), overview.users_sentence(over, now(), trusted=True),
        overview.users_panel(over, False), overview.in_force_table(over.in_force, now()),
        overview.noise_funnel(over.noise),
    ]  # fmt: skip
    for one in details(world):
        pieces += [
            overview.card_head(one, one.waiting, now()), overview.card_body(one, one.waiting),
            overview.row_facts(one, now()),
            incident.chips(one, now(), None), incident.verdict(one, None), incident.suspects(one.suspects),
            incident.alerts(one.alert_list, now()), incident.timeline(one.timeline, None), html.heading(one.title, 1),
        ]  # fmt: skip
        pieces += [incident.action_row(action, now()) + incident.approval(action) for action in one.actions]
        pieces += [waterfall(trace) for trace in one.traces]
    page = "".join(pieces)
    assert "<script" not in page
    assert '<img src="http' not in page
    assert name != "hostile" or page.count("&lt;script&gt;alert(1)") > 40


def test_a_postmortem_escapes_what_it_quotes() -> None:
    text = postmortem(details(hostile())[0])
    assert "<script>" not in text
    assert "](http" not in text
    assert r"\<script\>" in text


def test_a_postmortem_has_cause_action_and_timeline() -> None:
    text = postmortem(details(treated())[0]).replace("\N{NO-BREAK SPACE}", " ")
    for part in ("aurora answers 503", "97 % likely", "Fail over support-bot away from aurora", "verified", "52.4 %"):
        assert part in text


def test_only_the_span_below_which_nothing_failed_is_guilty() -> None:
    def span(id_: str, parent: str, status: str = "error") -> Span:
        return Span(id_, parent, "s", id_, "CLIENT", 0, 1, status)

    assert culprits([span("a", ""), span("b", "a"), span("c", "b"), span("d", "b", "ok")]) == {"c"}


def test_a_trace_whose_parents_form_a_circle_or_are_missing_is_still_drawn() -> None:
    family = [("a", "gone"), ("b", "b"), ("c", "a")]
    spans = [Span(id_, parent, "s", id_, "CLIENT", n, 1, "ok") for n, (id_, parent) in enumerate(family)]
    assert [(span.span_id, depth) for span, depth in in_order(spans)] == [("a", 0), ("c", 1), ("b", 0)]
    circle = [Span("x", "y", "s", "x", "CLIENT", 0, 1, "ok"), Span("y", "x", "s", "y", "CLIENT", 0, 1, "ok")]
    assert "2 more spans" in waterfall(Trace("t", "", tuple(circle)))


def test_a_refused_call_is_told_and_not_blamed() -> None:
    drawn = waterfall(details(treated())[0].traces[1])
    assert "not made: command" in drawn
    assert "pm-bar-guilty" not in drawn


def test_the_chart_shows_ratios_in_percent_and_breaks_where_there_is_no_data() -> None:
    one = details(treated())[0]
    chart = evidence.chart(one, dark=False)
    success, errors = chart["series"][0]["data"], chart["series"][1]["data"]
    assert max(value for _, value in success) > 99
    assert any(value is None for _, value in errors)
    assert chart["series"][1]["connectNulls"] is False
    assert len(chart["grid"]) == len(one.evidence.panels) == len(chart["xAxis"])


def test_the_chart_marks_the_fault_the_action_and_its_verification() -> None:
    one = details(treated())[0]
    first = evidence.chart(one, dark=True)["series"][0]
    shade, dashes = first["markArea"]["data"], first["markLine"]["data"]
    assert shade[0][0]["xAxis"] == one.onset_at.timestamp() * 1000
    assert dashes[0] == {"xAxis": one.acted_at.timestamp() * 1000, "name": "failover"}  # type: ignore[union-attr]
    assert dashes[1][1]["coord"][0] == one.verified_at.timestamp() * 1000  # type: ignore[union-attr]


def test_marks_that_lie_close_bear_numbers_so_that_names_do_not_overlap() -> None:
    one = details(treated())[0]
    close = tuple(
        replace(one.evidence.marks[0], at=one.onset_at + timedelta(seconds=n), text=f"step {n}") for n in (1, 4)
    )
    crowded = replace(one, evidence=replace(one.evidence, marks=close))
    dashes = evidence.chart(crowded, dark=False)["series"][0]["markLine"]["data"]
    assert [dash["name"] for dash in dashes[:2]] == ["1", "2"]
    assert "(1) step 1" in evidence.legend_sentence(crowded)
    assert "(2) step 4" in evidence.legend_sentence(crowded)


def test_lines_of_one_name_in_two_panels_have_names_of_their_own() -> None:
    names = [series["name"] for series in evidence.chart(details(treated())[0], dark=False)["series"]]
    assert len(set(names)) == len(names) == 5


def test_a_panel_without_a_value_says_so() -> None:
    one = details(treated())[0]
    hollow = replace(one.evidence.panels[0], lines=(replace(one.evidence.panels[0].lines[0], points=((1.0, None),)),))
    drawn = evidence.chart(replace(one, evidence=replace(one.evidence, panels=(hollow,))), dark=False)
    assert drawn["title"][0]["text"].endswith("no data")
    assert "no data" in evidence.told(replace(one.evidence, panels=(hollow,)))


def test_what_is_approved_is_said_exactly() -> None:
    action = details(waiting())[0].actions[0]
    told = incident.approval(action).replace("\N{NO-BREAK SPACE}", " ")
    for part in ("Fail over front-door away from support-bot in eu-1b", "90 %", "10 %", "lease", action.rule):
        assert part in told


def test_hostile_text_is_in_the_fixture() -> None:
    """Guards the guards: the words above are only as good as the attack."""
    assert "<script>" in HOSTILE
    assert "](http" in HOSTILE
