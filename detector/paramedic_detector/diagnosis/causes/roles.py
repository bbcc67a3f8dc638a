"""What a metric is about, by the words in its name: what a service uses, what its callers feel, or its host.

A level of a resource that leaves its range is seen where the trouble is. Latency, failures and traffic are felt by
every caller above it too, and spans measure them better where there are spans. Bytes and packets follow the traffic. A
host's levels are shared by everything that runs there.
"""

import re
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    RESOURCE = "resource"
    OUTCOME = "outcome"
    TRAFFIC = "traffic"
    HOST = "host"
    OTHER = "other"


_HOST: Final = frozenset({"node", "host", "system", "machine", "vm"})  # as the first word
_RESOURCE: Final = frozenset(
    {
        "cpu", "processor", "throttle", "throttled", "throttling", "memory", "mem", "rss", "heap", "swap", "oom", "gc",
        "disk", "diskio", "io", "iops", "fs", "file", "files", "filesystem", "fd", "fds", "inode", "inodes", "socket",
        "sockets", "thread", "threads", "pool", "queue", "connections", "restart", "restarts", "pagefault", "blk",
        "blkio", "process", "processes",
    }
)  # fmt: skip
_TRAFFIC: Final = frozenset({"network", "net", "packets", "bytes", "receive", "transmit", "syscall", "syscalls", "tcp"})
_OUTCOME: Final = frozenset(
    {
        "latency", "duration", "response", "responses", "time", "error", "errors", "err", "fail", "failed", "failures",
        "success", "ops", "qps", "rps", "tps", "request", "requests", "workload", "load", "throughput",
        "traffic", "availability", "status", "rt", "calls", "retries", "p50", "p75", "p90", "p95", "p99", "istio",
        "http", "grpc", "retry", "breaker", "circuit", "timeouts", "abandoned", "cancelled",
    }
)  # fmt: skip
_WORDS: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+\d*|[A-Z]+\d*|\d+")


_FILLS: Final = frozenset({"memory", "mem", "rss", "heap", "swap", "disk", "fs", "filesystem", "inode", "inodes", "fd"})


def presses(metric: str) -> bool:
    """Whether a metric is a store that fills up, as memory does: it does so in nobody else's stead."""
    return bool(_FILLS & _words(metric))


def _words(metric: str) -> set[str]:
    return {word.lower() for word in _WORDS.findall(metric.partition("{")[0])}


def role_of(metric: str) -> Role:
    """The role that the words of a metric's name say; what stands in braces is an attribute and no name."""
    named = [word.lower() for word in _WORDS.findall(metric.partition("{")[0])]
    words = set(named)
    if named and named[0] in _HOST:
        return Role.HOST
    if words & _RESOURCE and not words & {"network", "net"}:
        return Role.RESOURCE
    if words & _OUTCOME:
        return Role.OUTCOME
    return Role.TRAFFIC if words & _TRAFFIC else Role.OTHER
