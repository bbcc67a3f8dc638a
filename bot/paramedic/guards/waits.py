"""How the SDK waits before it makes a call again: the seam through which a test has it not wait at all."""

import asyncio
import time
from collections.abc import Awaitable, Callable


class Waits:
    """Attributes:
    asleep: Waits without keeping the event loop.
    sleep: Waits.
    """

    def __init__(self) -> None:
        self.asleep: Callable[[float], Awaitable[object]] = asyncio.sleep
        self.sleep: Callable[[float], object] = time.sleep


waits = Waits()
