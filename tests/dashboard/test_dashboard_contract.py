"""The dashboard reads what the API promises: its values against the detector's schemas."""

from dataclasses import fields

import pytest
from fake_worlds import WORLDS
from pydantic import BaseModel

from paramedic_dashboard.contact import answers
from paramedic_detector.api import schemas

PAIRS: list[tuple[type, type[BaseModel]]] = [
    (answers.Version, schemas.Version),
    (answers.Impact, schemas.Impact),
    (answers.Summary, schemas.IncidentSummary),
    (answers.Suspect, schemas.SuspectOut),
    (answers.Alert, schemas.AlertOut),
    (answers.Ack, schemas.AckOut),
    (answers.Action, schemas.ActionOut),
    (answers.Event, schemas.TimelineEvent),
    (answers.Line, schemas.Line),
    (answers.Panel, schemas.Panel),
    (answers.Mark, schemas.Mark),
    (answers.Evidence, schemas.Evidence),
    (answers.Span, schemas.SpanOut),
    (answers.Trace, schemas.TraceOut),
    (answers.Similar, schemas.SimilarOut),
    (answers.Incident, schemas.IncidentDetail),
    (answers.Noise, schemas.Noise),
    (answers.Users, schemas.Users),
    (answers.Overview, schemas.Overview),
    (answers.Problem, schemas.Problem),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda kind: kind.__name__)
def test_every_field_that_the_dashboard_reads_is_promised_by_the_api(ours: type, theirs: type[BaseModel]) -> None:
    assert {one.name for one in fields(ours)} <= set(theirs.model_fields)


@pytest.mark.parametrize("name", [name for name in WORLDS if name != "many"])
def test_the_fake_api_says_nothing_that_the_real_one_could_not(name: str) -> None:
    world = WORLDS[name]()
    schemas.Version.model_validate(world.version_answer())
    schemas.Overview.model_validate(world.overview())
    for incident in world.incidents:
        schemas.IncidentDetail.model_validate(incident)


@pytest.mark.parametrize("name", [name for name in WORLDS if name != "many"])
def test_the_dashboard_reads_whatever_the_schemas_write(name: str) -> None:
    world = WORLDS[name]()
    written = schemas.Overview.model_validate(world.overview()).model_dump_json().encode()
    assert answers.read(answers.Overview, written).version == world.version
    for incident in world.incidents:
        detail = schemas.IncidentDetail.model_validate(incident)
        seen = answers.read(answers.Incident, detail.model_dump_json().encode())
        assert (seen.id, seen.version, len(seen.actions)) == (detail.id, detail.version, len(detail.actions))
        assert seen.onset_at.tzinfo is not None


def test_a_wrong_answer_names_its_first_wrong_field() -> None:
    with pytest.raises(answers.BadAnswer, match="Version cannot be read: version"):
        answers.read(answers.Version, b'{"version": "many", "data_at": null}')
    with pytest.raises(answers.BadAnswer, match="the answer: Invalid JSON"):
        answers.read(answers.Version, b"<html>")
