"""`paramedic run`: the same program, recorded without a line of it being changed."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sdk_collector_stub import CollectorStub, attributes_of
from sdk_llm_stub import LlmStub, chat, chat_stream

from paramedic.instrument.zero_code import chosen
from paramedic.run import UsageError, plan

pytestmark = pytest.mark.early  # real processes, mostly waited for
BIN = str(Path(sys.executable).parent)


def environment(**env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "PARAMEDIC_", "PYTHONPATH"))}
    return {**clean, "PATH": f"{BIN}{os.pathsep}{clean['PATH']}", **env}


def run(*words, **env):
    return subprocess.run(
        [sys.executable, "-m", "paramedic.run", *words],
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_program_runs_with_paramedic_started_once_it_imports_something_of_interest(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.own_sitecustomize = True")
    script = tmp_path / "app.py"
    script.write_text(
        "import sys\n"
        "before = any(name.startswith(('opentelemetry', 'logging')) for name in sys.modules)\n"
        "import httpx, paramedic.start as s\n"
        "print(before, s._started.on, hasattr(httpx.Client.send, '__paramedic__'), sys.own_sitecustomize, sys.argv[1:])"
    )
    done = run(
        "--service=bot", sys.executable, str(script), "--x", PYTHONPATH=str(tmp_path), PARAMEDIC_DATA_DIR=str(tmp_path)
    )
    assert (done.returncode, done.stdout) == (0, "False True True True ['--x']\n"), done.stderr
    assert done.stderr == ""


def test_processes_that_the_program_spawns_are_recorded_too(tmp_path):
    script = tmp_path / "app.py"
    script.write_text(
        "import multiprocessing\n"
        "def work(_):\n"
        "    import httpx, paramedic.start\n"
        "    return paramedic.start._started.on, hasattr(httpx.Client.send, '__paramedic__')\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.map(work, [1]))\n"
    )
    done = run("--service", "bot", "python", str(script), PARAMEDIC_DATA_DIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "[(True, True)]\n"), done.stderr


@pytest.mark.parametrize(
    ("words", "env", "code", "said"),
    [
        ((), {}, 2, "was given no command"),
        (("--fast", "python"), {}, 2, "does not know '--fast'"),
        (("--fast=1", "python"), {}, 2, "does not know '--fast=1'"),
        (("python", "app.py"), {}, 2, "set OTEL_SERVICE_NAME"),
        (("no-such-program",), {"OTEL_SERVICE_NAME": "bot"}, 127, "cannot find the program 'no-such-program'"),
        (("app.py",), {"OTEL_SERVICE_NAME": "bot"}, 127, "try: paramedic run python app.py"),
    ],
)
def test_a_mistake_is_one_line(words, env, code, said):
    done = run(*words, **env)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1)
    assert done.stderr.startswith("paramedic: ")
    assert said in done.stderr


def test_the_exit_code_is_the_programs():
    assert run(sys.executable, "-c", "raise SystemExit(7)", PARAMEDIC_SERVICE="bot").returncode == 7


def test_everything_behind_two_dashes_is_the_command():
    assert plan(["--", "a", "--service"], {"PARAMEDIC_SERVICE": "bot"})[0] == ["a", "--service"]
    with pytest.raises(UsageError):
        plan(["--service"], {})


def test_a_python_without_paramedic_runs_the_program_and_says_so_once(tmp_path):
    script = tmp_path / "app.py"
    script.write_text("import sys\nsys.modules['opentelemetry'] = None\nimport httpx, openai\nprint('ran')")
    done = run("--service", "bot", "python", str(script))
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert done.stderr.startswith(f"paramedic: {BIN}")
    assert done.stderr.count("\n") == 1


def test_what_is_recorded_can_be_chosen(caplog):
    assert chosen({"PARAMEDIC_INSTRUMENT": "openai, httpx"}) == ("openai", "httpx")
    assert chosen({"PARAMEDIC_INSTRUMENT": "none"}) == ()
    assert "fastapi" in chosen({})
    assert not caplog.records
    assert chosen({"PARAMEDIC_INSTRUMENT": "opnai"}) == ()
    assert "got 'opnai'" in caplog.text


APP = """
import os
import sys

