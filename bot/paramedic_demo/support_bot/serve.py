"""Runs an app of the demo on 127.0.0.1 until SIGTERM: quiet, and with time for what is being answered."""

from typing import Any

import uvicorn

KEEP_ALIVE_S = 75  # longer than any client of the demo keeps an idle connection


def serve(app: Any, port: int) -> None:
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        log_level="warning",
        access_log=False,
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=3,
    )
