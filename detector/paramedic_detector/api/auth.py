"""Who may do what: the operator's token reads and operates, a bot's token listens to its own commands.

    Authorization: Bearer pmo.…          scopes read, operate, ingest
    Authorization: Bearer pmi.…          scope ingest: what other systems send in
    Authorization: Bearer pmb.SERVICE.…  scope command, for that service alone

All checks take the same time whether the first or the last character is wrong.
"""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from fastapi import HTTPException, Request

from paramedic.contract.keys import PREFIX, bearer, ingest_token, operator_token, service_secret

WHERE = "send `Authorization: Bearer TOKEN`"


class Scope(StrEnum):
    READ = "read"
    OPERATE = "operate"
    INGEST = "ingest"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is."""

    scopes: frozenset[Scope]
    service: str = ""  # of a bot


class Doorkeeper:
    """Knows the tokens that the master key makes."""

    def __init__(self, master: str) -> None:
        self._master = master
        self._operator, self._sender = operator_token(master), ingest_token(master)

    def caller(self, token: str) -> Caller | None:
        """Who shows this token; None when nobody of ours."""
        if hmac.compare_digest(token.encode(), self._operator.encode()):
            return Caller(frozenset({Scope.READ, Scope.OPERATE, Scope.INGEST}))
        if hmac.compare_digest(token.encode(), self._sender.encode()):
            return Caller(frozenset({Scope.INGEST}))
        parts = token.split(".")
        if len(parts) < 3 or parts[0] != PREFIX:
            return None
        service, shown = ".".join(parts[1:-1]), parts[-1]
        right = bearer(service_secret(self._master, service))
        return (
            Caller(frozenset({Scope.COMMAND}), service) if hmac.compare_digest(shown.encode(), right.encode()) else None
        )

    def needs(self, scope: Scope) -> Callable[[Request], Awaitable[Caller]]:
        """A dependency that lets only callers with this scope through."""

        async def check(request: Request) -> Caller:
            kind, _, token = request.headers.get("authorization", "").partition(" ")
            if kind.lower() != "bearer" or not token:
                raise HTTPException(401, f"this needs a token: {WHERE}", {"WWW-Authenticate": "Bearer"})
            caller = self.caller(token.strip())
            if caller is None:
                raise HTTPException(401, "the token is not one of this platform", {"WWW-Authenticate": "Bearer"})
            if scope not in caller.scopes:
                raise HTTPException(403, f"this token may not {scope}")
            return caller

        return check
