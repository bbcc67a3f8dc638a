"""Incidents that looked alike, on the page of an incident."""

from collections.abc import Iterator

import pytest
from desk_parts import Clock, Room, alert
from desk_served import Served

from paramedic_detector.api.schemas import IncidentDetail
from paramedic_detector.store.past import past_incidents
from paramedic_detector.values import Mode, Reason


@pytest.fixture
def served(tmp_path) -> Iterator[Served]:
    found = Served(Room(tmp_path / "p.db", Clock()))
    found.room.tick()
    yield found
    found.close()


def live_through(room: Room, callee: str) -> None:
    """A fault that nobody treats, from its first alert until it is over."""
    room.policy.mode, room.policy.reason = Mode.TELL, Reason.NOT_SURE
    room.fault(alert(room.clock.now, callee=callee))
    room.tick()
    room.heal()
    room.tick(seconds=4, times=7)


def detail(served: Served, number: int) -> IncidentDetail:
    return IncidentDetail.model_validate(served.get(f"/api/v1/incidents/INC-{number}").json())


def test_an_earlier_incident_with_the_same_series_is_shown_with_how_it_ended(served):
    for callee in ("aurora", "orders", "aurora"):
        live_through(served.room, callee)
    found = detail(served, 3).similar
    assert [(one.id, one.match) for one in found] == [("INC-1", 1.0)]
    assert found[0].title == detail(served, 1).title
    assert found[0].ended_by == "itself, after 1 min"


def test_neither_itself_nor_what_came_later_is_similar(served):
    for _ in range(2):
        live_through(served.room, "aurora")
    assert detail(served, 1).similar == []


def test_what_a_person_said_counts_for_more_than_the_diagnosis(served):
    live_through(served.room, "aurora")
    wrong = {"by": "ann", "class": "dependency_errors", "target": "orders", "right": False}
    assert served.post("/api/v1/incidents/INC-1/feedback", wrong).status_code == 201
    live_through(served.room, "aurora")
    with served.room.store.reading() as session:
        _, past = past_incidents(session, served.room.case(2).incident)["INC-1"]
    assert (past.fault_class, past.target, past.confirmed) == ("dependency_errors", "orders", True)
