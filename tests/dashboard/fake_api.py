"""A stand-in for the detector's API: a real HTTP server over a `World`, with compare-and-set writes.

python tests/dashboard/fake_api.py treated --port 8600     # to look at the dashboard without a platform
"""

import argparse
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from fake_worlds import WORLDS, Json, World, moment, summary

TOKEN = "pmo.test"


class FakeApi:
    """Serves `world`, which tests change or replace at will."""

    def __init__(self, world: World, port: int = 0) -> None:
        self.world = world
        self.asked: list[str] = []
        self._port = port
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> "FakeApi":
        api = self

        class Handler(_Handler):
            fake = api

        self._server = _Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Close the port; nobody answers any more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def show(self, world: World) -> None:
        """Another world, with a version that nobody has seen."""
        world.version = self.world.version + 1000
        self.world = world

    def touch(self, incident: str, by: str) -> None:
        """Somebody else acknowledges."""
        self._acknowledge(self.world.incident(incident) or {}, by)

    def answer(self, method: str, path: str, query: dict[str, str], body: Json) -> tuple[int, Any]:
        match method, path.strip("/").split("/")[2:]:
            case "GET", ["version"]:
                return 200, self.world.version_answer()
            case "GET", ["overview"]:
                return 200, self.world.overview()
            case "GET", ["incidents"]:
                return 200, self._list(query)
            case "GET", ["incidents", id_]:
                found = self.world.incident(id_)
                return (200, found) if found else _problem(404, f"there is no incident {id_!r}")
            case "GET", ["actions"]:
                return 200, {"items": self.world.actions(), "next": None}
            case "POST", ["incidents", id_, verb]:
                return self._write_incident(self.world.incident(id_), verb, body)
            case "POST", ["actions", id_, verb]:
                return self._write_action(id_, verb, body)
        return _problem(404, f"no endpoint {method} {path}")

    def _list(self, query: dict[str, str]) -> Json:
        states = [state for state in query.get("state", "").split(",") if state]
        start, size = int(query.get("cursor", "0")), int(query.get("limit", "50"))
        found = [summary(one) for one in self.world.incidents if not states or one["state"] in states]
        rest = start + size < len(found)
        return {"items": found[start : start + size], "next": str(start + size) if rest else None}

    def _write_incident(self, incident: Json | None, verb: str, body: Json) -> tuple[int, Any]:
        if incident is None:
            return _problem(404, "no such incident")
        if body["version"] != incident["version"]:
            return _problem(409, f"{incident['owner'] or 'somebody'} acknowledged 4 s ago")
        if verb == "acknowledge":
            self._acknowledge(incident, body["by"])
        else:
            incident |= {"state": "resolved", "needs_you": False, "you": body["note"]}
            incident["resolved_at"] = moment(time.time())
            self._changed(incident)
        return 200, summary(incident)

    def _acknowledge(self, incident: Json, by: str) -> None:
        incident |= {"state": "acknowledged", "needs_you": False, "owner": by, "acknowledged_at": moment(time.time())}
        self._changed(incident)

    def _write_action(self, id_: str, verb: str, body: Json) -> tuple[int, Any]:
        incident, action = next(
            ((one, act) for one in self.world.incidents for act in one["actions"] if act["id"] == id_), (None, None)
        )
        if incident is None or action is None:
            return _problem(404, "no such action")
        if body["version"] != action["version"]:
            return _problem(409, "maya rejected it 9 s ago")
        state = {"approve": "sent", "reject": "rejected", "revert": action["state"]}[verb]
        action |= {"state": state, "by": body["by"], "automatic": False, "in_force": verb == "approve"}
        if verb == "revert":
            action |= {"rolled_back_at": moment(time.time()), "lease_ends_at": None}
        action["version"] += 1
        self._changed(incident)
        return 200, action

    def _changed(self, incident: Json) -> None:
        incident["version"] += 1
        self.world.version += 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


class _Handler(BaseHTTPRequestHandler):
    fake: ClassVar[FakeApi]

    def do_GET(self) -> None:
        self._do("GET", {})

    def do_POST(self) -> None:
        self._do("POST", json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}"))

    def _do(self, method: str, body: Json) -> None:
        url = urlsplit(self.path)
        self.fake.asked.append(f"{method} {self.path}")
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        if self.headers.get("authorization") != f"Bearer {TOKEN}":
            status, answer = _problem(401, "the token is wrong")
        else:
            status, answer = self.fake.answer(method, unquote(url.path), query, body)
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json" if status < 400 else "application/problem+json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def _problem(status: int, detail: str) -> tuple[int, Json]:
    return status, {"type": "about:blank", "title": "refused", "status": status, "detail": detail}


if __name__ == "__main__":
    asked = argparse.ArgumentParser()
    asked.add_argument("world", choices=sorted(WORLDS), nargs="?", default="treated")
    asked.add_argument("--port", type=int, default=8600)
    chosen = asked.parse_args()
    FakeApi(WORLDS[chosen.world](), chosen.port).start()
    threading.Event().wait()
