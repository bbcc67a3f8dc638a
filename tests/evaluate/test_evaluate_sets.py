"""Whole folders of other shapes, through the reader and the engine: each runs to its end and says what it lacks."""

import json

import pytest
from sets_kit import START, alerts_only, fault_row, metrics_only, spans_only, write_faults

from paramedic_cli.eval_page import BEGIN, END, put_page
from paramedic_cli.eval_report import eval_tables
from paramedic_cli.intervals import wilson
from paramedic_cli.main import main
from paramedic_cli.measuring import measure
from paramedic_detector.evaluate.card import Card


def measured(folder):
    return Card(measure(folder, (None, None), lambda what, share: None), wilson).figures()


def says(card, words):
    return any(words in sentence for sentence in card["not_measured"])


@pytest.fixture(scope="module")
def spans_card(tmp_path_factory):
    return measured(spans_only(tmp_path_factory.mktemp("spans"), seconds=130, fault=(90, 120)))


def test_spans_alone_with_string_ids_are_enough_to_find_and_rank_a_fault(spans_card):
    (stretch,) = spans_card["detection"]
    assert stretch["recall"]["good"] == 1, stretch
    assert 0 <= stretch["delay_seconds_p50"] <= 15
    assert stretch["outside"] == 0
    given = {(one["onset"], one["logs"]): one for one in spans_card["root_cause"]["variants"]}
    assert given["labelled onset", False]["top1"]["good"] == 1
    assert ("labelled onset", True) not in given


def test_it_says_what_spans_alone_cannot_tell(spans_card):
    assert spans_card["broken"] == []
    for words in ("no metrics", "no logs", "only 1 fault", "h without a fault"):
        assert says(spans_card, words), spans_card["not_measured"]


def test_the_scorecard_has_the_keys_of_every_scorecard(spans_card):
    (scenario,), totals = spans_card["scenarios"], spans_card["totals"]
    assert (scenario["detected"], scenario["target"], scenario["availability"]) == (True, "stock", None)
    assert (totals["faults"], totals["detected"], totals["false_incidents"]) == (1, 1, 0)
    assert totals["noise_reduction"] is None or totals["noise_reduction"] <= 1
    json.dumps(spans_card, allow_nan=False)


def test_a_set_without_quiet_time_runs_and_gives_no_rate_of_false_openings(tmp_path):
    faults = [fault_row(60 * n, 60 * n + 60, "stock", "exception", f"c{n}") for n in range(2)]
    card = measured(spans_only(tmp_path / "set", seconds=70, fault=(40, 70), faults=faults))
    (stretch,) = card["detection"]
    assert stretch["seen"] == ["spans"]
    assert stretch["false_per_hour"] is None
    assert says(card, "no time without a fault")
    assert card["broken"] == []


@pytest.mark.parametrize(("step_s", "points", "fault"), [(60, 42, (34, 38)), (300, 26, (20, 23))])
def test_metrics_alone_of_many_services_run_through(tmp_path, step_s, points, fault):
    card = measured(metrics_only(tmp_path / "set", step_s=step_s, services=40, points=points, fault=fault))
    assert card["dataset"]["granularity_seconds"] == step_s
    (stretch,) = card["detection"]
    assert (stretch["seen"], stretch["recall"]["of"]) == (["metrics"], 1)
    assert stretch["sigma_alerts"] >= 1
    (variant, *_) = card["root_cause"]["variants"]
    assert variant["candidates"] == 40
    assert variant["top1"]["good"] == 1
    assert says(card, "no spans")
    assert says(card, f"one point in {step_s} s")
    assert card["broken"] == []


def test_alerts_alone_measure_no_detection(tmp_path):
    card = measured(alerts_only(tmp_path / "set"))
    assert card["detection"] == []
    assert card["totals"]["detected"] is None
    assert says(card, "no telemetry that runs through time")
    alone, voted = card["alert_set"]["variants"]
    assert (alone["top1"]["of"], alone["candidates"]) == (6, 4)
    assert alone["top1"]["good"] >= 5  # of the first nothing is known to be rare
    assert voted["top1"]["good"] >= 5


def test_spans_recorded_around_faults_only_never_reach_detection(tmp_path):
    """Metrics run through; the spans exist for the minutes of a fault alone, and their coming would be an alarm."""
    folder = metrics_only(tmp_path / "set", step_s=60, services=3, points=40, fault=(20, 23))
    spans_only(folder, first_s=1200, seconds=180, fault=(0, 0))
    write_faults(folder, [fault_row(1200, 1380, "service-2")])
    card = measured(folder)
    (stretch,) = card["detection"]
    assert (stretch["seen"], stretch["not_seen"]) == (["metrics"], ["spans"])
    assert says(card, "spans around faults only")


def test_the_page_gets_the_figures_between_its_marks_and_keeps_the_rest(tmp_path, spans_card):
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{BEGIN}\nWHAT STOOD HERE\n\n### zoo\n\nof before\n\n{END}\n\nTail\n")
    put_page(page, [spans_card])
    put_page(page, [spans_card])
    text = page.read_text()
    assert text.startswith("# Title")
    assert text.endswith("Tail\n")
    assert "WHAT STOOD HERE" not in text
    assert "### zoo\n\nof before\n" in text
    assert text.count("| found |") == 1


def test_the_tables_of_every_kind_of_set_can_be_shown(spans_card, capsys):
    from rich.console import Console

    Console(width=200).print(eval_tables(spans_card))
    assert "1 of 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda folder: None, "is not a folder"),
        (lambda folder: folder.mkdir(), "no faults.csv"),
        (lambda folder: write_faults(folder, [{"case": "a", "start": START}]), "root_cause_service"),
        (lambda folder: write_faults(folder, [fault_row(0, 1, "x") | {"start": "soon"}]), "soon"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path, capsys, prepare, words):
    prepare(tmp_path / "set")
    assert main(["eval", str(tmp_path / "set")]) == 2
    (line,) = capsys.readouterr().err.strip().split("\n")
    assert line.startswith("paramedic: ")
    assert words in line


def test_a_moment_that_cannot_be_read_is_told_with_its_flag(tmp_path, capsys):
    assert main(["eval", str(tmp_path), "--since", "lunch"]) == 2
    assert "--since" in capsys.readouterr().err


def test_a_page_without_marks_is_refused_before_the_work(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("no marks")
    assert main(["eval", str(tmp_path), "--page", str(page)]) == 2
    assert BEGIN in capsys.readouterr().err
