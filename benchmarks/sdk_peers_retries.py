"""How libraries of retries are driven: tenacity, stamina."""

from collections.abc import Callable
from typing import Any, ClassVar

import stamina
import tenacity
from sdk_libraries import Ask, Library, Stream, retry_after_of


class Tenacity(Library):
    name, package = "tenacity", "tenacity"
    note: ClassVar = {
        "hang": "`stop_after_delay` bounds retries, not a call",
        "retry_after": "with its `wait_exception` and a function that the team writes",
    }

    def retrying(self, ask: Ask, *, attempts: int, base_s: float) -> Ask:
        return self._made(ask, attempts, tenacity.wait_random_exponential(multiplier=base_s, max=1))

    def patient(self, ask: Ask, *, attempts: int, base_s: float) -> Ask:
        return self._made(ask, attempts, tenacity.wait_exception(lambda error: retry_after_of(error) or base_s))

    def guarded(self, ask: Ask, *, failures: int, limit: int) -> Ask:
        return self.retrying(ask, attempts=2, base_s=0.001)

    def checked(self, ask: Ask, *, good: Callable[[str], bool], fallback: Ask) -> Ask:
        async def instead(state: tenacity.RetryCallState) -> str:
            return await fallback()

        @tenacity.retry(
            stop=tenacity.stop_after_attempt(2),
            retry=tenacity.retry_if_result(lambda answer: not good(answer)),
            retry_error_callback=instead,
        )
        async def call() -> str:
            return await ask()

        return call

    def forkable(self, blocking: Callable[[], str], awaited: Ask) -> Callable[[], str]:
        return tenacity.retry(stop=tenacity.stop_after_attempt(2), reraise=True)(blocking)

    def _made(self, ask: Ask, attempts: int, wait: Any) -> Ask:
        @tenacity.retry(stop=tenacity.stop_after_attempt(attempts), wait=wait, reraise=True)
        async def call() -> str:
            return await ask()

        return call


class Stamina(Library):
    name, package = "stamina", "stamina"
    note: ClassVar = {
        "hang": "its `timeout` bounds retries, not a call",
        "retry_after": "with a backoff hook that the team writes",
    }

    def retrying(self, ask: Ask, *, attempts: int, base_s: float) -> Ask:
        return self._made(ask, Exception, attempts, base_s)

    def patient(self, ask: Ask, *, attempts: int, base_s: float) -> Ask:
        return self._made(ask, lambda error: retry_after_of(error) or True, attempts, base_s)

    def guarded(self, ask: Ask, *, failures: int, limit: int) -> Ask:
        return self.retrying(ask, attempts=2, base_s=0.001)

    def stream(self, source: Stream, *, fallback: Stream, idle_s: float, deadline_s: float) -> Stream:
        @stamina.retry(on=Exception, attempts=3, timeout=deadline_s, wait_initial=0.001, wait_jitter=0.001)
        async def opened() -> Any:
            async for chunk in source():
                yield chunk

        return opened

    def forkable(self, blocking: Callable[[], str], awaited: Ask) -> Callable[[], str]:
        return stamina.retry(on=Exception, attempts=2)(blocking)

    def _made(self, ask: Ask, on: Any, attempts: int, base_s: float) -> Ask:
        @stamina.retry(on=on, attempts=attempts, timeout=None, wait_initial=base_s, wait_max=10, wait_jitter=base_s)
        async def call() -> str:
            return await ask()

        return call
