"""Real servers on real sockets for the tests of the bot: the simulators, bots of any arm, the front door.

They run in threads of the test process, so that a test costs milliseconds and not the start of six interpreters.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import uvicorn

from paramedic_demo.orders import orders_app
from paramedic_demo.orders_data import open_book
from paramedic_demo.provider import provider_app
from paramedic_demo.provider_models import MODELS
from paramedic_demo.support_bot.app import ClosableCalls, bot_app
from paramedic_demo.support_bot.wire import Settings

HTTP = httpx.Client(timeout=20.0, trust_env=False)  # one for all tests: each new one costs 0.1 s of a core
FAST = 25.0  # how much faster than the models the simulated providers talk


@contextmanager
def serving(make: Callable[[], Any]) -> Iterator[str]:
    """The URL of an app that is made and served in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(make, factory=True, log_level="error", ws="none", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive())
            yield url
        finally:
            server.should_exit = True
            thread.join()


def wait_until(is_so: Callable[[], object]) -> None:
    """Look a few times a second, half a minute at most."""
    for _ in range(1500):
        if is_so():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen within 30 s")


class World:
    """Both providers and the order backend."""

    def __init__(self, aurora: str, borealis: str, orders: str) -> None:
        self.urls = {"aurora": aurora, "borealis": borealis, "orders": orders}
        self.settings = Settings.read(
            {"DEMO_AURORA_URL": aurora, "DEMO_BOREALIS_URL": borealis, "DEMO_ORDERS_URL": orders}
        )

    def break_it(self, name: str, kind: str, **parameters: Any) -> None:
        HTTP.post(f"{self.urls[name]}/_fault", json={"kind": kind, **parameters}).raise_for_status()

    def heal_all(self) -> None:
        for url in self.urls.values():
            HTTP.delete(f"{url}/_fault")

    def calls(self, name: str) -> int:
        return int(HTTP.get(f"{self.urls[name]}/_stats").json()["calls"])


@contextmanager
def world() -> Iterator[World]:
    with ExitStack() as stack:
        aurora = stack.enter_context(serving(lambda: provider_app(MODELS["aurora-large"], 1, FAST)))
        borealis = stack.enter_context(serving(lambda: provider_app(MODELS["borealis-light"], 1, FAST)))
        orders = stack.enter_context(serving(lambda: orders_app(open_book(), 1)))
        yield World(aurora, borealis, orders)


@contextmanager
def bot(settings: Settings, make_calls: Callable[[Settings], ClosableCalls], zone: str = "eu-1a") -> Iterator[str]:
    """The URL of a bot."""
    with serving(lambda: bot_app(make_calls(settings), zone, settings.queue_file)) as url:
        yield url
