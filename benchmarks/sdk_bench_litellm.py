"""What a call through LiteLLM's Router costs when the provider answers at once, out of its own mock."""

from typing import Any

import litellm
from sdk_measure import ROUTED, Case

ASKED = [{"role": "user", "content": "hello"}]


def cases() -> list[Case]:
    litellm.suppress_debug_info = True
    where = {"model": "openai/m", "api_key": "none", "mock_response": "hello"}
    router = litellm.Router(model_list=[{"model_name": "llm", "litellm_params": where} for _ in range(2)])

    async def routed() -> Any:
        return await router.acompletion("llm", ASKED)

    return [Case("LiteLLM Router, its mock answer", routed, peer=True, beside=ROUTED, share=0.01)]
