"""The openai client, instrumented, against the demo's provider and all that can be wrong with it."""

import httpx2
import openai
import pytest

from paramedic.instrument import instrument, uninstrument
from paramedic.instrument.client_guards import forget
from paramedic_demo.provider import provider_app
from paramedic_demo.provider_models import MODELS

ASK = {"model": "aurora-large", "messages": [{"role": "user", "content": "Where is my order 1234?"}]}
FAST = 1000.0


@pytest.fixture(autouse=True)
def instrumented():
    instrument("openai", "httpx")
    yield
    uninstrument()
    forget()


@pytest.fixture
def told(run, sink):
    """What the span of one call says while the provider has a fault, and the error that the program gets."""

    def told(kind, stream, **fault):
        async def main():
            transport = httpx2.ASGITransport(provider_app(MODELS["aurora-large"], 1, FAST))
            http = httpx2.AsyncClient(transport=transport)
            about = {"base_url": "http://aurora/v1", "api_key": "k", "max_retries": 0}
            async with openai.AsyncOpenAI(**about, http_client=http) as client:
                if kind:
                    (await http.post("http://aurora/_fault", json={"kind": kind, **fault})).raise_for_status()
                sink.clear()
                try:
                    answer = await client.chat.completions.create(**ASK, stream=stream)
                    if stream:
                        async for _ in answer:
                            pass
                except Exception as error:
                    return error

        error = run(main())
        (span,) = sink.spans
        return dict(span.attributes), error

    return told


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("kind", "useless"),
    [("", None), ("empty", "empty"), ("cut", "cut"), ("slow", None)],
    ids=lambda value: value or "-",
)
def test_an_answer_of_the_provider_is_told_for_what_it_is(told, kind, useless, stream):
    about, error = told(kind, stream)
    assert error is None
    assert (about.get("paramedic.useless"), about.get("error.type")) == (useless, None)
    assert about["service.peer.name"] == "aurora"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("kind", "statuses"),
    [("auth", {"401"}), ("rate_limit", {"429"}), ("errors", {"500", "502", "503"}), ("garbage", set())],
)
def test_an_error_of_the_provider_is_the_programs_and_the_spans(told, kind, statuses, stream):
    about, error = told(kind, stream)
    if statuses:
        assert isinstance(error, openai.APIStatusError)
        assert about["error.type"] in statuses
    else:
        assert about["error.type"] == type(error).__name__
