"""The platform's API from a terminal: one sentence when it cannot be had."""

from collections.abc import Mapping
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from paramedic_cli.credentials import find_api
from paramedic_cli.errors import UserError
from paramedic_detector.api.schemas import ActionOut, IncidentDetail, IncidentSummary, Overview
from paramedic_detector.api.slos import SloDetail, SloOut, Slos

Model = TypeVar("Model", bound=BaseModel)


class Api:
    """A client of /api/v1; use as a context manager.

    Every method raises `UserError` when the API does not answer, or with what it said when it refuses.
    """

    def __init__(self, url: str, token: str, *, timeout_s: float = 10.0) -> None:
        self.url = url
        self._http = httpx.Client(
            base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=timeout_s, trust_env=False
        )

    @classmethod
    def found(cls, env: Mapping[str, str]) -> Self:
        return cls(*find_api(env))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def overview(self) -> Overview:
        return Overview.model_validate(self._ask("GET", "/overview"))

    def incidents(self, state: str | None = None, limit: int = 200) -> list[IncidentSummary]:
        """The newest incidents first, over as many pages as it takes to have `limit` of them."""
        return self._pages("/incidents", {"state": state}, IncidentSummary, limit)

    def incident(self, incident_id: str) -> IncidentDetail:
        return IncidentDetail.model_validate(self._ask("GET", f"/incidents/{incident_id}"))

    def actions(self, *, in_force: bool = False, limit: int = 200) -> list[ActionOut]:
        return self._pages("/actions", {"in_force": "true" if in_force else None}, ActionOut, limit)

    def slos(self) -> list[SloOut]:
        """The worst first."""
        return Slos.model_validate(self._ask("GET", "/slos")).items

    def slo(self, name: str) -> SloDetail:
        return SloDetail.model_validate(self._ask("GET", f"/slos/{quote(name, safe='')}"))

    def write_incident(self, incident_id: str, verb: str, *, by: str, note: str = "") -> IncidentSummary:
        """Acknowledge or resolve what is there now."""
        version = self.incident(incident_id).version
        body = {"version": version, "by": by, "note": note}
        return IncidentSummary.model_validate(self._ask("POST", f"/incidents/{incident_id}/{verb}", body=body))

    def write_action(self, action_id: str, verb: str, *, by: str, note: str = "") -> ActionOut:
        """Approve, reject or revert what is there now.

        Raises:
            UserError: There is no such action.
        """
        action = next((a for a in self.actions(limit=10_000) if a.id == action_id), None)
        if action is None:
            raise UserError(f"there is no action {action_id!r}; `paramedic actions list` shows them")
        body = {"version": action.version, "by": by, "note": note}
        return ActionOut.model_validate(self._ask("POST", f"/actions/{action_id}/{verb}", body=body))

    def stop(self, *, on: bool, by: str) -> None:
        self._ask("POST", "/stop", body={"on": on, "by": by})

    def _pages(self, path: str, query: Mapping[str, str | None], model: type[Model], limit: int) -> list[Model]:
        found: list[Model] = []
        cursor: str | None = None
        while len(found) < limit:
            page = self._ask("GET", path, query={**query, "limit": str(min(200, limit)), "cursor": cursor})
            found += [model.model_validate(item) for item in page["items"]]
            cursor = page.get("next")
            if not cursor:
                break
        return found[:limit]

    def _ask(
        self, verb: str, path: str, *, query: Mapping[str, str | None] | None = None, body: Any | None = None
    ) -> Any:
        parameters = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            answer = self._http.request(verb, path, params=parameters, json=body)
        except httpx.TimeoutException:
            raise UserError(f"the API at {self.url} took too long; `paramedic doctor` looks into it") from None
        except httpx.HTTPError as error:
            raise UserError(
                f"the API at {self.url} does not answer ({error}); start it with `paramedic up`, "
                "or name another with PARAMEDIC_URL"
            ) from None
        if answer.is_error:
            raise UserError(f"the API at {self.url} says {answer.status_code}: {_detail(answer)}")
        return answer.json() if answer.content else None


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200] or answer.reason_phrase
