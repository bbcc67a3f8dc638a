"""The ways out to people: a channel takes a message and says what became of it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx

TIMEOUT_S = 5.0
_AGAIN = frozenset({408, 425, 429})  # of 4xx, those that another try may mend


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one try."""

    ok: bool
    said: str  # "HTTP 500", "no answer within 5 s"
    final: bool = False  # another try cannot mend it
    uncertain: bool = False  # it may have arrived
    retry_after_s: float | None = None


class Channel(Protocol):
    """One endpoint of messages."""

    name: str  # "slack"; stands in the store
    host: str  # for logs; never the secret path

    def send(self, body: Mapping[str, Any]) -> Outcome: ...


class SlackWebhook:
    """A Slack incoming webhook. Its URL is a secret: nothing here shows more of it than the host."""

    name = "slack"

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._url, self._timeout_s = url, timeout_s
        self.host = urlsplit(url).netloc.rpartition("@")[2]

    def send(self, body: Mapping[str, Any]) -> Outcome:
        deadline = time.monotonic() + self._timeout_s
        try:
            with (
                httpx.Client(timeout=self._timeout_s, follow_redirects=False, trust_env=True) as client,
                client.stream("POST", self._url, json=dict(body)) as response,
            ):
                for _ in response.iter_raw(4096):
                    if time.monotonic() > deadline:
                        break  # the status is what counts; the rest may drip for ever
                return outcome_of(response.status_code, response.headers.get("retry-after"))
        except httpx.ConnectError:
            return Outcome(ok=False, said="the connection was refused or the host is unknown")
        except httpx.TimeoutException as error:
            arrived = not isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout)
            return Outcome(ok=False, said=f"no answer within {self._timeout_s:g} s", uncertain=arrived)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Outcome(ok=False, said=f"the connection broke ({type(error).__name__})", uncertain=True)


def outcome_of(status: int, retry_after: str | None) -> Outcome:
    """What a status code means for the message."""
    said = f"HTTP {status}"
    if 200 <= status < 300:
        return Outcome(ok=True, said=said)
    final = status < 500 and status not in _AGAIN
    return Outcome(ok=False, said=said, final=final, retry_after_s=_seconds(retry_after))


def _seconds(retry_after: str | None) -> float | None:
    try:
        return min(3600.0, max(0.0, float(retry_after))) if retry_after else None
    except ValueError:
        return None  # a date: the backoff is long enough
