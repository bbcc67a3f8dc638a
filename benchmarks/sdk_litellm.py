"""How LiteLLM's Router is driven: as a bot would, against a provider on a local port."""

import itertools
import os
from collections.abc import Callable
from typing import Any, ClassVar

os.environ.update({"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION"})  # nothing from the network

import litellm
import litellm.constants
from sdk_backends import Source, light_answer
from sdk_http import Provider
from sdk_libraries import END, Ask, Library, Limited, Stream

_names = itertools.count(1)
_ASKED = [{"role": "user", "content": "hello"}]


class LiteLLM(Library):
    """Its cooldown of a deployment is what comes nearest to a breaker; a fallback is another group of models."""

    name, package = "LiteLLM Router", "litellm"
    unit_s, retry_after_s = 0.3, 2
    stream_deadlines = True
    note: ClassVar = {
        "trickle": "`LITELLM_MAX_STREAMING_DURATION_SECONDS`, one for the whole process",
        "stampede": "a cooldown ends for all at once",
        "fork": "not tried: what it counts, it counts within an event loop",
    }

    async def begin(self) -> None:
        litellm.suppress_debug_info = True
        self._provider = Provider()
        await self._provider.open()
        warm = self._router({"warm": light_answer}, num_retries=0)
        await _asking(warm, "warm")()

    async def end(self) -> None:
        self._provider.close()

    def breaker(self, ask: Ask, *, failures: int, rest_s: float) -> Ask:
        router = self._router({"llm": ask}, num_retries=0, allowed_fails=failures - 1, cooldown_time=rest_s)
        return _asking(router, "llm")

    def bounded(self, ask: Ask, *, failures: int, deadline_s: float, fallback: Ask) -> Ask:
        router = self._router(
            {"llm": ask, "light": fallback},
            num_retries=0,
            timeout=deadline_s,
            allowed_fails=failures - 1,
            cooldown_time=60,
            fallbacks=[{"llm": ["light"]}],
        )
        return _asking(router, "llm")

    def guarded(self, ask: Ask, *, failures: int, limit: int) -> Ask:
        router = self._router(
            {"llm": ask},
            num_retries=1,
            timeout=60,
            allowed_fails=failures - 1,
            cooldown_time=60,
            default_max_parallel_requests=limit,
        )
        return _asking(router, "llm")

    def retrying(self, ask: Ask, *, attempts: int, base_s: float) -> Ask:
        router = self._router({"llm": ask}, num_retries=attempts - 1, cooldown_time=60, allowed_fails=4)
        return _asking(router, "llm")

    def limited(self, ask: Ask, *, limit: int, wait_s: float) -> Limited:
        router = self._router({"llm": ask}, num_retries=0, default_max_parallel_requests=limit)
        return Limited(_asking(router, "llm"))

    def patient(self, ask: Ask, *, attempts: int, base_s: float) -> Ask:
        return _asking(self._router({"llm": ask}, num_retries=attempts - 1), "llm")

    def stream(self, source: Stream, *, fallback: Stream, idle_s: float, deadline_s: float) -> Stream:
        litellm.constants.LITELLM_MAX_STREAMING_DURATION_SECONDS = deadline_s
        router = self._router(
            {"llm": source, "light": fallback},
            num_retries=0,
            stream_timeout=idle_s,
            fallbacks=[{"llm": ["light"]}],
        )

        async def opened() -> Any:
            answer: Any = await router.acompletion("llm", _ASKED, stream=True)
            async for chunk in answer:
                if chunk.choices and chunk.choices[0].delta.content:
                    yield chunk.choices[0].delta.content
            yield END

        return opened

    def _router(self, backends: dict[str, Any], **settings: Any) -> litellm.Router:
        return litellm.Router(model_list=[self._deployment(*item) for item in backends.items()], **settings)

    def _deployment(self, group: str, backend: Any) -> dict[str, Any]:
        name = f"{group}-{next(_names)}"
        serve: Callable[..., None] = self._provider.streams if isinstance(backend, Source) else self._provider.answers
        serve(name, backend)
        where = {"model": "openai/m", "api_base": self._provider.url(name), "api_key": "none", "max_retries": 0}
        return {"model_name": group, "litellm_params": where}


def _asking(router: litellm.Router, group: str) -> Ask:
    async def ask() -> str:
        answer: Any = await router.acompletion(group, _ASKED)
        return str(answer.choices[0].message.content)

    return ask
