"""A checked configuration of the collector, as values: what `otel-config.yaml` asks for.

    CollectorConfig = receivers -> pipelines (processors, exporters), health_check, limits

Every receiver feeds every pipeline of its signal. Of a pipeline, `paramedic` (the in-process hand-off) takes
windows; the other exporters forward what the flight recorder holds.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from paramedic_collector.otlp import Signal
from paramedic_collector.receive.addresses import Endpoint

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from paramedic_collector.process.tail_sampling import KeepTraces

MEMORY_BYTES: Final = 512 << 20  # without a `memory_limiter`


@dataclass(frozen=True, slots=True)
class ServerTls:
    """Files in PEM."""

    cert_file: str
    key_file: str
    client_ca_file: str = ""  # clients must show a certificate that this one signed


@dataclass(frozen=True, slots=True)
class Cors:
    """Which web pages may send; "*" stands for any characters."""

    allowed_origins: tuple[str, ...]
    allowed_headers: tuple[str, ...] = ()
    max_age_s: int = 0


@dataclass(frozen=True, slots=True)
class Server:
    """One protocol of one receiver."""

    endpoint: Endpoint
    limit_bytes: int  # largest request, after decompression too
    tls: ServerTls | None = None
    # One of them must come as `authorization: Bearer ...`; none: everybody may send.
    tokens: tuple[str, ...] = field(default=(), repr=False)
    cors: Cors | None = None  # of HTTP


@dataclass(frozen=True, slots=True)
class Receiver:
    """An `otlp` receiver."""

    name: str
    grpc: Server | None = None
    http: Server | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """`retry_on_failure`, with the Collector's defaults."""

    enabled: bool = True
    initial_s: float = 5.0
    randomization: float = 0.5
    multiplier: float = 1.5
    most_s: float = 30.0  # between two tries
    give_up_s: float = 300.0  # after this a request is dropped and counted; 0 for never


@dataclass(frozen=True, slots=True)
class ClientTls:
    """How an exporter makes sure of whom it speaks to."""

    insecure: bool = False  # plain text
    skip_verify: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


@dataclass(frozen=True, slots=True)
class OtlpExporter:
    """`otlp_grpc`/`otlp` or `otlp_http`/`otlphttp`: to the team's own backend."""

    name: str
    transport: str  # "grpc" or "http"
    target: str  # "host:port" for gRPC; the base URL for HTTP
    urls: dict[Signal, str] = field(default_factory=dict)  # of HTTP, where they are not base + /v1/SIGNAL
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # values are secrets
    compression: str = "gzip"  # or "none", "zstd" for HTTP
    tls: ClientTls = ClientTls()
    timeout_s: float = 5.0
    retry: Retry = Retry()
    queue_bytes: int = 256 << 20  # most that may wait on disk for this exporter; older frames are dropped and counted


@dataclass(frozen=True, slots=True)
class FileExporter:
    """`file`: a line of JSON a request, or length-prefixed protobuf."""

    name: str
    path: str
    format: str = "json"  # or "proto"
    compression: str = ""  # or "zstd"
    rotate_bytes: int = 0  # 0: one file for ever
    backups: int = 100


@dataclass(frozen=True, slots=True)
class DebugExporter:
    """`debug`: a line in the log for each request."""

    name: str
    verbosity: str = "basic"


Exporter = OtlpExporter | FileExporter | DebugExporter


class Processor(Protocol):
    """One step of a pipeline: `attributes`, `filter`, `redaction` or `tail_sampling`."""

    name: str

    def process(self, signal: Signal, request: "Message", now: float) -> list["Message"]:
        """Change an OTLP request (`Export...ServiceRequest`), in place if that is easier.

        Returns:
            What goes on now: usually the request itself; none while it is kept back or when nothing is left.
        """
        ...

    def due(self, now: float) -> list["Message"]:
        """Requests that were kept back and may go on now."""
        ...

    def waits_since(self) -> float | None:
        """The oldest `now` at which something came that is still kept back; None when nothing is.

        What came before it is decided for good: whoever reads a log needs to remember nothing of that any more.
        """
        return None

    def alone(self) -> "Processor":
        """The same step for one more thread: same settings, no shared state. Itself when it keeps none."""
        return self


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The way of one signal."""

    name: str  # "traces" or "traces/backup"
    signal: Signal
    processors: tuple[Processor, ...] = ()  # those that change something; in order
    exporters: tuple[Exporter, ...] = ()
    windows: bool = False  # whether it also exports to paramedic


@dataclass(frozen=True, slots=True)
class CollectorConfig:
    """A checked configuration."""

    receivers: tuple[Receiver, ...]
    pipelines: tuple[Pipeline, ...]
    memory_bytes: int = MEMORY_BYTES  # of `memory_limiter`: what the whole process may take up
    memory_spike_bytes: int = 0  # how far below it senders are told to come again; 0 for a fifth of it
    health: Endpoint | None = None  # of `health_check`
    health_path: str = "/"
    keep_content: bool = False  # record the messages of conversations
    # What every `tail_sampling` keeps whatever its policies say: exemplars of open incidents.
    keep_traces: "KeepTraces | None" = None

    @property
    def windows(self) -> frozenset[Signal]:
        """The signals of which a pipeline exports to paramedic."""
        return frozenset(one.signal for one in self.pipelines if one.windows)

    @property
    def debug(self) -> frozenset[Signal]:
        """The signals of which a pipeline exports to the log."""
        return frozenset(
            one.signal for one in self.pipelines if any(isinstance(to, DebugExporter) for to in one.exporters)
        )
