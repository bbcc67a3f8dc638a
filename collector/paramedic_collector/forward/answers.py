"""What the answer of a backend means, by the OTLP specification: taken, come again later, or never again.

    HTTP status, headers, body --+
                                 +--> Answer(verdict, why, least pause, rejected items)
    gRPC code, details ----------+

Source: OTLP specification 1.11, "Failures", "OTLP/HTTP Response" and "Throttling".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from paramedic_collector.forward.messages import REJECTED, RESPONSES
from paramedic_collector.otlp import Signal

_LATER_HTTP: Final = frozenset({429, 502, 503, 504})
_LATER_GRPC: Final = frozenset(
    {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
)
_LONGEST_PAUSE_S: Final = 86_400.0  # whatever a backend asks for
_LONGEST_WHY: Final = 200  # characters of what a backend says


class Verdict(StrEnum):
    """What became of one request."""

    TAKEN = "taken"
    LATER = "later"  # send it again after a pause
    REFUSED = "refused"  # sending it again would give the same answer
    TOO_LARGE = "too_large"  # a part of it may be taken
    STOPPED = "stopped"  # nobody knows: we are going down


@dataclass(frozen=True, slots=True)
class Answer:
    """What a backend said, or what became of the try."""

    verdict: Verdict
    reason: str = ""  # few values, for logs that say a thing once: "503", "UNAVAILABLE", "timeout"
    why: str = ""  # the backend's own words
    pause_s: float = 0.0  # it asks for at least this long without a request
    rejected: int = 0  # items that were turned down though the rest was taken

    def __str__(self) -> str:
        return f"{self.reason} ({self.why})" if self.why else self.reason


def taken(signal: Signal, body: bytes, *, json: bool = False) -> Answer:
    """The answer in a response of success; one that cannot be read counts as full success."""
    response: Any = RESPONSES[signal]()
    try:
        if json:
            json_format.Parse(body or b"{}", response, ignore_unknown_fields=True)
        else:
            response.ParseFromString(body)
    except (DecodeError, json_format.ParseError):
        return Answer(Verdict.TAKEN)
    partial = response.partial_success
    return Answer(
        Verdict.TAKEN, "partial success", _plain(partial.error_message), 0.0, getattr(partial, REJECTED[signal])
    )


def http_answer(signal: Signal, status: int, headers: Mapping[str, str], body: bytes, now: float) -> Answer:
    """What an HTTP response means.

    Args:
        headers: By lower-case name.
        now: Unix seconds; a `Retry-After` may be a date.
    """
    is_json = headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
    if 200 <= status < 300:
        return taken(signal, body, json=is_json)
    why = _plain(_status_message(body, is_json))
    if status in _LATER_HTTP:
        return Answer(Verdict.LATER, str(status), why, retry_after_s(headers.get("retry-after", ""), now))
    return Answer(Verdict.TOO_LARGE if status == 413 else Verdict.REFUSED, str(status), why)


def grpc_answer(code: str, details: str, status: bytes) -> Answer:
    """What a gRPC error means.

    Args:
        code: "UNAVAILABLE".
        status: `grpc-status-details-bin` of the trailing metadata, empty when there is none.
    """
    pause_s = _retry_info_s(status)
    if code in _LATER_GRPC or (code == "RESOURCE_EXHAUSTED" and pause_s is not None):
        return Answer(Verdict.LATER, code, _plain(details), pause_s or 0.0)
    verdict = Verdict.TOO_LARGE if code == "RESOURCE_EXHAUSTED" else Verdict.REFUSED
    return Answer(verdict, code, _plain(details))


def retry_after_s(text: str, now: float) -> float:
    """Seconds to wait, of a header with seconds or an HTTP date; 0 when it is missing, past or nonsense."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST_PAUSE_S)
    try:
        return min(max(parsedate_to_datetime(text).timestamp() - now, 0.0), _LONGEST_PAUSE_S)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _retry_info_s(status: bytes) -> float | None:
    info = RetryInfo()
    try:
        for detail in Status.FromString(status).details:
            if detail.Unpack(info):
                delay_s = float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
                return min(max(delay_s, 0.0), _LONGEST_PAUSE_S)
    except DecodeError:
        pass
    return None


def _status_message(body: bytes, is_json: bool) -> str:
    """The message of the `google.rpc.Status` that OTLP asks for, else the body as text."""
    try:
        status = json_format.Parse(body, Status(), ignore_unknown_fields=True) if is_json else Status.FromString(body)
        return str(status.message)
    except (DecodeError, json_format.ParseError):
        return body.decode("utf-8", "replace")


def _plain(text: str) -> str:
    """One line of bounded length: it goes into our log."""
    return " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * _LONGEST_WHY]).split())[
        :_LONGEST_WHY
    ]
