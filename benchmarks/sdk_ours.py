"""How paramedic is driven in the scenarios: by its public names, with settings that a team would choose."""

import itertools
from collections.abc import Callable
from typing import Any, ClassVar

from sdk_libraries import END, Ask, Forced, Library, Limited, Stream

import paramedic
from paramedic.testing import commands

_numbers = itertools.count(1)


def _guard(**settings: Any) -> paramedic.Guard:
    """A guard of a dependency that no other scenario has hurt: its guards share a budget of retries."""
    return paramedic.Guard("llm", peer=f"provider-{next(_numbers)}", **settings)


class Paramedic(Library):
    name, package = "paramedic", "paramedic"
    stream_deadlines = True
    note: ClassVar = {"forced": "apart from the probing share, 1 % unless the command asks for more"}

    def breaker(self, ask: Ask, *, failures: int, rest_s: float) -> Ask:
        return _guard(breaker=paramedic.Breaker(in_a_row=failures, rest_s=rest_s))(ask)

    def bounded(self, ask: Ask, *, failures: int, deadline_s: float, fallback: Ask) -> Ask:
        breaker = paramedic.Breaker(in_a_row=failures, rest_s=60)
        return _guard(breaker=breaker, deadline_s=deadline_s, fallbacks=[fallback])(ask)

    def guarded(self, ask: Ask, *, failures: int, limit: int) -> Ask:
        breaker = paramedic.Breaker(in_a_row=failures, rest_s=60)
        return _guard(breaker=breaker, max_concurrent=limit, retry=2, deadline_s=30)(ask)

    def limited(self, ask: Ask, *, limit: int, wait_s: float) -> Limited:
        return Limited(_guard(max_concurrent=limit)(ask), (paramedic.BulkheadFull,))

    def retrying(self, ask: Ask, *, attempts: int, base_s: float) -> Ask:
        return _guard(retry=paramedic.Retry(attempts=attempts, base_s=base_s))(ask)

    def stream(self, source: Stream, *, fallback: Stream, idle_s: float, deadline_s: float) -> Stream:
        guard = _guard(
            first_token_s=idle_s,
            idle_s=idle_s,
            deadline_s=deadline_s,
            ends=lambda chunk: chunk == END,
            fallbacks=[fallback],
        )
        return guard(source)

    def forced(self, ask: Ask, *, rest_s: float) -> Forced:
        guard = _guard(breaker=paramedic.Breaker(rest_s=rest_s), draw=lambda: 0.999)

        def close(seconds: float) -> None:
            with commands() as platform:
                platform.clear_all = lambda: None  # it falls silent: nobody takes its command back
                platform.send("trip_breaker", peer=guard.peer, ttl_s=seconds)

        return Forced(guard(ask), close, lasts=True)

    def checked(self, ask: Ask, *, good: Callable[[str], bool], fallback: Ask) -> Ask:
        return _guard(check=lambda answer: None if good(answer) else "empty", fallbacks=[fallback])(ask)

    def forkable(self, blocking: Callable[[], str], awaited: Ask) -> Callable[[], str]:
        return _guard(max_concurrent=1, deadline_s=30)(blocking)
