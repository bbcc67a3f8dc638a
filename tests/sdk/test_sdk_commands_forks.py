"""Commands in processes that fork: each listens as an instance of its own, and none disturbs another.

What could go wrong, and must not:
    - a worker of a prefork server never hears a command, or is heard in its parent's name
    - a child that ends hangs up on its parent, whose connection it shares
    - a lock that another thread held when the process forked is never free in the child: nor the lock of a module
      that was just being imported
"""

import http.client
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from sdk_platform_stub import SECRET, STREAM, event, snapshot

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

APP = """
import os, paramedic

paramedic.init(service="support-bot")
tool = paramedic.Guard("search", peer="web", fallbacks=[lambda: "light"])


def app(environ, start_response):
    body = f"{os.getpid()} {tool.run_sync(lambda: 'strong')}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

CHILD = """
import multiprocessing, sys, time
from app import tool


def work(leave):
    while tool.run_sync(lambda: "strong") != "light":
        time.sleep(0.01)
    leave.wait(30)


if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    leave = context.Event()
    while tool.run_sync(lambda: "strong") != "light":
        time.sleep(0.01)
    child = context.Process(target=work, args=(leave,))
    child.start()
    sys.stdin.readline()
    leave.set()
    child.join(30)
    print("child", child.exitcode, flush=True)
    while tool.run_sync(lambda: "strong") != "strong":
        time.sleep(0.01)
    print("free", flush=True)
"""

THREADS = """
import os, sys, threading, time
import paramedic
from app import tool

over = threading.Event()


def busy():
    while not over.is_set():
        tool.run_sync(lambda: "strong")
        paramedic.Guard("made", peer="web")


threads = [threading.Thread(target=busy, daemon=True) for _ in range(8)]
for thread in threads:
    thread.start()
while tool.run_sync(lambda: "strong") != "light":
    time.sleep(0.01)
codes = []
for number in range(10):
    child = os.fork()
    if child == 0:
        paramedic.Guard("of the child", peer="other").run_sync(lambda: None) if number % 2 else None
        works = tool.run_sync(lambda: "strong") == "light"
        paramedic.shutdown()
        os._exit(0 if works else 1)
    codes.append(child)
ends = time.monotonic() + 30
left = set(codes)
while left and time.monotonic() < ends:
    for child in list(left):
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            left.discard(child)
            print("child", os.waitstatus_to_exitcode(status), flush=True)
    time.sleep(0.01)
for child in left:
    os.kill(child, 9)
print("hung", len(left), flush=True)
over.set()
while tool.run_sync(lambda: "strong") != "strong":
    time.sleep(0.01)
print("free", flush=True)
"""


IMPORTS = """
import sys, threading, time
import paramedic
from paramedic.commands.client import CommandClient
from paramedic.contract.credentials import find_platform

tool = paramedic.Guard("search", peer="web", fallbacks=[lambda: "light"])
client = CommandClient(
    find_platform("support-bot"), "support-bot", lambda: "me-1", waits_s=(0.01, 0.05), poll_s=0.01
)
known, start = [], threading.Thread.start


def noting(thread):
    known[:] = known or sys.modules
    start(thread)


threading.Thread.start = noting
client.start()
while tool.run_sync(lambda: "strong") != "light":
    time.sleep(0.01)
while tool.run_sync(lambda: "strong") != "strong":
    time.sleep(0.01)
print("imported", sorted(set(sys.modules) - set(known)), flush=True)
time.sleep(60)  # what it has to say is still being said
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


@pytest.fixture
def environment(stub, tmp_path):
    return {
        **os.environ,
        "HOME": str(tmp_path),
        "PARAMEDIC_URL": stub.url,
        "PARAMEDIC_TOKEN": f"pmb.support-bot.{SECRET}",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }


@pytest.fixture
def run_script(folder, environment):
    running = []

    def run(*argv):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        process = subprocess.Popen([sys.executable, *argv], cwd=folder, env=environment, text=True, **pipes)
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@pytest.fixture
def switched_off(command):
    return command("disable_tool", id="off", peer="web", probe_share=0.0, issued_at=time.time())


@pytest.fixture
def switched_on(command):
    return command("clear", parameters={"command_id": "off"}, issued_at=time.time())


def until(condition):
    ends = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.02)


