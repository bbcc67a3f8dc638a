"""A checkpoint as bytes: a zip of NumPy arrays and one JSON text, with a name and a version; never a pickle."""

import io
import json
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

VERSION = 2


def pack(kind: str, arrays: dict[str, NDArray[Any]], text: str) -> bytes:
    """Bytes that `unpack` of the same kind reads."""
    out = io.BytesIO()
    head = json.dumps({"kind": kind, "version": VERSION, "text": text}).encode()
    np.savez_compressed(out, head=np.frombuffer(head, np.uint8), **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def unpack(kind: str, data: bytes) -> tuple[dict[str, NDArray[Any]], str]:
    """The arrays and the text.

    Raises:
        ValueError: The bytes are no checkpoint, or one of another kind or version.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        head = json.loads(arrays.pop("head").tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"not a checkpoint of {kind}: {error}") from None
    if (head["kind"], head["version"]) != (kind, VERSION):
        raise ValueError(f"a checkpoint of {head['kind']} version {head['version']}, wanted {kind} version {VERSION}")
    return arrays, head["text"]
