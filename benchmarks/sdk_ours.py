"""How paramedic is driven in the scenarios: by its public names, with settings that a team would choose."""

from collections.abc import Callable
from typing import Any

from sdk_libraries import END, Ask, Forced, Library, Limited, Stream

import paramedic
from paramedic.testing import commands


class Paramedic(Library):
    name, package = "paramedic", "paramedic"
    stream_deadlines = True

    def breaker(self, ask: Ask, *, failures: int, rest_s: float) -> Ask:
        return paramedic.guard("llm", breaker=paramedic.Breaker(in_a_row=failures, rest_s=rest_s))(ask)

    def bounded(self, ask: Ask, *, failures: int, deadline_s: float, fallback: Ask) -> Ask:
        breaker = paramedic.Breaker(in_a_row=failures, rest_s=60)
        return paramedic.guard("llm", breaker=breaker, deadline_s=deadline_s, fallbacks=[fallback])(ask)

    def guarded(self, ask: Ask, *, failures: int, limit: int) -> Ask:
        breaker = paramedic.Breaker(in_a_row=failures, rest_s=60)
        return paramedic.guard("llm", breaker=breaker, max_concurrent=limit, retry=2, deadline_s=30)(ask)

    def limited(self, ask: Ask, *, limit: int, wait_s: float) -> Limited:
        return Limited(paramedic.guard("llm", max_concurrent=limit)(ask), (paramedic.BulkheadFull,))

    def retrying(self, ask: Ask, *, attempts: int, base_s: float) -> Ask:
        return paramedic.guard("llm", retry=paramedic.Retry(attempts=attempts, base_s=base_s))(ask)

    def stream(self, source: Stream, *, fallback: Stream, idle_s: float, deadline_s: float) -> Stream:
        guard = paramedic.guard(
            "llm",
            first_token_s=idle_s,
            idle_s=idle_s,
            deadline_s=deadline_s,
            ends=lambda chunk: chunk == END,
            fallbacks=[_function(fallback)],
        )
        return guard(_function(source))

    def forced(self, ask: Ask, *, rest_s: float) -> Forced:
        guard = paramedic.Guard("llm", breaker=paramedic.Breaker(rest_s=rest_s), draw=lambda: 0.999)

        def close(seconds: float) -> None:
            with commands() as platform:
                platform.clear_all = lambda: None  # it falls silent: nobody takes its command back
                platform.send("trip_breaker", guard="llm", ttl_s=seconds)

        return Forced(guard(ask), close, lasts=True)

    def checked(self, ask: Ask, *, good: Callable[[str], bool], fallback: Ask) -> Ask:
        return paramedic.guard("llm", check=lambda answer: None if good(answer) else "empty", fallbacks=[fallback])(ask)

    def forkable(self, blocking: Callable[[], str], awaited: Ask) -> Callable[[], str]:
        return paramedic.guard("llm", max_concurrent=1, deadline_s=30)(blocking)


def _function(stream: Any) -> Any:
    """The scenarios' streams are objects; a guard looks at functions."""

    async def opened() -> Any:
        async for chunk in stream():
            yield chunk

    return opened
