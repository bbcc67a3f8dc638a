"""Routes of what others send in: alerts of an Alertmanager, and changes made by people and pipelines.

POST /api/v1/alerts   Alertmanager's webhook, version 4; which labels name what may stand in the address
POST /api/v1/changes  a deploy, a setting, a flag: shown with the incidents that follow it
"""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, Field

from paramedic_detector.api.auth import Doorkeeper, Scope
from paramedic_detector.api.backend import Backend
from paramedic_detector.desk_views import moment
from paramedic_detector.incidents.changes import Change
from paramedic_detector.incidents.outside import SILENT_S, LabelNames, OutsideAlert, outside_alert
from paramedic_detector.store import context

MOST_ALERTS = 1000  # in one post
FUTURE_S = 300.0  # a sender's clock may be off by so much
USUAL = LabelNames()
SERVICE, PEER, KIND, SEVERITY = (",".join(names) for names in (USUAL.service, USUAL.peer, USUAL.kind, USUAL.severity))
Labels = dict[Annotated[str, Field(max_length=200)], Annotated[str, Field(max_length=2000)]]
Names = Annotated[str, Query(max_length=200, description="names of labels, with commas between; the first one counts")]
Text = Annotated[str, Field(max_length=2000)]
Name = Annotated[str, Field(max_length=200)]


class AlertIn(BaseModel):
    """One alert of the webhook; fields that are not named here are left alone."""

    status: Literal["firing", "resolved"]
    labels: Labels
    annotations: Labels = {}
    startsAt: datetime
    endsAt: datetime | None = None
    fingerprint: Name = ""


class WebhookIn(BaseModel):
    """Alertmanager's webhook, version 4."""

    version: Literal["4"] = "4"
    alerts: list[AlertIn] = Field(max_length=MOST_ALERTS)


class Taken(BaseModel):
    firing: int
    resolved: int


class OutsideOut(BaseModel):
    fingerprint: str
    name: str
    service: str
    peer: str
    severity: str
    summary: str
    labels: dict[str, str]
    starts_at: datetime
    seen_at: datetime = Field(description="when it was last said to fire")


class OutsideList(BaseModel):
    items: list[OutsideOut]


class ChangeIn(BaseModel):
    kind: Annotated[str, Field(min_length=1, max_length=40, examples=["deploy", "config", "flag"])]
    text: Annotated[str, Field(min_length=1, max_length=2000)] = Field(description="one sentence")
    service: Name = Field(default="", description="empty: everywhere")
    version: Name = ""
    by: Annotated[str, Field(max_length=100)] = ""
    at: datetime | None = Field(default=None, description="when it was made; now when left out")


class ChangeOut(ChangeIn):
    at: datetime


class ChangeList(BaseModel):
    items: list[ChangeOut]


def router(backend: Backend, door: Doorkeeper) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["alerts and changes"])
    read, send = [Depends(door.needs(Scope.READ))], [Depends(door.needs(Scope.INGEST))]

    @routes.post("/alerts", dependencies=send)
    def take(
        webhook: WebhookIn,
        service: Names = SERVICE,
        peer: Names = PEER,
        kind: Names = KIND,
        severity: Names = SEVERITY,
    ) -> Taken:
        """Alerts of an Alertmanager; they open, join and end incidents as our own do."""
        now = backend.clock()
        names = LabelNames(*(tuple(n.strip() for n in one.split(",")) for one in (service, peer, kind, severity)))
        found = [_outside(one, names, now) for one in webhook.alerts]
        with backend.store.writing() as session:
            context.save_outside(session, found, now)
        firing = sum(one.ends_at is None for one in found)
        return Taken(firing=firing, resolved=len(found) - firing)

    @routes.get("/alerts", dependencies=read)
    def firing() -> OutsideList:
        """Alerts of other systems that fire now."""
        with backend.store.reading() as session:
            rows = context.firing(session, since=backend.clock() - SILENT_S)
        return OutsideList(
            items=[
                OutsideOut.model_validate(
                    row.model_dump() | {"starts_at": moment(row.starts_at), "seen_at": moment(row.seen_at)}
                )
                for row in rows
            ]
        )

    @routes.post("/changes", dependencies=send)
    def changed(change: ChangeIn) -> ChangeOut:
        """Say that something was changed on purpose."""
        now = backend.clock()
        at = _unix(change.at, now) if change.at is not None else now
        kept = Change(at, change.kind, change.service, change.text, version=change.version, by=change.by)
        with backend.store.writing() as session:
            context.save_changes(session, [kept])
        return ChangeOut.model_validate(change.model_dump() | {"at": moment(at)})

    @routes.get("/changes", dependencies=read)
    def changes(hours: Annotated[float, Query(gt=0, le=24 * 90)] = 24.0) -> ChangeList:
        """What was changed lately, the newest first."""
        with backend.store.reading() as session:
            found = context.changes(session, since=backend.clock() - hours * 3600)
        return ChangeList(
            items=[
                ChangeOut(
                    kind=one.kind, text=one.text, service=one.service, version=one.version, by=one.by, at=moment(one.at)
                )
                for one in found
            ]
        )

    return routes


def _outside(alert: AlertIn, names: LabelNames, now: float) -> OutsideAlert:
    over = alert.status == "resolved"
    return outside_alert(
        alert.labels,
        alert.annotations,
        starts_at=min(_unix(alert.startsAt, now), now),
        ends_at=min(_unix(alert.endsAt, now) if alert.endsAt else now, now) if over else None,
        fingerprint=alert.fingerprint,
        names=names,
    )


def _unix(said: datetime, now: float) -> float:
    """Raises: HTTPException, for a moment that is yet to come."""
    if said.tzinfo is None:
        raise HTTPException(422, f"{said.isoformat()} has no time zone; write it as 2026-01-31T12:05:00Z")
    if said.timestamp() > now + FUTURE_S:
        raise HTTPException(422, f"{said.isoformat()} is yet to come; the sender's clock, or ours, is wrong")
    return said.timestamp()
