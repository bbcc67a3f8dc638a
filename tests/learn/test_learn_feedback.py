"""What people say of an incident: kept, shown in its timeline, learnt from, and never lost."""

import pytest
from test_learn_training import example

from paramedic.contract.command import Target
from paramedic_detector.api.schemas import Feedback
from paramedic_detector.commands import CommandHub
from paramedic_detector.desk import Desk, Unknown
from paramedic_detector.learn.examples import Source
from paramedic_detector.learn.labels import labelled_examples
from paramedic_detector.store import incidents, labels, records
from paramedic_detector.store.database import connect
from paramedic_detector.store.store import Store
from paramedic_detector.store.tables import IncidentRow
from paramedic_detector.values import Diagnosis, Suspect

NOW = 1_700_000_000.0


@pytest.fixture
def store(tmp_path):
    import numpy as np

    store = Store(connect(f"sqlite:///{tmp_path / 'p.db'}"))
    store.start()
    told = example("auth_failure", 0, np.random.default_rng(1))
    suspect = Suspect(Target("aurora"), "provider", 0.9, ("fails",), "version 2")
    found = Diagnosis("auth_failure", 0.8, {"auth_failure": 1.0}, (suspect,), "fails", tuple(told.values), "abc")
    with store.writing() as session:
        row = IncidentRow(state="resolved", onset_at=NOW, opened_at=NOW, last_alert_at=NOW, changed_at=NOW,
                          resolved_at=NOW + 9, fault_class="auth_failure", peer="aurora")  # fmt: skip
        session.add(row)
        session.flush()
        incidents.save_diagnosis(session, 1, found, NOW)
    yield store
    store.close()


@pytest.fixture
def desk(store):
    return Desk(store, CommandHub("k" * 40, lambda: NOW), lambda: NOW)


def examples(store):
    with store.reading() as session:
        return list(labelled_examples(labels.labelled(session)))


def test_a_diagnosis_keeps_what_it_was_told_by(store):
    with store.reading() as session:
        kept = incidents.case_of(session, 1).diagnosis
    assert kept.model == "abc"
    assert len(kept.told) > 50
    assert kept.suspects[0].detail == "version 2"


def test_a_right_diagnosis_is_learnt_from(store, desk):
    desk.feedback(1, Feedback(by="maya", right=True))
    (one,) = examples(store)
    assert (one.fault_class, one.kind, one.source, one.share) == ("auth_failure", "provider", Source.PERSON, 0.9)


def test_another_class_of_the_same_target_is_learnt_from_and_the_newest_word_counts(store, desk):
    desk.feedback(1, Feedback(by="maya", right=True))
    desk.feedback(1, Feedback(by="ben", fault_class="provider_outage", note="the key was fine"))
    (one,) = examples(store)
    assert one.fault_class == "provider_outage"
    with store.reading() as session:
        said = labels.of_incident(session, 1)
        told = [event.text for event in incidents.timeline(session, 1)]
    assert [row.right for row in said] == [True, False]
    assert told[-1] == "ben says: it was provider outage of aurora."


def test_a_diagnosis_of_another_target_teaches_nothing(store, desk):
    desk.feedback(1, Feedback(by="ben", fault_class="zone_outage", target="support-bot in eu-1b"))
    assert examples(store) == []
    with store.reading() as session:
        assert labels.of_incident(session, 1)[0].zone == "eu-1b"


def test_an_incident_that_is_not_there_is_said(desk):
    with pytest.raises(Unknown, match="INC-7"):
        desk.feedback(7, Feedback(by="ben", right=True))


def test_labelled_incidents_are_not_forgotten(store, desk):
    desk.feedback(1, Feedback(by="maya", right=True))
    with store.writing() as session:
        assert records.forget(session, before=NOW + 1e6) == 0
