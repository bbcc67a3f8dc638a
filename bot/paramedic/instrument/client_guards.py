"""The guards of calls that no guard of the team stands around: one a client and peer.

They observe, and obey commands of the platform; they refuse nothing by themselves unless PARAMEDIC_GUARDS=on gives
them breakers.
"""

import os
import threading

from paramedic.guards.guard import Guard
from paramedic.policy.breaker import Breaker

MOST = 64  # peers with a guard of their own; all others share one
OTHERS = "other"

_guards: dict[tuple[str, str], Guard] = {}
_lock = threading.Lock()


def guards_on() -> bool:
    """Whether the guards of instrumented clients may refuse calls by themselves."""
    return os.environ.get("PARAMEDIC_GUARDS", "").strip().lower() in ("on", "true", "1", "yes")


def guard_of(name: str, peer: str, ignore: tuple[type[Exception], ...] = ()) -> Guard:
    """The guard of one client's calls to one peer; made when it is first asked for, and then with this `ignore`."""
    guard = _guards.get((name, peer))
    if guard is not None:
        return guard
    with _lock:
        if len(_guards) >= MOST and (name, peer) not in _guards:
            peer = OTHERS
        if (name, peer) not in _guards:
            breaker = Breaker() if guards_on() else None
            _guards[name, peer] = Guard(name, peer=peer, breaker=breaker, ignore=ignore)
        return _guards[name, peer]


def forget() -> None:
    """Begin anew: for tests."""
    with _lock:
        _guards.clear()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
