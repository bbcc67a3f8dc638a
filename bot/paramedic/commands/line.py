"""The line to the platform: its command stream, its snapshot, and the place for acks.

It does not decide; `client` says when to stream, poll and post, and what to make of it.
"""

import http.client
import json
from collections.abc import Iterator
from dataclasses import asdict
from time import monotonic
from urllib.parse import quote, urlsplit

from paramedic.commands.sse import LONGEST_EVENT, Event, StreamError, events
from paramedic.commands.wire import Exchange, Flow, read_body
from paramedic.contract.command import Ack
from paramedic.contract.credentials import Platform
from paramedic.contract.keys import bearer
from paramedic.telemetry.runtime import dropped, log

ASK_S = 5.0  # for one post or one poll, all in all
WORTH_ANOTHER_TRY = frozenset({401, 403, 408, 425, 429})  # and all from 500: the platform may mend


class Line:
    """Of one process to its platform.

    Args:
        platform: Where it is, and the secrets shared with it.
        service: Whose bot this is.
        instance: Which of its instances.
        silence_s: Seconds without a line after which the stream is taken for dead.
    """

    def __init__(self, platform: Platform, service: str, instance: str, silence_s: float) -> None:
        self._platform, self._url, self._service = platform, urlsplit(platform.url), service
        self._query = f"service={quote(service, '')}&instance={quote(instance, '')}"
        self._silence_s, self._ask_s = silence_s, min(ASK_S, silence_s)
        self._secrets = [secret for secret in (platform.secret, platform.other_secret) if secret]
        self._listening: Exchange | None = None
        self._hung_up = False

    def stream(self) -> Iterator[Event]:
        """The events of the stream, until it ends.

        Raises:
            OSError, http.client.HTTPException: It cannot be reached, or fell silent.
            StreamError: What comes is no stream of ours.
        """
        exchange = self._listening = Exchange(self._url, self._silence_s)
        flow = Flow(monotonic())
        try:
            response = exchange.request(
                "GET", f"/api/v1/commands/stream?{self._query}", self._headers("text/event-stream")
            )
            self._check(response)

            def read_line(longest: int) -> bytes:
                line = response.readline(longest)
                flow.add(len(line), monotonic())
                exchange.allow(self._silence_s)
                return line

            if not self._hung_up:
                yield from events(read_line)
        finally:
            exchange.close()

    def poll(self) -> str:
        """The snapshot; raises as `stream` does."""
        exchange = self._listening = Exchange(self._url, self._ask_s)
        try:
            response = exchange.request("GET", f"/api/v1/commands?{self._query}", self._headers("application/json"))
            self._check(response)
            return read_body(response, LONGEST_EVENT)
        finally:
            exchange.close()

    def post(self, acks: list[Ack]) -> bool:
        """Hand over acks; False when they should be sent again later."""
        exchange = Exchange(self._url, self._ask_s)
        try:
            headers = {**self._headers("application/json"), "Content-Type": "application/json"}
            body = json.dumps([_bounded(ack) for ack in acks])
            status = exchange.request("POST", "/api/v1/commands/acks", headers, body).status
        except (OSError, http.client.HTTPException, ValueError) as error:
            log.debug("%d acks wait for the platform: %r", len(acks), error)
            return False
        finally:
            exchange.close()
        if 400 <= status < 500 and status not in WORTH_ANOTHER_TRY:  # it will never want them
            dropped.add("acks", len(acks))
            return True
        return 200 <= status < 300

    def hang_up(self) -> None:
        """End what is being read, from another thread."""
        self._hung_up = True
        if self._listening is not None:
            self._listening.abort()

    def _headers(self, accept: str) -> dict[str, str]:
        token = f"pmb.{self._service}.{bearer(self._secrets[0])}"
        return {"Authorization": f"Bearer {token}", "Accept": accept, "Cache-Control": "no-store"}

    def _check(self, response: http.client.HTTPResponse) -> None:
        status, url = response.status, self._platform.url
        if status in (401, 403):
            self._secrets.reverse()  # while the platform's key is being changed, the other one is tried next
            cure = "`paramedic token SERVICE` prints the right PARAMEDIC_TOKEN"
            raise StreamError(f"it refuses this bot's token with {status}; {cure}")
        if status != 200:
            raise StreamError(f"it answers {status}; is {url} the address of the platform's API?")


def _bounded(ack: Ack) -> dict[str, object]:
    """An ack that the platform's API takes, however long its parts are: one that it refuses would hold up the rest."""
    guards = [guard[:200] for guard in ack.guards[:100]]
    short = {"command_id": ack.command_id[:200], "instance": ack.instance[:200], "reason": ack.reason[:500]}
    return {**asdict(ack), **short, "guards": guards}
