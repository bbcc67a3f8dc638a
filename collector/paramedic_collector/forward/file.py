"""The `file` exporter: requests appended to a file, in the form of the Collector's exporter of that name.

    json            one line of OTLP JSON a request
    proto, or zstd  4 bytes with the length (big-endian), then the request; each is compressed alone

A disk that refuses is an answer like a backend's "come again later". What a failed write or a crash left half done
is cut off, since the request comes again.
"""

import contextlib
import os
import stat
import struct
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from glob import escape
from pathlib import Path
from typing import Final

import zstandard

from paramedic_collector.config.model import FileExporter, Retry
from paramedic_collector.forward.answers import Answer, Verdict
from paramedic_collector.forward.otlp_json import to_json
from paramedic_collector.otlp import Signal

RETRY: Final = Retry(initial_s=1.0, give_up_s=0.0)  # a disk is not a backend that may be gone for good
_LENGTH: Final = struct.Struct(">I")
_BLOCK: Final = 1 << 16  # bytes


class FileSender:
    """Writes to one file; shared by the pipelines that name it."""

    joins_bytes = 0  # a line a request

    def __init__(self, exporter: FileExporter, *, clock: Callable[[], float] = time.time) -> None:
        self._exporter, self._clock = exporter, clock
        self._path, self._framed = Path(exporter.path), exporter.format == "proto" or bool(exporter.compression)
        self._lock = threading.Lock()
        self._file: int | None = None  # descriptor
        self._size = self._rotated_ms = 0
        self._compressor = zstandard.ZstdCompressor() if exporter.compression == "zstd" else None

    def send(self, signal: Signal, payload: bytes) -> Answer:
        """Append one request."""
        with self._lock:
            record = self._record(signal, payload)
            try:
                self._append(record)
            except OSError as error:
                self._close()
                return Answer(Verdict.LATER, error.strerror or type(error).__name__, f"cannot write {self._path}")
            return Answer(Verdict.TAKEN)

    def cancel(self) -> None:
        """A write does not wait for anybody."""

    def close(self) -> None:
        with self._lock:
            self._close()

    def _record(self, signal: Signal, payload: bytes) -> bytes:
        data = payload if self._exporter.format == "proto" else to_json(signal, payload)
        if self._compressor is not None:
            data = self._compressor.compress(data)
        return _LENGTH.pack(len(data)) + data if self._framed else data + b"\n"

    def _append(self, record: bytes) -> None:
        largest = self._exporter.rotate_bytes
        file = self._open() if self._file is None else self._file
        if largest and self._size and self._size + len(record) > largest:
            file = self._rotate()
        view, before = memoryview(record), self._size
        while view:
            try:
                view = view[os.write(file, view) :]
            except OSError:
                with contextlib.suppress(OSError):  # opening it again would cut it too
                    os.ftruncate(file, before)
                raise
        self._size = before + len(record)

    def _open(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        if stat.S_ISREG(os.fstat(self._file).st_mode):  # not a terminal or a pipe
            self._size = _whole_bytes(self._file, self._framed)
            os.ftruncate(self._file, self._size)
        return self._file

    def _rotate(self) -> int:
        self._close()
        os.replace(self._path, self._backup())
        old = sorted(self._path.parent.glob(f"{escape(self._path.stem)}-*{escape(self._path.suffix)}"))
        for one in old[: -self._exporter.backups] if self._exporter.backups else ():
            one.unlink(missing_ok=True)
        return self._open()

    def _backup(self) -> Path:
        """data.json -> data-2022-09-14T05-02-14.173.json; names sort as they were written, and none is used twice."""
        self._rotated_ms = max(int(self._clock() * 1000), self._rotated_ms + 1)
        while (path := self._path.with_name(self._backup_name())).exists():
            self._rotated_ms += 1
        return path

    def _backup_name(self) -> str:
        moment = datetime.fromtimestamp(self._rotated_ms / 1000, UTC).strftime("%Y-%m-%dT%H-%M-%S")
        return f"{self._path.stem}-{moment}.{self._rotated_ms % 1000:03d}{self._path.suffix}"

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _whole_bytes(file: int, framed: bool) -> int:
    """Up to where a file holds whole records."""
    size = os.fstat(file).st_size
    if framed:
        end = 0
        while len(head := os.pread(file, _LENGTH.size, end)) == _LENGTH.size:
            after = end + _LENGTH.size + _LENGTH.unpack(head)[0]
            if after > size:
                break
            end = after
        return end
    while size:
        start = max(size - _BLOCK, 0)
        last = os.pread(file, size - start, start).rfind(b"\n")
        if last >= 0:
            return start + last + 1
        size = start
    return 0
