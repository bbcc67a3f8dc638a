"""The store: schema and migrations, versions, retention, and the same SQL for PostgreSQL."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from desk_parts import START, Clock, Room
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable
from sqlmodel import select

from paramedic_detector.store import records
from paramedic_detector.store.database import connect, migrate
from paramedic_detector.store.store import Moved, Store
from paramedic_detector.store.tables import Base, CheckpointRow, EventRow, IncidentRow
from paramedic_detector.values import Outcome


def incident(**columns: object) -> IncidentRow:
    usual = {"state": "open", "onset_at": START, "opened_at": START, "last_alert_at": START, "changed_at": START}
    return IncidentRow(**(usual | columns))


def test_models_and_migrations_agree(tmp_path):
    engine = connect(f"sqlite:///{tmp_path / 'p.db'}")
    migrate(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_the_mark_moves_with_each_write_and_with_nothing_else(tmp_path):
    store = Store(connect(f"sqlite:///{tmp_path / 'p.db'}"))
    store.start()
    mark = store.mark
    with store.reading() as session:
        session.exec(select(IncidentRow)).all()
    assert store.mark == mark
    with store.writing() as session:
        session.add(incident())
    assert store.mark != mark


def test_migrating_twice_does_nothing(tmp_path):
    store = Store(connect(f"sqlite:///{tmp_path / 'p.db'}"))
    store.start()
    with store.writing() as session:
        session.add(incident())
    store.start()
    with store.reading() as session:
        assert len(session.exec(select(IncidentRow)).all()) == 1


def test_every_table_can_be_made_on_postgresql():
    for table in Base.metadata.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=postgresql.dialect()))


def test_a_write_on_an_older_version_is_refused_and_keeps_nothing(tmp_path):
    room = Room(tmp_path / "p.db", Clock())
    with room.store.writing() as session:
        session.add(incident())
    with room.store.reading() as session:
        stale = session.get_one(IncidentRow, 1)
    with room.store.writing() as session:
        fresh = session.get_one(IncidentRow, 1)
        fresh.owner, fresh.version = "maya", fresh.version + 1
    with pytest.raises(Moved):
        overwrite(room, stale)
    assert room.case().incident.owner == "maya"


def overwrite(room: Room, stale: IncidentRow) -> None:
    with room.store.writing() as session:
        session.add(stale)
        stale.owner = "ben"


def test_a_number_is_never_given_twice(tmp_path):
    room = Room(tmp_path / "p.db", Clock())
    with room.store.writing() as session:
        session.add(incident(state="resolved", resolved_at=START))
    with room.store.writing() as session:
        assert records.forget(session, before=START + 1) == 1
    with room.store.writing() as session:
        session.add(row := incident())
        session.flush()
        assert row.id == "INC-2"


def test_forgetting_takes_all_that_hangs_on_an_incident_and_nothing_that_is_open(tmp_path):
    room = Room(tmp_path / "p.db", Clock(), endpoints=("slack",))
    room.tick()
    room.treat(Outcome.VERIFIED)
    room.heal()
    room.verdict.recovered = True
    room.tick(seconds=4, times=6)
    assert room.case().incident.state == "resolved"
    with room.store.writing() as session:
        session.add(incident())
    with room.store.writing() as session:
        assert records.forget(session, before=room.clock.now + 1) == 1
    with room.store.reading() as session:
        assert [row.id for row in session.exec(select(IncidentRow)).all()] == ["INC-2"]
        assert session.exec(select(EventRow)).all() == []


def test_a_checkpoint_replaces_the_one_before(tmp_path):
    room = Room(tmp_path / "p.db", Clock())
    room.tick()
    room.engine.checkpoint()
    room.tick()
    room.engine.checkpoint()
    with room.store.reading() as session:
        assert {row.name: row.at for row in session.exec(select(CheckpointRow)).all()} == {
            "table": room.clock.now,
            "scorer": room.clock.now,
            "objectives": room.clock.now,
        }


def test_an_incident_keeps_its_charts_when_it_is_over(tmp_path):
    room = Room(tmp_path / "p.db", Clock())
    room.tick(times=3)
    room.treat(Outcome.VERIFIED)
    room.heal()
    room.verdict.recovered = True
    room.tick(seconds=4, times=6)
    titles = [panel["title"] for panel in room.case().incident.evidence["panels"]]
    assert "Failed calls to aurora" in titles
