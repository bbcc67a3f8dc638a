"""The task that runs now, asked for on every guarded call and therefore cheaply."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

Loop = asyncio.AbstractEventLoop

running_loop = asyncio.get_running_loop
task_of: "Callable[[Loop], asyncio.Task[Any] | None]" = asyncio.current_task
if sys.version_info < (3, 12):  # there it is written in Python, and takes three times as long
    _current = getattr(asyncio.tasks, "_current_tasks", None)
    if isinstance(_current, dict):
        task_of = _current.get
