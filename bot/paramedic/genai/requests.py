"""What a request to a language model asks for: read from its path, its body and the address that it goes to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from paramedic.contract.attributes import GENAI_OPERATION, GENAI_PROVIDER, GENAI_REQUEST_MODEL

SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"

_PORTS = {"https": 443, "http": 80}
_OPERATIONS = {
    "/chat/completions": "chat",
    "/responses": "chat",
    "/messages": "chat",
    "/completions": "text_completion",
    "/complete": "text_completion",
    "/embeddings": "embeddings",
}
# Where a request says how many tokens the answer may have; the first is used when it does not say.
_LIMITS = {
    "/chat/completions": ("max_completion_tokens", "max_tokens"),
    "/responses": ("max_output_tokens",),
    "/messages": ("max_tokens",),
    "/completions": ("max_tokens",),
    "/complete": ("max_tokens_to_sample",),
}
_NUMBERS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
}
# By the end of the host; else the provider is the one whose client it is.
_PROVIDERS = {
    "openai.azure.com": "azure.ai.openai",
    "services.ai.azure.com": "azure.ai.inference",
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "api.groq.com": "groq",
    "api.deepseek.com": "deepseek",
    "api.mistral.ai": "mistral_ai",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x_ai",
    "api.moonshot.ai": "moonshot_ai",
    "api.cohere.ai": "cohere",
    "api.cohere.com": "cohere",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "amazonaws.com": "aws.bedrock",
    "openrouter.ai": "openrouter",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to a language model.

    Attributes:
        operation: "chat", "text_completion" or "embeddings".
        model: Asked for.
        peer: Whom it goes to: a known provider by its name, anybody else by host and port.
        limits: Names of the fields that bound the answer's tokens.
        body: As it was given; never changed.
        attributes: As they stand on the span from its beginning.
    """

    operation: str
    model: str
    peer: str
    limits: tuple[str, ...]
    body: Mapping[str, Any]
    attributes: dict[str, str | int | float | bool] = field(repr=False)

    @property
    def span_name(self) -> str:
        return f"{self.operation} {self.model}" if self.model else self.operation

    def capped(self, most: int) -> dict[str, Any] | None:
        """The body with at most so many tokens asked for; None when it asks for no more."""
        told = [name for name in self.limits if isinstance(self.body.get(name), int)]
        if not self.limits or (told and all(self.body[name] <= most for name in told)):
            return None
        names = told or [self._own_limit]
        return {**self.body, **{name: min(most, self.body.get(name) or most) for name in names}}

    @property
    def _own_limit(self) -> str:
        """The name that a server surely knows: only OpenAI's own know the newer one of chat completions."""
        return self.limits[0] if self.peer in ("openai", "azure.ai.openai") else self.limits[-1]


def read_request(path: str, body: Any, base_url: str, vendor: str) -> Asked | None:
    """What is asked for; None when it is no question to a language model.

    Args:
        path: Of the request, below the client's base address.
        body: Its JSON.
        base_url: Of the client.
        vendor: Whose client it is: "openai" or "anthropic".
    """
    path = path.partition("?")[0].rstrip("/").removeprefix("/v1")
    operation = _OPERATIONS.get(path)
    if operation is None or not isinstance(body, Mapping):
        return None
    model = body.get("model") if isinstance(body.get("model"), str) else ""
    where = _where(base_url)
    known = provider_of(str(where.get(SERVER_ADDRESS, "")))
    attributes: dict[str, str | int | float | bool] = {
        GENAI_OPERATION: operation,
        GENAI_PROVIDER: known or vendor,
        **({GENAI_REQUEST_MODEL: model} if model else {}),
        **where,
        **_parameters(body, _LIMITS.get(path, ())),
    }
    return Asked(operation, model or "", known or _address(where) or vendor, _LIMITS.get(path, ()), body, attributes)


def provider_of(host: str) -> str:
    """The provider that a host belongs to, by its GenAI name; empty when it is none of the known ones."""
    return next((name for end, name in _PROVIDERS.items() if host == end or host.endswith(f".{end}")), "")


def _where(base_url: str) -> dict[str, str | int]:
    url = urlsplit(base_url)
    if not url.hostname:
        return {}
    return {SERVER_ADDRESS: url.hostname, SERVER_PORT: url.port or _PORTS.get(url.scheme, 443)}


def _address(where: Mapping[str, str | int]) -> str:
    """Host, and the port where it is not the usual one."""
    host, port = where.get(SERVER_ADDRESS, ""), where.get(SERVER_PORT)
    return str(host) if port in _PORTS.values() or not host else f"{host}:{port}"


def _parameters(body: Mapping[str, Any], limits: tuple[str, ...]) -> dict[str, int | float | bool]:
    told: dict[str, int | float | bool] = {}
    for name in limits:
        if isinstance(body.get(name), int):
            told["gen_ai.request.max_tokens"] = body[name]
    for name, attribute in _NUMBERS.items():
        if isinstance(body.get(name), int | float):
            told[attribute] = float(body[name])
    if body.get("stream") is True:
        told["gen_ai.request.stream"] = True
    return told
