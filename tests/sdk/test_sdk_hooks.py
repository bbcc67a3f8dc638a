"""What is done after an import: once, whenever it happens, and without anybody noticing."""

import importlib
import importlib.util
import sys
import types

import pytest

from paramedic.guards.refusals import CommandRefused, DeadlineExceeded
from paramedic.instrument import stainless, web_apps
from paramedic.instrument.client_errors import as_clients
from paramedic.instrument.hooks import AfterImport
from paramedic.instrument.patches import replace, restore_all


@pytest.fixture
def hooks():
    hooks = AfterImport()
    yield hooks
    hooks.forget()


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module that can be imported."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name, text=""):
        path = tmp_path.joinpath(*name.split("."))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        return name

    yield write
    for name in [name for name in sys.modules if name.startswith("odd_")]:
        del sys.modules[name]


def test_it_is_done_once_after_the_import(hooks, module):
    name, seen = module("odd_one", "value = 1"), []
    hooks.watch(name, lambda: seen.append(sys.modules[name].value))
    assert seen == []
    importlib.import_module(name)
    importlib.import_module(name)
    importlib.reload(sys.modules[name])
    assert seen == [1]


def test_it_is_done_at_once_for_what_has_been_imported(hooks):
    seen = []
    hooks.watch("json", lambda: seen.append("json"))
    assert seen == ["json"]


def test_the_module_is_loaded_as_ever(hooks, module):
    name = module("odd_two", "loader = __loader__, __spec__.loader")
    hooks.watch(name, lambda: None)
    loaded = importlib.import_module(name)
    plain = importlib.util.find_spec("json").loader
    assert {type(loader) for loader in (*loaded.loader, loaded.__loader__, loaded.__spec__.loader)} == {type(plain)}
    assert loaded.__loader__.get_source(name).startswith("loader")


def test_what_is_asked_for_while_it_is_done_is_done_too(hooks, module):
    name, seen = module("odd_three"), []
    hooks.watch(name, lambda: hooks.watch(name, lambda: seen.append("then")))
    importlib.import_module(name)
    assert seen == ["then"]


def test_a_module_that_is_not_there_is_missed_as_ever(hooks):
    hooks.watch("odd_nowhere", lambda: None)
    with pytest.raises(ModuleNotFoundError, match="odd_nowhere"):
        importlib.import_module("odd_nowhere")


def test_a_module_that_breaks_breaks_as_ever_and_nothing_is_done(hooks, module):
    name, seen = module("odd_broken", "1 / 0"), []
    hooks.watch(name, lambda: seen.append(name))
    with pytest.raises(ZeroDivisionError):
        importlib.import_module(name)
    assert seen == []


def test_what_fails_then_is_a_line_in_the_log(hooks, module, caplog):
    name = module("odd_four")
    hooks.watch(name, lambda: 1 / 0)
    importlib.import_module(name)
    assert caplog.messages == ["odd_four is not instrumented: division by zero"]


def test_a_version_that_nobody_knew_is_left_alone(module, caplog):
    module("odd_vendor/__init__")
    module("odd_vendor/_base_client", "class SyncAPIClient:\n    pass\n")
    stainless.patch("odd_vendor")
    assert [line.split(":")[0] for line in caplog.messages] == [
        "odd_vendor._base_client.SyncAPIClient is not instrumented",
        "odd_vendor is not instrumented",
    ]


def test_a_framework_without_its_class_is_left_alone(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "starlette.applications", types.ModuleType("starlette.applications"))
    web_apps.patch("starlette")
    assert caplog.messages == ["starlette is not instrumented: this version has no Starlette"]


def test_a_method_is_replaced_once_keeps_its_name_and_is_put_back():
    class Client:
        def send(self) -> str:
            """Sends."""
            return "plain"

    original = Client.__dict__["send"]
    assert replace(Client, "send", lambda plain: lambda self: f"recorded {plain(self)}")
    assert not replace(Client, "send", lambda plain: lambda self: f"twice {plain(self)}")
    assert (Client().send(), Client.send.__name__, Client.send.__doc__) == ("recorded plain", "send", "Sends.")
    restore_all()
    assert Client.__dict__["send"] is original


class Theirs(Exception):
    def __init__(self, *, message: str) -> None:
        super().__init__(message)


def test_a_refusal_can_be_an_error_of_the_client_too():
    refused = CommandRefused("llm", "command", 3.0)
    both = as_clients(refused, Theirs, body=None)
    assert isinstance(both, Theirs)
    assert isinstance(both, CommandRefused)
    assert (both.name, both.reason, both.retry_in_s, str(both), both.body) == (
        "llm",
        "command",
        3.0,
        str(refused),
        None,
    )
    assert type(both).__name__ == "CommandRefused"


def test_it_is_read_elsewhere_as_a_refusal_alone():
    import pickle

    both = as_clients(CommandRefused("llm", "command", 3.0), Theirs)
    there = pickle.loads(pickle.dumps(both))
    assert (type(there), there.name, there.retry_in_s) == (CommandRefused, "llm", 3.0)


@pytest.mark.parametrize("base", [None, "no class", CommandRefused, int])
def test_an_error_that_cannot_be_both_stays_what_it_is(base):
    refused = CommandRefused("llm", "command")
    assert as_clients(refused, base) is refused


def test_the_end_of_a_deadline_can_be_a_timeout_of_the_client():
    both = as_clients(DeadlineExceeded("llm", "deadline"), Theirs)
    assert isinstance(both, TimeoutError)
    assert isinstance(both, Theirs)
