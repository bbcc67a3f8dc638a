"""An OTLP request as OTLP's JSON: protobuf's own mapping, but for enums as numbers and ids in hex."""

import base64
import json
from typing import Any, Final

from google.protobuf import json_format

from paramedic_collector.forward.messages import REQUESTS
from paramedic_collector.otlp import Signal

_IDS: Final = ("traceId", "spanId", "parentSpanId")


def to_json(signal: Signal, payload: bytes) -> bytes:
    """One line, without an end of line."""
    message = REQUESTS[signal].FromString(payload)
    document = json_format.MessageToDict(message, use_integers_for_enums=True)
    _ids_to_hex(document)
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _ids_to_hex(document: Any) -> None:
    left = [document]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            for key in _IDS:
                if isinstance(one.get(key), str):
                    one[key] = base64.b64decode(one[key]).hex()
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)
