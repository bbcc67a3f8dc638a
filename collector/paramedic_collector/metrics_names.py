"""Which series a metric belongs to: one thing under old and new names is one series.

    gen_ai.client.inference.usage.input_tokens              --> gen_ai.client.token.usage   {input}
    gen_ai.client.token.usage + gen_ai.token.type=input     --> gen_ai.client.token.usage   {input}
    http.client.duration      + server.address=api.x.com    --> http.client.request.duration{api.x.com}

The name that stays is the one that is deployed today. In braces stands what tells one cause from another; every other
attribute is summed over. When one instrumentation says a thing under both names, the first that came counts.

Source: OpenTelemetry semantic conventions 1.44 and their changelog; GenAI conventions 1.41 and what follows them.
"""

from typing import Final

from paramedic.contract import attributes as contract
from paramedic_collector.columns.keys import STATUS_CODES
from paramedic_collector.metrics_points import Point

MOST_SPLITS: Final = 50  # of one metric of one service; more share {_other}
LONGEST_SPLIT: Final = 80  # characters
OTHER: Final = "_other"
_FORGET_NAME_S: Final = 300  # a name that was not used for this long gives way to the other one
_MOST: Final = 50_000

SAME: Final[dict[str, tuple[str, str]]] = {  # name: (the name of the series, what stands in braces if it is fixed)
    "gen_ai.client.inference.duration": ("gen_ai.client.operation.duration", ""),
    "gen_ai.client.inference.time_to_first_chunk": ("gen_ai.client.operation.time_to_first_chunk", ""),
    "gen_ai.server.time_to_first_token": ("gen_ai.client.operation.time_to_first_chunk", ""),
    "gen_ai.client.inference.time_per_output_chunk": ("gen_ai.client.operation.time_per_output_chunk", ""),
    "gen_ai.client.inference.usage.input_tokens": ("gen_ai.client.token.usage", "input"),
    "gen_ai.client.inference.usage.output_tokens": ("gen_ai.client.token.usage", "output"),
    "gen_ai.client.inference.operation.input_tokens": ("gen_ai.client.token.usage", "input"),
    "gen_ai.client.inference.operation.output_tokens": ("gen_ai.client.token.usage", "output"),
    "gen_ai.client.inference.usage.cache_read.input_tokens": ("gen_ai.client.token.usage", "cache_read"),
    "gen_ai.client.inference.usage.cache_write.input_tokens": ("gen_ai.client.token.usage", "cache_write"),
    "gen_ai.client.inference.usage.reasoning.output_tokens": ("gen_ai.client.token.usage", "reasoning"),
    "http.client.duration": ("http.client.request.duration", ""),
    "http.server.duration": ("http.server.request.duration", ""),
    "http.client.request.size": ("http.client.request.body.size", ""),
    "http.client.response.size": ("http.client.response.body.size", ""),
    "http.server.request.size": ("http.server.request.body.size", ""),
    "http.server.response.size": ("http.server.response.body.size", ""),
    "rpc.client.duration": ("rpc.client.call.duration", ""),
    "rpc.server.duration": ("rpc.server.call.duration", ""),
    "messaging.publish.duration": ("messaging.client.operation.duration", "publish"),
    "messaging.receive.duration": ("messaging.client.operation.duration", "receive"),
    "db.client.connections.usage": ("db.client.connection.count", ""),
    "db.client.connections.pending_requests": ("db.client.connection.pending_requests", ""),
    "db.client.connections.timeouts": ("db.client.connection.timeouts", ""),
    "db.client.connections.use_time": ("db.client.connection.use_time", ""),
    "db.client.connections.wait_time": ("db.client.connection.wait_time", ""),
    "db.client.connections.create_time": ("db.client.connection.create_time", ""),
}
COUNTED_PLAINLY: Final = {"gen_ai.client.token.usage"}  # by newer names: their value is what a histogram calls its sum
_PROVIDER: Final = (contract.GENAI_PROVIDER, "gen_ai.system")
_MODEL: Final = (contract.GENAI_REQUEST_MODEL, contract.GENAI_RESPONSE_MODEL)
_ADDRESS: Final = (contract.PEER, "server.address", "net.peer.name", "http.host")
SPLIT: Final[dict[str, tuple[tuple[str, ...], ...]]] = {  # series: attributes in braces, each under several names
    "gen_ai.client.token.usage": (("gen_ai.token.type",),),
    "gen_ai.client.operation.duration": (_PROVIDER, _MODEL),
    "gen_ai.client.operation.time_to_first_chunk": (_PROVIDER, _MODEL),
    "gen_ai.client.operation.time_per_output_chunk": (_PROVIDER, _MODEL),
    "gen_ai.server.request.duration": (_MODEL,),
    "gen_ai.server.time_per_output_token": (_MODEL,),
    "gen_ai.execute_tool.duration": (("gen_ai.tool.name",),),
    "gen_ai.invoke_agent.duration": (("gen_ai.agent.name",),),
    "http.client.request.duration": (_ADDRESS,),
    "rpc.client.call.duration": ((*_ADDRESS, "rpc.service"),),
    "db.client.operation.duration": (("db.system.name", "db.system"),),
    "db.client.connection.count": (("db.client.connection.state", "state"),),
    "messaging.client.operation.duration": (("messaging.operation.name", "messaging.operation"),),
    "mcp.client.operation.duration": (("mcp.method.name",),),
    contract.BREAKER_STATE: ((contract.GUARD,),),
    contract.CALL_DURATION: ((contract.GUARD,),),
    contract.RETRY_BUDGET: ((contract.PEER,),),
    contract.FEEDBACK: ((contract.FEEDBACK_KIND,),),
    contract.COST_USD: (_PROVIDER, _MODEL),
    contract.DROPPED: (("paramedic.dropped.what",),),
}
_VALUES: Final = {"completion": "output", "prompt": "input"}  # of gen_ai.token.type, as some write it
FAILING: Final = (".duration",)  # series that end so also give NAME.errors{error.type}


