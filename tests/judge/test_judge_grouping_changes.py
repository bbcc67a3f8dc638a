"""Changes before an incident: versions as they appear, and which of all changes concern it."""

from judge_rows import T0, batch, op, row

from paramedic_collector.windows import SeriesKey
from paramedic_detector.incidents.changes import Change, Deploys, changes_of, concerning
from paramedic_detector.series.table import SeriesTable


def versioned(service: str, version: str) -> SeriesKey:
    return op(service)._replace(parts=(*op(service).parts[:-1], version))


def told(table: SeriesTable, second: int, *keys: SeriesKey) -> None:
    table.add(batch([row(key, T0 + second, 3) for key in keys], T0 + second + 1))


def test_a_version_that_appears_while_its_service_runs_is_a_deploy():
    table, deploys = SeriesTable(), Deploys()
    told(table, 0, versioned("bot", "1.0"), versioned("front", "7"))
    assert deploys.follow(table, T0 + 1) == []
    told(table, 90, versioned("bot", "1.0"), versioned("bot", "1.1"))
    (found,) = deploys.follow(table, T0 + 91)
    assert (found.kind, found.service, found.version, found.at) == ("deploy", "bot", "1.1", T0 + 91)
    assert found.text == "bot runs version 1.1, before it 1.0"
    told(table, 95, versioned("bot", "1.1"))
    assert deploys.follow(table, T0 + 96) == []


def test_a_service_that_appears_is_no_deploy_and_neither_are_its_first_versions():
    table, deploys = SeriesTable(), Deploys()
    told(table, 0, versioned("front", "7"))
    deploys.follow(table, T0 + 1)
    told(table, 100, versioned("bot", "1.0"))
    told(table, 105, versioned("bot", "1.1"))
    assert deploys.follow(table, T0 + 106) == []


def test_the_table_alone_tells_when_a_version_was_first_seen():
    table = SeriesTable()
    for second in range(0, 200, 5):
        told(table, second, versioned("bot", "1.0"), *([versioned("bot", "1.1")] if second >= 120 else []))
    (found,) = changes_of(table, T0 + 200)
    assert (found.service, found.version, found.at) == ("bot", "1.1", T0 + 120)
    assert changes_of(SeriesTable(), T0) == []


def test_of_all_changes_those_before_it_at_its_services_concern_an_incident_the_latest_first():
    def change(at: float, service: str) -> Change:
        return Change(T0 + at, "config", service, f"{service} {at}")

    changes = [change(-4000, "bot"), change(-600, "bot"), change(-10, "bot"), change(-5, "else"), change(-300, "")]
    changes += [change(3, "bot"), change(900, "bot")]
    found = concerning(changes, {"bot", "aurora"}, T0, T0 + 5)
    assert [one.at - T0 for one in found] == [-10, -300, -600, 3]
