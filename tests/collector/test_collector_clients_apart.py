"""Real clients that live apart: the SDK for JavaScript from npm, and Python's JSON exporters. Both are installed below
build/, once for each list of versions."""

import shutil
import sys
from pathlib import Path

import pytest
from clients_kit import ROOT, TOKEN, cannot, clients, run

HERE = Path(__file__).parent
INSTALLED = ROOT / "build" / "clients"

pytestmark = pytest.mark.early  # they are installed


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    one = clients(tmp_path_factory.mktemp("data"), tokens=(TOKEN,))
    yield one
    one.collector.stop()


def folder_for(listed, install):
    """Where the packages of a list are: installed into it if there is another list or none yet."""
    folder = INSTALLED / listed.parent.name
    done = folder / f"installed-{listed.name}"
    if not done.exists() or done.read_text() != listed.read_text():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(listed, folder)
        install(folder)
        shutil.copy(listed, done)
    return folder


@pytest.fixture(scope="module")
def node_modules():
    if not (shutil.which("node") and shutil.which("npm")):
        cannot("there is no node and npm on this machine to run the SDK for JavaScript")

    def install(folder):
        run("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", cwd=folder)

    return folder_for(HERE / "js" / "package.json", install)


@pytest.fixture(scope="module")
def python_apart():
    def install(folder):
        run(sys.executable, "-m", "venv", folder / ".venv")
        run(folder / ".venv/bin/python", "-m", "pip", "install", "--quiet", "-r", folder / "requirements.txt")

    return folder_for(HERE / "python_json" / "requirements.txt", install) / ".venv/bin/python"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", ["json", "proto"])
def test_the_javascript_sdk_is_understood_over_http(served, node_modules, way):
    said = run("node", HERE / "js" / "send.mjs", way, served.url(), f"js-{way}", TOKEN, cwd=node_modules)
    assert said == ""
    served.assert_came(f"js-{way}", "from-js")


@pytest.mark.timeout(300)
def test_the_javascript_sdk_is_understood_over_grpc(served, node_modules):
    said = run("node", HERE / "js" / "send.mjs", "grpc", served.url("grpc"), "js-grpc", TOKEN, cwd=node_modules)
    assert said == ""
    served.assert_came("js-grpc", "from-js", ("op",))


@pytest.mark.timeout(300)
def test_the_javascript_sdk_without_the_token_says_why_it_is_refused(served, node_modules):
    said = run("node", HERE / "js" / "send.mjs", "json", served.url(), "js-refused", cwd=node_modules, fails=True)
    assert "this collector takes telemetry with a token only" in said


@pytest.mark.timeout(300)
def test_the_json_exporters_for_python_are_understood(served, python_apart):
    run(python_apart, HERE / "python_json" / "send.py", served.url(), "python-json", TOKEN)
    served.assert_came("python-json", "from-python-json")
