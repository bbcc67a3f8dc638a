"""What a request is about: inherited, narrowed, and never sent as it stands."""

import asyncio
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

import paramedic
from paramedic import Guard
from paramedic.contract.keys import bot_token, new_master, secret_of
from paramedic.guards.budget import deadline
from paramedic.ids import SALT, Salt, safe_id, salt
from paramedic.request import Request, current_request, request
from paramedic.telemetry.runtime import dropped

NAMES = st.sampled_from(["eu", "ch", "us", "ap-1"])
REGIONS = st.none() | st.frozensets(NAMES, max_size=4)


def test_what_is_not_said_is_inherited():
    with (
        request(conversation="c-1", tenant="acme", criticality="low", residency={"eu", "ch"}),
        request(criticality="high") as inner,
    ):
        assert inner == Request("c-1", "acme", "high", frozenset({"eu", "ch"}))
        assert current_request() is inner
    assert current_request() is None


@given(outer=REGIONS, inner=REGIONS, innermost=REGIONS)
def test_an_inner_request_only_narrows_where_data_may_go(outer, inner, innermost):
    with request(residency=outer), request(residency=inner), deadline(9), request(residency=innermost) as held:
        said = [one for one in (outer, inner, innermost) if one is not None]
        if said:
            assert held.residency == frozenset.intersection(*said)
        else:
            assert held.residency is None


@given(residency=REGIONS, criticality=st.sampled_from(["", "critical", "high", "medium", "low"]))
def test_criticality_and_residency_travel_in_headers(residency, criticality):
    sent = Request("c-1", "acme", criticality, residency)
    assert Request.from_headers(sent.to_headers()) == Request(criticality=criticality, residency=residency)


def test_nowhere_is_said_and_not_left_out():
    assert Request(residency=frozenset()).to_headers() == {"paramedic-residency": "none"}
    assert Request().to_headers() == {}


@given(text=st.text())
def test_no_header_widens_where_data_may_go(text):
    read = Request.from_headers({"paramedic-residency": text})
    assert read.residency is not None
    assert read.residency <= {part.strip() for part in text.split(",")}


def test_a_criticality_that_nobody_knows_is_dropped_and_counted():
    before = dropped.counts.get("criticality header", 0)
    assert Request.from_headers({"paramedic-criticality": "urgent"}) == Request()
    assert dropped.counts["criticality header"] == before + 1
    assert Request.from_headers({"paramedic-criticality": " Low "}).criticality == "low"


def test_a_request_of_headers_is_served_in_a_block():
    with (
        request(residency={"eu", "us"}),
        request.from_headers({"paramedic-criticality": "low", "paramedic-residency": "eu, ch"}) as held,
    ):
        assert (held.criticality, held.residency) == ("low", {"eu"})
    assert request.current() == Request()


def test_spans_carry_the_conversation_and_never_the_tenant_itself(sink):
    with request(conversation="c-12", tenant="acme", criticality="low", residency={"eu"}):
        Guard("orders").run_sync(lambda: "an answer")
    (span,) = sink.spans
    assert span.attributes["gen_ai.conversation.id"] == "c-12"
    assert span.attributes["service.criticality"] == "low"
    assert span.attributes["paramedic.tenant"] == safe_id("acme")
    assert "acme" not in str(dict(span.attributes))


def test_guards_fallbacks_and_inner_deadlines_serve_the_same_request():
    seen = []

    def look(*_):
        seen.append(request.current().conversation)
        raise OSError("down")

    inner = Guard("inner", fallbacks=[lambda: look()])
    with request(conversation="c-3"), deadline(5), pytest.raises(OSError, match="down"):
        Guard("outer", fallbacks=[lambda: inner.run_sync(look)]).run_sync(look)
    assert seen == ["c-3"] * 3


def test_it_holds_in_the_task_that_entered_it_and_in_its_children(run):
    async def child():
        return request.current().tenant

    async def serve(tenant):
        async with request(tenant=tenant):
            await asyncio.sleep(0)
            return await asyncio.create_task(child())

    async def main():
        return await asyncio.gather(*(serve(name) for name in "abc")), request.current()

    assert run(main()) == (["a", "b", "c"], Request())


@pytest.mark.parametrize(
    ("said", "error", "why"),
    [
        ({"criticality": "urgent"}, ValueError, "must be one of critical, high, medium, low, got 'urgent'"),
        ({"residency": "eu"}, TypeError, "a collection of regions, got the text 'eu'; write {'eu'}"),
        ({"residency": ["eu,us"]}, ValueError, "got 'eu,us'"),
        ({"residency": ["none"]}, ValueError, "got 'none'"),
        ({"residency": [""]}, ValueError, "got ''"),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused(said, error, why):
    with pytest.raises(error) as refused:
        request(**said)
    assert why in str(refused.value)


def test_equal_ids_are_equal_under_one_salt_only(monkeypatch):
    monkeypatch.setenv(SALT, "one")
    safe_id.cache_clear()
    first = safe_id("acme")
    assert first == safe_id("acme") != safe_id("acme ")
    assert len(first) == 16
    assert int(first, 16) >= 0
    monkeypatch.setenv(SALT, "two")
    safe_id.cache_clear()
    assert safe_id("acme") != first
    safe_id.cache_clear()


def test_the_salt_is_the_teams_else_the_services_else_a_random_one(monkeypatch):
    monkeypatch.delenv(SALT, raising=False)
    assert Salt()() != Salt()()
    one = Salt()
    one.use("secret of the service")
    assert one() == b"secret of the service"
    monkeypatch.setenv(SALT, "team")
    assert one() == b"team"
    assert salt() == b"team"


def test_a_bot_with_a_platform_uses_the_secret_that_they_share(monkeypatch):
    monkeypatch.delenv(SALT, raising=False)
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    monkeypatch.setenv("PARAMEDIC_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("PARAMEDIC_TOKEN", bot_token(new_master(), "support-bot"))
    paramedic.init("support-bot")
    try:
        assert salt() == secret_of(os.environ["PARAMEDIC_TOKEN"], "support-bot").encode()
    finally:
        paramedic.shutdown()
        salt.use("")


def test_no_id_stays_no_id():
    assert safe_id("") == ""