import uvicorn
from fastapi import FastAPI
from openai import AsyncOpenAI

app = FastAPI()
client = AsyncOpenAI(base_url=os.environ["MODEL_URL"], api_key="k")


@app.get("/chat/{user}")
async def chat(user: str) -> str:
    asked = [{"role": "user", "content": f"Hello, I am {user}"}]
    stream = await client.chat.completions.create(model="gpt-4o", messages=asked, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


@app.get("/short")
async def short() -> str:
    answer = await client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])
    return answer.choices[0].message.content or ""


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error")
"""
WAYS = {
    "python": ("python", "app.py", "{port}"),
    "uvicorn": ("python", "-m", "uvicorn", "app:app", "--port", "{port}", "--log-level", "error"),
    "gunicorn": (
        *("gunicorn", "-k", "asgi", "-b", "127.0.0.1:{port}"),
        *("--log-level", "error", "app:app"),
    ),
}


@contextmanager
def shop(way, folder, model, collector):
    """The app, served in one of the ways by `paramedic run`; gives its address."""
    (folder / "app.py").write_text(APP)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    words = [word.format(port=port) for word in WAYS[way]]
    env = environment(
        MODEL_URL=f"{model.url}/v1",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_BSP_SCHEDULE_DELAY="50",
        OTEL_METRIC_EXPORT_INTERVAL="200",
        PARAMEDIC_DATA_DIR=str(folder),
    )
    command = [sys.executable, "-m", "paramedic.run", "--service", "shop", *words]
    process = subprocess.Popen(command, cwd=folder, env=env, start_new_session=True)
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def get(url):
    for _ in range(600):
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return answer.read().decode()
        except OSError:
            time.sleep(0.05)  # it is still starting
    raise AssertionError(f"nothing answers at {url}")


def spans_of(collector):
    """All spans so far by name; with their parents, which the stub itself leaves out."""
    found = {}
    for path, body in collector.bodies:
        if path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    found.update({(span.name, span.start_time_unix_nano): span for span in scope.spans})
    return [found[key] for key in sorted(found, key=lambda key: key[1])]


@pytest.mark.parametrize("way", WAYS)
def test_an_app_that_knows_nothing_of_paramedic_is_recorded_whole(way, tmp_path):
    collector = CollectorStub()
    with LlmStub(chat_stream(), chat("")) as model, shop(way, tmp_path, model, collector) as (url, process):
        assert get(f"{url}/chat/ann") == '"Hello there"'
        assert get(f"{url}/short") == '""'
        collector.wait_for(lambda stub: len(spans_of(stub)) >= 4)
        collector.wait_for(lambda stub: any(name == "gen_ai.client.operation.duration" for name, *_ in stub.histograms))
        assert process.poll() is None
    collector.close()
    served, streamed, also_served, asked = spans_of(collector)
    assert [span.name for span in (served, streamed, also_served)] == ["GET /chat/{user}", "chat gpt-4o", "GET /short"]
    assert (streamed.parent_span_id, asked.parent_span_id) == (served.span_id, also_served.span_id)
    assert streamed.trace_id == served.trace_id != asked.trace_id
    told, empty = attributes_of(streamed.attributes), attributes_of(asked.attributes)
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (11, 2)
    assert (told["service.peer.name"], told["paramedic.guard"]) == (model.peer, "openai")
    assert [value.string_value for value in told["gen_ai.response.finish_reasons"].values] == ["stop"]
    assert told["gen_ai.response.time_to_first_chunk"] > 0
    assert (told.get("paramedic.useless"), empty["paramedic.useless"]) == (None, "empty")
    assert model.seen[0].headers["traceparent"].split("-")[1:3] == [streamed.trace_id.hex(), streamed.span_id.hex()]
    assert {resource["service.name"] for _, _, resource in collector.spans} == {"shop"}
    assert (tmp_path / "app.py").read_text() == APP
    assert "paramedic" not in APP
