"""Names of the telemetry that a guard emits and that the collector reads.

OpenTelemetry has no convention for breakers, fallbacks or leases, so those live under ``paramedic.*``;
everything else keeps its standard name. The GenAI names are those that instrumentations emit today;
the collector also reads the older and newer ones.

Source: OpenTelemetry semantic conventions 1.41 (GenAI) and 1.44 (the rest).
"""

from typing import Final

# What a call was made to, on its CLIENT span.
PEER: Final = "service.peer.name"
PEER_ZONE: Final = "paramedic.peer.zone"  # zone of the callee; the caller's own is the resource's ZONE
PEER_REGION: Final = "paramedic.peer.region"  # where the callee may keep data, as residency names it
ZONE: Final = "cloud.availability_zone"  # resource attribute
ERROR_TYPE: Final = "error.type"

# What the guard decided, on the same span.
GUARD: Final = "paramedic.guard"
DECISION: Final = "paramedic.decision"  # one of Decision below
REFUSED_BY: Final = "paramedic.refused.by"  # one of RefusedBy below; only on refused calls
FALLBACK_LEVEL: Final = "paramedic.fallback.level"  # 0 the guarded call itself, 1 the first fallback, ...
RETRY: Final = "paramedic.retry"  # how often the call was made before: 1, 2, ...; absent on the first
PROBE: Final = "paramedic.probe"  # True: let through a tripped path on purpose, to see whether it recovered
LEASE_ID: Final = "paramedic.lease.id"
USELESS: Final = "paramedic.useless"  # "empty", "cut" or "refused": an answer that arrived and helps nobody
COST_USD: Final = "paramedic.cost"  # US dollars of this call
ABANDONED: Final = "paramedic.abandoned"  # True: was in flight when a command let it go; counted as refused
CANCELLED: Final = "paramedic.cancelled"  # True: the caller gave up; says nothing about the callee, counts nowhere
CASCADE_STEP: Final = "paramedic.cascade.step"  # 0 the cheapest model, 1 the next, ...

# What is served, on every span of it.
CRITICALITY: Final = "service.criticality"  # "critical", "high", "medium" or "low"
TENANT: Final = "paramedic.tenant"  # a salted hash, 16 hex digits

# Values of DECISION.
ALLOWED: Final = "allowed"
REFUSED: Final = "refused"  # the call was not made: counted apart, never an error of the callee
# Values of REFUSED_BY, in order of precedence.
REFUSED_BY_OPERATOR: Final = "operator"
REFUSED_BY_COMMAND: Final = "command"
REFUSED_BY_BREAKER: Final = "breaker"
REFUSED_BY_BULKHEAD: Final = "bulkhead"
REFUSED_BY_DEADLINE: Final = "deadline"
REFUSED_BY_SHED: Final = "shed"
REFUSED_BY_RESIDENCY: Final = "residency"  # by a router: no member where the data of the request may go
# Values of ERROR_TYPE that guards set beside status codes and exception names.
TIMEOUT: Final = "timeout"

# GenAI, on spans of LLM calls.
GENAI_OPERATION: Final = "gen_ai.operation.name"
GENAI_PROVIDER: Final = "gen_ai.provider.name"
GENAI_REQUEST_MODEL: Final = "gen_ai.request.model"
GENAI_RESPONSE_MODEL: Final = "gen_ai.response.model"
GENAI_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
GENAI_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
GENAI_CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
GENAI_CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
GENAI_CACHE_WRITE_TOKENS_NEW: Final = "gen_ai.usage.cache_write.input_tokens"
GENAI_REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
GENAI_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
GENAI_CONVERSATION: Final = "gen_ai.conversation.id"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"  # seconds

# Gauges, each second, with the attributes GUARD, PEER, PEER_ZONE.
IN_FLIGHT: Final = "paramedic.calls.in_flight"  # calls begun and not ended
OLDEST_S: Final = "paramedic.calls.oldest"  # seconds since the oldest of them began; 0 when none is
# Gauge, each second, with GUARD, PEER, PEER_ZONE: 0 closed, 1 half open, 2 open by itself, 3 open by command.
BREAKER_STATE: Final = "paramedic.breaker.state"
# Counter, with "paramedic.dropped.what": telemetry and commands of ours that failed and were dropped.
DROPPED: Final = "paramedic.dropped"
# Gauge, each second, with PEER: what is left of the budget of retries that all guards of a peer share.
RETRY_BUDGET: Final = "paramedic.retry_budget"

# Histogram of seconds, each five seconds, with GUARD, PEER, PEER_ZONE, ERROR_TYPE and USELESS; DECISION says what
# became of the call: "worked", "failed", "useless", "cancelled" or "abandoned".
CALL_DURATION: Final = "paramedic.call.duration"
# Counter, each five seconds, with FEEDBACK_KIND: what users said or did about answers.
FEEDBACK: Final = "paramedic.feedback"
FEEDBACK_KIND: Final = "paramedic.feedback.kind"

# Metrics of GenAI calls: as deployed, and under OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental.
GENAI_DURATION: Final = "gen_ai.client.operation.duration"
GENAI_FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"
GENAI_TOKEN_USAGE: Final = "gen_ai.client.token.usage"
GENAI_TOKEN_TYPE: Final = "gen_ai.token.type"
GENAI_DURATION_NEW: Final = "gen_ai.client.inference.duration"
GENAI_FIRST_CHUNK_NEW: Final = "gen_ai.client.inference.time_to_first_chunk"
GENAI_USAGE_NEW: Final = "gen_ai.client.inference.usage."  # counters: + input_tokens, output_tokens, ...
GENAI_OPERATION_TOKENS_NEW: Final = "gen_ai.client.inference.operation."  # histograms: + input_tokens, output_tokens
GENAI_TOKEN_MODALITY: Final = "gen_ai.token.modality"

# Events: log records with a name.
COMMAND_EVENT: Final = "paramedic.command"  # what became of a command; with LEASE_ID and what follows
COMMAND_ID: Final = "paramedic.command.id"
COMMAND_VERSION: Final = "paramedic.command.version"
COMMAND_STATE: Final = "paramedic.command.state"  # applied, rejected, reverted, expired
COMMAND_KIND: Final = "paramedic.command.kind"
COMMAND_REASON: Final = "paramedic.command.reason"
COMMAND_OWNER: Final = "paramedic.command.owner"  # "paramedic", "operator:anna"
COMMAND_GUARDS: Final = "paramedic.command.guards"  # that obey, or caches that were flushed
INCIDENT: Final = "paramedic.incident"
CALL_EXCEPTION_EVENT: Final = "paramedic.call.exception"
GENAI_EXCEPTION_EVENT: Final = "gen_ai.client.operation.exception"
GENAI_EVALUATION_EVENT: Final = "gen_ai.evaluation.result"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"  # only when asked for, redacted
EVALUATION_NAME: Final = "gen_ai.evaluation.name"
EVALUATION_SCORE: Final = "gen_ai.evaluation.score.value"
EVALUATION_EXPLANATION: Final = "gen_ai.evaluation.explanation"  # content: only when that is captured