class Names:
    """Gives each point the metric part of its series; remembers what it said, to stay within its limits."""

    def __init__(self) -> None:
        self._splits: dict[tuple[str, str], set[str]] = {}  # by service and metric
        self._spoken: dict[int, tuple[str, int]] = {}  # by scope and series: under which name, and when last

    def metric(self, point: Point) -> tuple[str, str] | None:
        """Name and what stands in braces ("" for nothing); None when another name says the same thing."""
        name, fixed = SAME.get(point.metric, (point.metric, ""))
        if name in _BOTH and self._is_echo(point, name, fixed):
            return None
        wanted = point.quantile or fixed or "/".join(filter(None, (_text(point, keys) for keys in SPLIT.get(name, ()))))
        split = _VALUES.get(wanted, wanted) if name == "gen_ai.client.token.usage" else wanted
        return name, self._bounded(point.source.service, name, split)

    def failed(self, point: Point, name: str) -> str:
        """error.type of the calls that a distribution of durations counts, "" when they worked."""
        if not name.endswith(FAILING):
            return ""
        error = point.attributes.get(contract.ERROR_TYPE)
        code = next((str(point.attributes[key]) for key in STATUS_CODES if key in point.attributes), "")
        if not error and len(code) == 3 and code[0] == "5":
            error = code
        return self._bounded(point.source.service, f"{name}.errors", str(error or ""))

    def _is_echo(self, point: Point, name: str, fixed: str) -> bool:
        said = hash((point.source.mark, point.scope, name, fixed or _text(point, ("gen_ai.token.type",))))
        spoken, when = self._spoken.pop(said, (point.metric, point.ts))
        if spoken != point.metric and point.ts - when <= _FORGET_NAME_S:
            self._spoken[said] = spoken, when
            return True
        self._spoken[said] = point.metric, point.ts
        if len(self._spoken) > _MOST:
            del self._spoken[next(iter(self._spoken))]
        return False

    def _bounded(self, service: str, name: str, split: str) -> str:
        if not split:
            return ""
        split = split[:LONGEST_SPLIT]
        if len(self._splits) > _MOST:
            self._splits.clear()
        known = self._splits.setdefault((service, name), set())
        if split not in known and len(known) >= MOST_SPLITS:
            return OTHER
        known.add(split)
        return split


def _text(point: Point, keys: tuple[str, ...]) -> str:
    for key in keys:
        found = point.attributes.get(key)
        if found:
            return str(found)
    return ""


_BOTH: Final = frozenset(name for name, _ in SAME.values())
