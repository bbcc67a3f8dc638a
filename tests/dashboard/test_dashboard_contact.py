"""The client and the reader against a real server: errors, sharing, and what is left when it goes away."""

import socket

import pytest
from fake_api import TOKEN, FakeApi
from fake_worlds import treated

from paramedic_dashboard.contact.client import Api, ApiDown, Conflict, NotFound, Refused, Who
from paramedic_dashboard.contact.reader import KEPT, Reader


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reader(api: FakeApi, clock: Clock) -> Reader:
    return Reader(Api(api.url, TOKEN), fresh_s=1.0, clock=clock)


def test_a_write_carries_the_version_that_was_seen_and_the_name(api: FakeApi) -> None:
    api.show(treated())
    done = Api(api.url, TOKEN).acknowledge("INC-12", Who("maya", 6))
    assert (done.state, done.owner, done.version) == ("acknowledged", "maya", 7)


def test_a_write_on_an_old_version_says_who_was_faster(api: FakeApi) -> None:
    api.show(treated())
    api.touch("INC-12", "maya")
    with pytest.raises(Conflict, match="maya acknowledged 4 s ago"):
        Api(api.url, TOKEN).acknowledge("INC-12", Who("jun", 6))
    assert api.world.incidents[0]["owner"] == "maya"


def test_an_unknown_incident_is_not_found(api: FakeApi) -> None:
    with pytest.raises(NotFound, match="INC-404"):
        Api(api.url, TOKEN).incident("INC-404")


def test_an_id_cannot_reach_another_endpoint(api: FakeApi) -> None:
    with pytest.raises(NotFound):
        Api(api.url, TOKEN).incident("../overview")
    assert api.asked[-1] == "GET /api/v1/incidents/..%2Foverview"


def test_a_wrong_token_is_refused_with_the_name_of_its_variable(api: FakeApi) -> None:
    with pytest.raises(Refused, match="PARAMEDIC_OPERATOR_TOKEN"):
        Api(api.url, "wrong").version()


def test_a_closed_port_and_a_server_that_never_answers_are_both_down(api: FakeApi) -> None:
    api.stop()
    with pytest.raises(ApiDown, match="cannot be reached"):
        Api(api.url, TOKEN).version()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ApiDown, match="gave no answer in time"):
            Api(url, TOKEN, timeout_s=0.2).version()


def test_many_tabs_share_one_answer(api: FakeApi, reader: Reader, clock: Clock) -> None:
    for _ in range(8):
        reader.overview()
    assert len(api.asked) == 1
    clock.now += 1.1
    reader.overview()
    assert len(api.asked) == 2


def test_many_tabs_share_one_failure(api: FakeApi, reader: Reader) -> None:
    api.stop()
    first, second = reader.overview(), reader.overview()
    assert first is second
    assert not first.ok


def test_when_the_api_goes_down_the_last_answer_stays_with_its_age(api: FakeApi, reader: Reader, clock: Clock) -> None:
    good = reader.overview()
    api.stop()
    clock.now += 60
    seen = reader.overview()
    assert seen.value is good.value
    assert seen.at == good.at
    assert "cannot be reached" in seen.trouble


def test_what_was_never_seen_is_none_and_not_an_empty_world(api: FakeApi, reader: Reader) -> None:
    api.stop()
    assert reader.overview().value is None


def test_a_new_version_makes_every_other_answer_old_at_once(api: FakeApi, reader: Reader, clock: Clock) -> None:
    """Else a page would be marked as drawn from the new version while it shows the old one."""
    reader.version()
    clock.now += 0.9
    before = reader.overview()
    api.show(treated())
    clock.now += 0.2  # the overview is still fresh by its age
    reader.version()
    after = reader.overview()
    assert before.value is not None
    assert after.value is not None
    assert after.value.version == before.value.version + 1000


def test_after_a_write_nothing_is_fresh(api: FakeApi, reader: Reader) -> None:
    reader.overview()
    reader.forget()
    reader.overview()
    assert len(api.asked) == 2


def test_memory_is_bounded(reader: Reader) -> None:
    for n in range(KEPT + 20):
        reader.incidents("", str(n))
    assert len(reader._entries) == KEPT