def said(process, wanted, lines=None):
    """Read on until the process has said this."""
    lines = [] if lines is None else lines
    for line in process.stdout:
        lines.append(line.strip())
        if re.match(wanted, line.strip()):
            return line.strip()
    raise AssertionError("\n".join(lines))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_of_multiprocessing_listens_for_itself_and_leaves_its_parent_alone(
    stub, run_script, folder, switched_off, switched_on, method
):
    (folder / "main.py").write_text(CHILD)
    stub.opening.append(snapshot(switched_off))
    process = run_script("main.py", method)
    assert len({stub.next_ack(command_id="off", state="applied")["instance"] for _ in range(2)}) == 2
    assert len(stub.instances) == 2
    process.stdin.write("\n")
    process.stdin.flush()
    assert said(process, "child") == "child 0"
    stub.send(event(switched_on))
    assert said(process, "free")
    assert len(stub.streams) == 2, "the parent's stream was not cut"


def test_a_process_full_of_threads_may_fork(stub, run_script, folder, switched_off, switched_on):
    (folder / "main.py").write_text(THREADS)
    stub.opening.append(snapshot(switched_off))
    process = run_script("main.py")
    lines: list[str] = []
    said(process, "hung", lines)
    assert lines.count("child 0") == 10, "\n".join(lines)
    own = next(iter(stub.streams))
    stub.send(event(switched_on))
    assert said(process, "free")
    assert stub.streams.count(own) == 1, "the parent's stream was not cut"


def test_threads_of_ours_import_nothing(stub, run_script, folder, switched_off, switched_on):
    """In a child that is forked meanwhile, the module's lock would be held by a thread that is not there."""
    (folder / "main.py").write_text(IMPORTS)
    stub.opening.append(snapshot(switched_off))
    process = run_script("main.py")
    stub.next_ack(command_id="off", state="applied")
    stub.status_of[STREAM] = 502  # it polls from now on
    stub.hang_up()
    until(lambda: stub.polls)
    assert stub.next_ack(command_id="off")["state"] == "reverted"
    assert said(process, "imported") == "imported []"


class Server:
    """A real gunicorn with two workers, which loaded the app before they were forked."""

    def __init__(self, run_script) -> None:
        argv = ["-m", "gunicorn", "--preload", "-w", "2", "-b", "127.0.0.1:0", "--graceful-timeout", "1", "app:app"]
        self.process = run_script(*argv)
        self.port = int(said(self.process, r".*Listening at").partition("127.0.0.1:")[2].split()[0])

    def get(self) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/")
            pid, answer = connection.getresponse().read().decode().split()
            return int(pid), answer
        finally:
            connection.close()

    def answers(self) -> dict[int, str]:
        """What each worker answers now."""
        answers: dict[int, str] = {}
        ends = time.monotonic() + 30
        while len(answers) < 2 and time.monotonic() < ends:
            pid, answer = self.get()
            answers[pid] = answer
        return answers


def test_workers_of_gunicorn_obey_and_one_that_is_born_later_does_from_its_first_call(
    stub, run_script, switched_off, switched_on
):
    server = Server(run_script)
    workers = server.answers()
    assert set(workers.values()) == {"strong"}
    until(lambda: len(stub.instances) == 3)  # and the process that forked them
    stub.opening.append(snapshot(switched_off))
    stub.send(event(switched_off))
    instances = {stub.next_ack(command_id="off", state="applied")["instance"] for _ in range(3)}
    assert instances == stub.instances
    assert set(server.answers().values()) == {"light"}
    os.kill(next(iter(workers)), signal.SIGKILL)
    until(lambda: server.get()[0] not in workers)
    born = {pid: answer for pid, answer in (server.get() for _ in range(20)) if pid not in workers}
    assert set(born.values()) <= {"light"}
    stub.next_ack(command_id="off", state="applied")
    assert len(stub.instances) == 4
    stub.send(event(switched_on))
    until(lambda: set(server.answers().values()) == {"strong"})


def test_a_forked_child_that_stops_does_not_hang_up_on_its_parent(stub, listen, command):
    client = listen(stub.platform)
    until(lambda: stub.streams and stub._open)
    child = os.fork()
    if child == 0:
        client.stop()
        os._exit(0)
    os.waitpid(child, 0)
    stub.send(event(command("clear", parameters={"command_id": "nothing"})))
    stub.next_ack(state="applied")
    assert len(stub.streams) == 1
