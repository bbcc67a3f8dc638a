"""What can happen in a simulated system: the vocabulary of scenario files, the same as the demo's and more.

{"kind": "slow", "target": "aurora", "severity": 0.8, "parameters": {"factor": 4}} --> its class
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

USERS: Final = "users"  # what a surge strikes: not a part of the system


@dataclass(frozen=True, slots=True)
class Number:
    """A parameter: its default, and from where to where it may go."""

    default: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to break something, or to be odd.

    Attributes:
        classes: What a fault of this kind is called, by what it strikes; "zone" is one zone of a service.
        feeds_back: Whether how calls end changes what calls are made, so that time must go in small steps.
    """

    what: str
    classes: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Number] = field(default_factory=dict)
    feeds_back: bool = True


_BROKEN: Final = {"provider": "provider_outage", "service": "dependency_errors", "store": "dependency_errors"}
_STATUS: Final = {"status": Number(0, 0, 599)}
_QUALITY: Final = {"provider": "quality_degradation"}
KINDS: Final[Mapping[str, Kind]] = {
    "errors": Kind("a 5xx after a moment", {**_BROKEN, "zone": "zone_outage"}, _STATUS),
    "hang": Kind("nothing, until the caller gives up", {**_BROKEN, "zone": "zone_outage"}),
    "outage": Kind("half of the calls fail, half hang", {**_BROKEN, "zone": "zone_outage"}, _STATUS),
    "rate_limit": Kind(
        "429 beyond so many calls a second", {"provider": "provider_rate_limited"},
        {"limit_per_s": Number(0, 0, 1e6), "retry_after_s": Number(2, 0, 3600)},
    ),
    "auth": Kind(
        "401 to a key that was right", {"provider": "auth_failure", "service": "auth_failure", "store": "auth_failure"},
        {"status": Number(401, 401, 403)},
    ),
    "slow": Kind(
        "the right answer, late",
        {"provider": "provider_slow", "service": "dependency_slow", "store": "dependency_slow"},
        {"factor": Number(5, 1, 1000), "delay_s": Number(0, 0, 600)},
    ),
    "cut": Kind("a stream that ends in mid-sentence", _QUALITY),
    "empty": Kind("200, and not a word", _QUALITY),
    "garbage": Kind("200, and a body that is no language", _QUALITY),
    "kill": Kind("connection refused; started again at the end", {**_BROKEN, "zone": "zone_outage"}),
    "delay": Kind(
        "slow on the way", {"service": "network_degraded", "store": "network_degraded", "provider": "network_degraded"},
        {"delay_s": Number(0.4, 0, 60)}, feeds_back=True,
    ),
    "loss": Kind(
        "packets are sent again, some connections break",
        {"service": "network_degraded", "store": "network_degraded", "provider": "network_degraded"},
        {"share": Number(0.3, 0, 1)},
    ),
    "deploy": Kind(
        "a new version, zone by zone, taken back at the end", {"service": "deploy_regression"},
        {"failing": Number(0.3, 0, 1), "factor": Number(1, 0.1, 1000), "delay_s": Number(0, 0, 60),
         "roll_s": Number(10, 0, 600)},
    ),
    "surge": Kind("so many times as many users", {USERS: "traffic_surge"}, {"factor": Number(6, 0, 100)}),
    "retries": Kind(
        "callers repeat failed calls, without a budget", {"service": "retry_storm", "provider": "retry_storm"},
        {"factor": Number(8, 1, 50), "failing": Number(0.75, 0, 1)},
    ),
    "leak": Kind(
        "memory grows, then everything slows down, then the process dies",
        {"service": "resource_leak", "zone": "resource_leak"},
        {"full_after_s": Number(0, 0, 1e6)}, feeds_back=False,
    ),
    "saturate": Kind(
        "workers are gone: `load` times what those that are left can do comes in", {"service": "saturation"},
        {"load": Number(1.4, 0.1, 100)},
    ),
    "verbose": Kind(
        "so many times the tokens a call", {"provider": "cost_runaway"},
        {"factor": Number(8, 1, 100), "answer": Number(0, 0, 1)}, feeds_back=False,
    ),
    "nlu": Kind(
        "low confidence in most of what users say", {"store": "nlu_degradation", "service": "nlu_degradation"},
        {"share": Number(0.6, 0, 1)}, feeds_back=False,
    ),
    "loop": Kind(
        "an agent goes round and round", {"service": "tool_loop"}, {"factor": Number(5, 1, 50)}, feeds_back=False,
    ),
    "cache_flush": Kind(
        "more calls to a store, and a little slower", {}, {"factor": Number(1.5, 1, 5)}, feeds_back=False,
    ),
    "batch": Kind("a job of ours calls it, too", {}, {"rate_per_s": Number(4, 0, 1000)}, feeds_back=False),
    "pause": Kind("one process stands still", {}, {}, feeds_back=False),
}  # fmt: skip
