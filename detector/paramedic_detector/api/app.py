"""The HTTP API: routers on a backend, problem+json for every error, OpenAPI at /docs.

Requests that touch the store are plain functions and run in threads; the command stream alone lives on the
event loop and never waits for anything but its queue.
"""

from importlib.metadata import version

from fastapi import FastAPI

from paramedic_detector.api import actions, alerts, commands, incidents, problems, slos, system
from paramedic_detector.api.auth import Doorkeeper
from paramedic_detector.api.backend import Backend
from paramedic_detector.api.schemas import Problem


def create_app(backend: Backend, master: str) -> FastAPI:
    """The application.

    Args:
        master: The platform's master key; the tokens are derived from it.
    """
    door = Doorkeeper(master)
    app = FastAPI(
        title="paramedic",
        version=version("paramedic"),
        description="Incidents, actions and commands of one platform. Errors are problem+json (RFC 9457).",
        responses={"default": {"model": Problem, "description": "any error"}},
    )
    problems.install(app)
    app.include_router(system.router(backend, door))
    app.include_router(incidents.router(backend, door))
    app.include_router(actions.router(backend, door))
    app.include_router(slos.router(backend, door))
    app.include_router(alerts.router(backend, door))
    app.include_router(commands.router(backend.hub, door))
    return app
