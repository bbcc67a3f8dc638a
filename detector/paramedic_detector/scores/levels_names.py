"""What the name of a metric tells: which kind of thing it measures, in what unit, and which way is bad.

Names of many systems are read: OpenTelemetry's, Prometheus exporters', those of recorded sets. A name that says nothing
is of kind OTHER, which explains incidents and opens none.
"""

import re
from enum import IntEnum
from functools import lru_cache
from typing import Final, NamedTuple


class Kind(IntEnum):
    """What a metric measures."""

    OTHER = 0
    CPU = 1
    MEMORY = 2
    DISK = 3  # bytes or operations of a disk, or how full it is
    NETWORK = 4
    SOCKETS = 5
    POOL = 6  # what fills up: pools, queues, backlogs, threads, file descriptors, lag
    LATENCY = 7
    ERRORS = 8
    REQUESTS = 9
    SUCCESS = 10  # a share of what worked, or whether something is up
    COST = 11  # money a second
    LOG = 12  # lines a second


_WORDS: Final[tuple[tuple[Kind, str], ...]] = (  # the first that is found in the name decides
    (Kind.SUCCESS, r"success|availab|\bup\b|healthy|ready|apdex"),
    (Kind.ERRORS, r"err(or)?s?\b|fail|exception|abort|reject|drop|retrans|timeouts?\b|[45]xx|\boom|unavailable"),
    (Kind.LATENCY, r"latenc|duration|response time|\brt\b|elapsed|\bp ?\d{2}\b|delay|time to|wait time|use time"),
    (
        Kind.POOL,
        r"queue|pool|backlog|pending|waiting|\blag\b|thread|descriptor|\bfds?\b|saturat|connections?\b",
    ),
    (Kind.SOCKETS, r"socket|\btcp\b|\bconn\b"),
    (Kind.CPU, r"cpu|\bload ?(1|5|15)?\b|processor|throttled"),
    (Kind.DISK, r"disk|\bfs\b|filesystem|volume|\bio\b|blkio|diskio|inode"),
    (Kind.MEMORY, r"mem(ory)?\b|\brss\b|heap|working set|\bcache\b|swap|\bgc\b"),
    (Kind.NETWORK, r"network|\bnet\b|receive|transmit|bandwidth|packet|\b[rt]x\b|throughput"),
    (Kind.REQUESTS, r"request|\brps\b|\bqps\b|\btps\b|\bops\b|workload|calls?\b|invocation|traffic|count\b|\brate\b"),
)
_LEAD: Final = re.compile(r"^(node|host|machine|system|cluster)\b")
_BY_CALLS: Final = re.compile(
    r"^(paramedic\.|gen_ai\.|http\.|rpc\.|messaging\.|mcp\.|traces\.span\.metrics|db\.client\.operation)", re.ASCII
)
_CEILING: Final = re.compile(r"\b(limit|max|capacity|quota|allocatable)\b")
_LEVEL: Final = frozenset({Kind.MEMORY, Kind.DISK, Kind.POOL, Kind.SUCCESS, Kind.LATENCY})
_HAVE_CEILINGS: Final = frozenset({Kind.CPU, Kind.MEMORY, Kind.DISK, Kind.POOL, Kind.SOCKETS})
FILL_UP: Final = frozenset({Kind.MEMORY, Kind.DISK, Kind.POOL, Kind.SOCKETS})  # whose trends lead somewhere
OPEN_UP: Final = frozenset({Kind.CPU, Kind.MEMORY, Kind.DISK, Kind.POOL, Kind.LATENCY, Kind.ERRORS, Kind.COST})
OPEN_DOWN: Final = frozenset({Kind.SUCCESS})
RESOURCES: Final = frozenset({Kind.CPU, Kind.MEMORY, Kind.DISK, Kind.POOL})  # what calls cannot tell


class Meaning(NamedTuple):
    """What a name tells."""

    kind: Kind
    percent: bool  # 0 to 100, or 0 to 1
    shared: bool  # of the machine below: many services show it
    by_calls: bool  # calls tell the same, and better
    ceiling: bool  # says how much there is of something, not how much is used
    total: bool  # by its name a running total
    words: frozenset[str]  # of the name, less those that say "limit"


@lru_cache(maxsize=20_000)
def meaning(metric: str) -> Meaning:
    """What is known of a metric by its name; what stands in braces is left out."""
    name = metric.split("{", 1)[0]
    plain = _plain(name)
    kind = next((kind for kind, words in _WORDS if re.search(words, plain)), Kind.OTHER)
    percent = bool(re.search(r"%|percent|\bratio\b|utili[sz]ation|usage rate|success rate", plain))
    total = bool(re.search(r"\btotal\b", plain)) and kind not in _LEVEL
    words = frozenset(_CEILING.sub(" ", plain).split())
    ceiling = bool(_CEILING.search(plain)) and not percent and kind in _HAVE_CEILINGS
    return Meaning(kind, percent, bool(_LEAD.search(plain)), bool(_BY_CALLS.match(name)), ceiling, total, words)


def _plain(name: str) -> str:
    """Words of a name, whatever joined them: `PodCPUUsage(%)` and `pod_cpu.usage` become `pod cpu usage`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return re.sub(r"[^a-zA-Z0-9%]+", " ", words).strip().lower()
