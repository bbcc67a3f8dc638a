"""What people and models said is recorded only when somebody asked for it."""

import pytest

from paramedic.telemetry.content import SWITCH, capturing


@pytest.mark.parametrize("told", ["true", "TRUE", " 1 ", "span_only", "SPAN_AND_EVENT", "event_only"])
def test_content_is_captured_when_asked_for(monkeypatch, told):
    monkeypatch.setenv(SWITCH, told)
    assert capturing()


@pytest.mark.parametrize("told", [None, "", "false", "0", "no_content", "maybe"])
def test_otherwise_it_is_not(monkeypatch, told):
    monkeypatch.delenv(SWITCH, raising=False)
    if told is not None:
        monkeypatch.setenv(SWITCH, told)
    assert not capturing()
