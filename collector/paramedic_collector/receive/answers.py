"""What a sender is told over HTTP. Errors are `google.rpc.Status` in the encoding of the request, as OTLP asks.

Rejected(400, "the body is ...") --error()--> Response --encode--> bytes for the wire
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from google.protobuf import json_format
from google.protobuf.any_pb2 import Any
from google.rpc import code_pb2
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
_CODES: Final = {400: code_pb2.INVALID_ARGUMENT, 401: code_pb2.UNAUTHENTICATED, 404: code_pb2.NOT_FOUND,
                 405: code_pb2.UNIMPLEMENTED, 408: code_pb2.DEADLINE_EXCEEDED, 413: code_pb2.RESOURCE_EXHAUSTED,
                 415: code_pb2.INVALID_ARGUMENT, 431: code_pb2.RESOURCE_EXHAUSTED, 500: code_pb2.INTERNAL,
                 501: code_pb2.UNIMPLEMENTED, 503: code_pb2.UNAVAILABLE}  # fmt: skip
Headers = tuple[tuple[str, str], ...]
CLOSE: Final[Headers] = (("connection", "close"),)


class Rejected(Exception):
    """A request that gets an error; the message tells the sender what to do about it."""

    def __init__(self, status: int, message: str, headers: Headers = ()) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; with the header `connection: close` it is the last one of its connection."""

    status: int
    body: bytes = b""
    content_type: str = PROTOBUF
    headers: Headers = ()

    @property
    def closes(self) -> bool:
        return CLOSE[0] in self.headers

    def encode(self, *, body: bool = True, more: Headers = ()) -> bytes:
        """The bytes for the wire.

        Args:
            body: False for an answer to HEAD, which has the headers alone.
        """
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        if self.status != HTTPStatus.NO_CONTENT:
            lines += [f"content-type: {self.content_type}", f"content-length: {len(self.body)}"]
        lines += [f"{name}: {value}" for name, value in (*self.headers, *more)]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")
        return head + self.body if body else head


def error(why: Rejected, content_type: str) -> Response:
    """In protobuf for whoever sends protobuf, in JSON for everybody else."""
    status = status_of(_CODES[why.status], str(why))
    if content_type == PROTOBUF:
        return Response(why.status, status.SerializeToString(), PROTOBUF, why.headers)
    text = json_format.MessageToJson(status, indent=None)
    return Response(why.status, text.encode(), JSON, why.headers)


def status_of(code: int, message: str) -> Status:
    """For what is wrong with the request itself, with a BadRequest that says so once more to machines."""
    status = Status(code=code, message=message)
    if code == code_pb2.INVALID_ARGUMENT:
        detail = Any()
        detail.Pack(BadRequest(field_violations=[BadRequest.FieldViolation(field="request", description=message)]))
        status.details.append(detail)
    return status
