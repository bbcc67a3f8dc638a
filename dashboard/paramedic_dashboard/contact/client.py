"""The API of /api/v1 over HTTP: one method an endpoint, one exception a way it can fail.

    Api.overview() --GET--> Overview          ApiDown    nobody answers, or it answers 5xx
    Api.acknowledge() --POST--> Summary       NotFound   404
                                              Conflict   409, its text says who was faster
                                              Refused    401, 403, 422, ...: its text says why

It keeps nothing; what was seen last is remembered by `reader`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import quote

import httpx

from paramedic_dashboard.contact.answers import (
    Action,
    ActionList,
    BadAnswer,
    Incident,
    IncidentList,
    Overview,
    Problem,
    Summary,
    Version,
    read,
)

T = TypeVar("T")


class ApiError(Exception):
    """The API did not do what was asked; the text can be shown to a person."""


class ApiDown(ApiError):
    """Nobody answers, or the answer is a failure of the server."""


class NotFound(ApiError):
    """There is no such thing."""


class Conflict(ApiError):
    """Somebody was faster: what was seen is not what is there."""


class Refused(ApiError):
    """The API will not do it for us."""


@dataclass(frozen=True)
class Who:
    """The person a write is made for, and the version of what that person saw."""

    by: str
    version: int
    note: str = ""


class Api:
    """Speaks to one API.

    Args:
        url: Where it listens: "http://127.0.0.1:8600".
        token: The operator token, sent as a bearer token.
        timeout_s: Seconds to wait for an answer before it counts as down.
    """

    def __init__(self, url: str, token: str, timeout_s: float = 4.0) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=f"{self.url}/api/v1",
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout=timeout_s,
            trust_env=False,  # a proxy of the shell has no business between two rooms
        )
        self.clock_ahead_s = 0.0  # the API's clock minus ours, to the second

    def version(self) -> Version:
        return self._get(Version, "/version")

    def overview(self) -> Overview:
        return self._get(Overview, "/overview")

    def incidents(self, state: str = "", cursor: str = "", limit: int = 50) -> IncidentList:
        asked = {"state": state, "cursor": cursor, "limit": str(limit)}
        return self._get(IncidentList, "/incidents", {name: value for name, value in asked.items() if value})

    def incident(self, id_: str) -> Incident:
        return self._get(Incident, f"/incidents/{quote(id_, safe='')}")

    def actions(self) -> ActionList:
        return self._get(ActionList, "/actions")

    def acknowledge(self, incident: str, who: Who) -> Summary:
        return self._write(Summary, f"/incidents/{quote(incident, safe='')}/acknowledge", who)

    def resolve(self, incident: str, who: Who) -> Summary:
        return self._write(Summary, f"/incidents/{quote(incident, safe='')}/resolve", who)

    def approve(self, action: str, who: Who) -> Action:
        return self._write(Action, f"/actions/{quote(action, safe='')}/approve", who)

    def reject(self, action: str, who: Who) -> Action:
        return self._write(Action, f"/actions/{quote(action, safe='')}/reject", who)

    def revert(self, action: str, who: Who) -> Action:
        return self._write(Action, f"/actions/{quote(action, safe='')}/revert", who)

    def _get(self, kind: type[T], path: str, params: dict[str, str] | None = None) -> T:
        return self._answer(kind, self._http.build_request("GET", path, params=params))

    def _write(self, kind: type[T], path: str, who: Who) -> T:
        body = {"version": who.version, "by": who.by, "note": who.note}
        return self._answer(kind, self._http.build_request("POST", path, json=body))

    def _answer(self, kind: type[T], request: httpx.Request) -> T:
        try:
            response = self._http.send(request)
        except httpx.TimeoutException:
            raise ApiDown(f"{self.url} gave no answer in time") from None
        except httpx.HTTPError as error:
            raise ApiDown(f"{self.url} cannot be reached ({type(error).__name__})") from None
        self._learn_clock(response)
        if response.is_success:
            return read(kind, response.content)
        raise _error(self.url, response)

    def _learn_clock(self, response: httpx.Response) -> None:
        try:
            theirs = parsedate_to_datetime(response.headers.get("date", ""))
        except ValueError:
            return  # no date, so nothing to learn
        ahead_s = (theirs - datetime.now(UTC)).total_seconds()
        self.clock_ahead_s = ahead_s if abs(ahead_s) > 2 else 0.0  # the header has whole seconds


def _error(url: str, response: httpx.Response) -> ApiError:
    said = _detail(response)
    match response.status_code:
        case 404:
            return NotFound(said or "not found")
        case 409:
            return Conflict(said or "somebody changed it first")
        case 401 | 403:
            return Refused(f"{url} does not accept this dashboard's token; check PARAMEDIC_OPERATOR_TOKEN")
        case status if status >= 500:
            return ApiDown(f"{url} answers {status}{f': {said}' if said else ''}")
        case status:
            return Refused(said or f"{url} refused it with {status}")


def _detail(response: httpx.Response) -> str:
    try:
        problem = read(Problem, response.content)
    except BadAnswer:
        return ""  # a proxy's HTML says nothing to a person
    return problem.detail or problem.title
