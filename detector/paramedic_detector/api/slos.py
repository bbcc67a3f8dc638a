"""Routes about objectives: how each stands, how fast its budget burns, and what it counted day by day."""

from typing import Annotated, Literal, Self

from fastapi import APIRouter, Depends, HTTPException
from fastapi import Path as InPath
from pydantic import BaseModel, Field

from paramedic_detector.api.auth import Doorkeeper, Scope
from paramedic_detector.api.backend import Backend
from paramedic_detector.slo.burn import Burn
from paramedic_detector.slo.judge import Standing, State, by_name
from paramedic_detector.slo.objectives import DAY_S

LINE_POINTS = 60  # steps of the budget's line


class BurnOut(BaseModel):
    rule: str = Field(description='"14.4x over 1 h"')
    pages: bool = Field(description="somebody is to be woken; else it can wait")
    factor: float
    long: float | None = Field(description="burn rate over the long window; null without calls")
    short: float | None
    broken: bool

    @classmethod
    def of(cls, burn: Burn, broken: bool) -> Self:
        rule = burn.rule
        return cls(
            rule=rule.name, pages=rule.pages, factor=rule.factor, long=burn.long, short=burn.short, broken=broken
        )


class SloOut(BaseModel):
    name: str
    title: str
    service: str
    series: str
    measure: Literal["useful", "worked", "duration", "first_token"]
    target: float = Field(description="share of good calls, 0 to 1")
    at_most_s: float | None
    window_s: float
    source: str = Field(description='its file; "" for one that paramedic made up')
    state: State
    achieved: float | None = Field(description="share of good calls in the window; null without calls")
    budget_left: float | None = Field(description="share of the budget; below 0 when overspent")
    coverage: float = Field(description="share of the window that was measured")
    gone_in_s: float | None = Field(description="at the pace of the last hour; null while it does not shrink")
    burns: list[BurnOut]

    @classmethod
    def of(cls, standing: Standing) -> Self:
        objective, budget = standing.objective, standing.budget
        broken = {burn.rule.name for burn in standing.broken}
        return cls(
            name=objective.name,
            title=objective.title,
            service=objective.service,
            series=str(objective.series),
            measure=objective.measure.value,
            target=objective.target,
            at_most_s=objective.at_most_s,
            window_s=objective.window_s,
            source=objective.source,
            state=standing.state,
            achieved=budget.achieved,
            budget_left=budget.left,
            coverage=budget.coverage,
            gone_in_s=budget.gone_in_s,
            burns=[BurnOut.of(burn, burn.rule.name in broken) for burn in standing.burns],
        )


class SpentOut(BaseModel):
    at: float = Field(description="unix seconds, begin of the step")
    good: float
    total: float
    seconds: float = Field(description="of the step that were measured; 0 is no data, not 100 %")


class SloDetail(SloOut):
    line: list[SpentOut] = Field(description="what was counted over the window, oldest first")


class Slos(BaseModel):
    items: list[SloOut] = Field(description="the worst first")


def router(backend: Backend, door: Doorkeeper) -> APIRouter:
    routes = APIRouter(tags=["objectives"], prefix="/api/v1/slos", dependencies=[Depends(door.needs(Scope.READ))])

    @routes.get("")
    def slos() -> Slos:
        """Every objective, and how it stands."""
        with backend.vitals.hands_on():
            return Slos(items=[SloOut.of(standing) for standing in by_name(dict(backend.objectives.standings))])

    @routes.get("/{name}")
    def slo(name: Annotated[str, InPath(max_length=100)]) -> SloDetail:
        """One objective, with what it counted over its window."""
        with backend.vitals.hands_on() as table:
            standing = backend.objectives.standings.get(name)
            if standing is None:
                known = ", ".join(sorted(backend.objectives.standings)) or "none yet"
                raise HTTPException(404, f"there is no objective {name!r}; there are: {known}")
            between, now = backend.objectives.between(name, table), backend.clock()
            step_s = max(standing.objective.window_s / LINE_POINTS, DAY_S / 24)
            begins = [now - step_s * (LINE_POINTS - at) for at in range(LINE_POINTS)]
            line = [(begin, between(begin, begin + step_s)) for begin in begins]
        spent = [SpentOut(at=at, good=one.good, total=one.total, seconds=one.seconds) for at, one in line]
        return SloDetail(**SloOut.of(standing).model_dump(), line=spent)

    return routes
