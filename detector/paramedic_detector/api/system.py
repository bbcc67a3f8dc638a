"""Routes about the platform itself: is it well, what is going on, and the global stop."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from paramedic_detector.api.auth import Doorkeeper, Scope
from paramedic_detector.api.backend import Backend
from paramedic_detector.api.problems import problem
from paramedic_detector.api.schemas import Overview, Version

SERIES = 500  # names at most in one answer


class Stop(BaseModel):
    on: bool = Field(description="true: take everything back and only watch")
    by: str = Field(min_length=1, max_length=100)


class EdgeOut(BaseModel):
    caller: str
    callee: str
    zone: str = Field(description="the callee's")
    calls_per_s: float
    error_ratio: float | None = Field(description="None without calls")


class Topology(BaseModel):
    edges: list[EdgeOut]


class SeriesNames(BaseModel):
    items: list[str]


def router(backend: Backend, door: Doorkeeper) -> APIRouter:
    routes = APIRouter(tags=["system"])
    read, operate = [Depends(door.needs(Scope.READ))], [Depends(door.needs(Scope.OPERATE))]

    @routes.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @routes.get("/readyz")
    async def readyz() -> JSONResponse:
        """It does its work: 503 says why not."""
        trouble = backend.not_ready()
        return problem(503, trouble) if trouble else JSONResponse({"status": "ready"})

    @routes.get("/api/v1/version", dependencies=read)
    def version() -> Version:
        """Cheap to poll: grows whenever a page has something new to show."""
        return backend.version()

    @routes.get("/api/v1/overview", dependencies=read)
    def overview() -> Overview:
        """Everything that the first page shows."""
        return backend.overview()

    @routes.post("/api/v1/stop", dependencies=operate)
    def stop(order: Stop) -> Stop:
        """The global stop: everything in force is taken back, and paramedic only watches until it is off."""
        backend.desk.stop(order.on, order.by)
        return order

    @routes.get("/api/v1/topology", dependencies=read)
    def topology() -> Topology:
        """Who calls whom, as the windows of the last minute show it."""
        return Topology(edges=[EdgeOut.model_validate(edge, from_attributes=True) for edge in backend.vitals.edges()])

    @routes.get("/api/v1/series", dependencies=read)
    def series(
        family: Annotated[str, Query(max_length=20)] = "", q: Annotated[str, Query(max_length=200)] = ""
    ) -> SeriesNames:
        """Names of series that contain `q`."""
        return SeriesNames(items=backend.vitals.series(family, q, SERIES))

    return routes
