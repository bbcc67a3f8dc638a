"""The backends of the scenarios: they count who reaches them, and fail as real ones do."""

import asyncio
import time
from collections.abc import AsyncIterator

from sdk_libraries import END

FOR_EVER_S = 3600.0
ANSWER = "a whole answer"


class StatusError(Exception):
    """A bad status, with the shape that the clients of providers give it."""

    def __init__(self, status: int, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"status {status}")
        self.status_code, self.headers = status, dict(headers or {})
        self.response = self


class Backend:
    """Answers, until it is told to fail, to hang or to wait for company.

    Attributes:
        reached: Calls that arrived.
        at: When each arrived.
        inside: Calls that are in it now, and `most` at once.
        fails_of_five: While it has an error: how many of five calls get it.
    """

    def __init__(self) -> None:
        self.reached = self.inside = self.most = 0
        self.at: list[float] = []
        self.error: Exception | None = None
        self.errors_left = -1  # after so many it is well again; below 0 never
        self.fails_of_five = 5
        self.takes_s = 0.0
        self.hangs = False
        self.company = 0  # waits, for a while, until so many are inside
        self.answer = ANSWER

    async def __call__(self) -> str:
        self._enters()
        try:
            if self.company:
                await self._wait_for_company()
            if self.hangs:
                await asyncio.sleep(FOR_EVER_S)
            if self.takes_s:
                await asyncio.sleep(self.takes_s)
            self._fails()
            return self.answer
        finally:
            self.inside -= 1

    def blocking(self) -> str:
        """The same for a thread."""
        self._enters()
        try:
            time.sleep(FOR_EVER_S if self.hangs else self.takes_s)
            self._fails()
            return self.answer
        finally:
            self.inside -= 1

    async def _wait_for_company(self) -> None:
        for _ in range(100):
            if self.most >= self.company:
                return
            await asyncio.sleep(0.005)

    def _enters(self) -> None:
        self.at.append(time.monotonic())
        self.reached += 1
        self.inside += 1
        self.most = max(self.most, self.inside)

    def _fails(self) -> None:
        if self.error is not None and self.errors_left != 0 and self.reached % 5 < self.fails_of_five:
            self.errors_left -= 1
            raise self.error


TOKENS = ["one ", "two ", "three ", "four ", "five"]


class Source:
    """A stream of tokens that ends with `END`, unless it is told otherwise.

    Attributes:
        reached: Streams begun.
        gives: Tokens before it goes wrong; None when it does not.
        wrong: What happens then: "error", "silence" (it ends as if it were complete) or "hang".
        times: How often it goes wrong before it is well again.
        each_s: Seconds before each token.
        endless: Whether it never comes to its end.
    """

    def __init__(self, *, gives: int | None = None, wrong: str = "error", times: int = -1) -> None:
        self.reached, self.gives, self.wrong, self.times = 0, gives, wrong, times
        self.each_s, self.endless = 0.0, False
        self.tokens = TOKENS

    async def __call__(self) -> AsyncIterator[str]:
        self.reached += 1
        wrong = self.gives is not None and self.times != 0
        self.times -= 1
        given = 0
        while self.endless or given < len(self.tokens):
            if wrong and given == self.gives:
                if self.wrong == "error":
                    raise ConnectionResetError("the connection was reset")
                if self.wrong == "hang":
                    await asyncio.sleep(FOR_EVER_S)
                return
            if self.each_s:
                await asyncio.sleep(self.each_s)
            yield self.tokens[given % len(self.tokens)]
            given += 1
        yield END


def light() -> Source:
    """Another model, in good health."""
    source = Source()
    source.tokens = ["from ", "the ", "light ", "model"]
    return source


async def light_answer() -> str:
    return "from the light model"
