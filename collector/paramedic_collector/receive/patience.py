"""How long senders over HTTP may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a sender may take, in seconds."""

    head_s: float = 10.0  # for the first part of a request, from its first byte or from the connection's begin
    body_s: float = 10.0  # for the body, and for reading an answer
    idle_s: float = 75.0  # between two requests: more than the usual minute between two exports of metrics
    linger_s: float = 2.0  # for reading why its body is not wanted, before the connection is cut
