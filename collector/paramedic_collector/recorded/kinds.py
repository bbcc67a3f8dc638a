"""Kinds and outcomes of recorded spans, in the spellings that data sets have, and kinds read from the tree.

"SPAN_KIND_SERVER", "server", "Entry", 2 -> 2 (OTLP's number)
"ERROR", "error", 2, 503, true           -> failed, and the status code if it is one
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from paramedic_collector.facts import CLIENT, SERVER
from paramedic_collector.recorded.columns import Columns, Texts
from paramedic_collector.sketch import Flags, Ints

INTERNAL: Final = 1
_KINDS: Final = {
    "": 0, "unspecified": 0, "internal": 1, "local": 1, "server": 2, "entry": 2, "client": 3, "exit": 3,
    "producer": 4, "consumer": 5, "nan": 0, "none": 0,
    "0": 0, "1": 1, "2": 2, "3": 3, "4": 4, "5": 5,
}  # fmt: skip
_FAILED: Final = {"error": True, "failed": True, "failure": True, "true": True, "err": True}
_FINE: Final = {"", "unset", "ok", "success", "false", "nan", "none"}
_OTLP_ERROR: Final = 2
_CLIENT_ERROR, _SERVER_ERROR = 400, 500


def kinds_of(columns: Columns) -> Ints:
    """OTLP's number of each span's kind; 0 where it is not said."""
    texts = columns.texts("kind")
    plain = [value.strip().lower().removeprefix("span_kind_").removesuffix(".0") for value in texts.values]
    strange = [value for value, one in zip(texts.values, plain, strict=True) if one not in _KINDS]
    if strange:
        columns.mistake(
            f"kind should be server, client, internal, producer, consumer or OTLP's number from 0 to 5, "
            f"there is {strange[0]!r}"
        )
    return np.array([_KINDS.get(one, 0) for one in plain], np.int64)[texts.codes]


def outcomes_of(columns: Columns, kind: Ints) -> tuple[Flags, Texts | None]:
    """Whether each span failed, and its status codes when the column `status` has such.

    A code of 5xx is a failure, one of 4xx is that of a client's span alone, as OpenTelemetry has it.
    """
    texts = columns.texts("status")
    plain = [value.strip().lower().removeprefix("status_code_").removesuffix(".0") for value in texts.values]
    codes = np.array([int(one) if one.isdigit() else -1 for one in plain], np.int64)
    http = (codes >= 100) & (codes <= 599)
    strange = [
        value
        for value, one, code, is_http in zip(texts.values, plain, codes.tolist(), http.tolist(), strict=True)
        if one not in _FAILED and one not in _FINE and not is_http and not 0 <= code <= _OTLP_ERROR
    ]
    if strange:
        columns.mistake(
            f"status should be OK, UNSET, ERROR, OTLP's number from 0 to 2 or an HTTP status, there is {strange[0]!r}"
        )
    failed = np.array([one in _FAILED for one in plain]) | (codes == _OTLP_ERROR)
    server_error, client_error = codes >= _SERVER_ERROR, codes >= _CLIENT_ERROR
    of = texts.codes
    flags = failed[of] | server_error[of] | (client_error[of] & (kind == CLIENT))
    if not http.any():
        return flags, None
    digits = [one if is_http else "" for one, is_http in zip(plain, http.tolist(), strict=True)]
    return flags, Texts(texts.codes, digits)


def kinds_of_tree(service: NDArray[np.int32], parent_at: Ints) -> Ints:
    """Kinds of spans that do not say theirs, by whose children they are.

    A span below one of another service, or below none, served a call; one whose children are all of other services
    made one; the rest are internal.

    Args:
        service: (n,) number of each span's service.
        parent_at: (n,) where its parent stands, -1 for none.
    """
    crosses = crossings(service, parent_at)
    children = np.bincount(parent_at[parent_at >= 0], minlength=len(service))
    elsewhere = np.bincount(parent_at[crosses], minlength=len(service))
    serves = crosses | (parent_at < 0)
    calls = ~serves & (children > 0) & (elsewhere == children)
    return np.where(serves, SERVER, np.where(calls, CLIENT, INTERNAL))


def crossings(service: NDArray[np.int32], parent_at: Ints) -> Flags:
    """Whether each span's parent is one of another service."""
    crosses: Flags = (parent_at >= 0) & (service != service[parent_at])
    return crosses
