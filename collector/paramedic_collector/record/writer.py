"""The open segment: frames go in, one write and one fdatasync for all that came together.

What could not be made durable is cut off again, so that a frame is either on disk or was refused, never both.
"""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paramedic_collector.record.segments import Place, next_segment


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the recorder keeps, and how it is cut."""

    age_s: float = 900.0
    total_bytes: int = 1 << 30
    segment_bytes: int = 32 << 20
    segment_s: float = 60.0


class Writer:
    """Used by one thread.

    Args:
        folder: Where segments lie; made when it is not there.
        last: Name of the newest segment of earlier runs; "" for none.
    """

    def __init__(self, folder: Path, limits: Limits, last: str) -> None:
        self.segment = last  # the newest, open or not
        self._folder, self._limits = folder, limits
        self._fd: int | None = None
        self._opened_at, self._size = 0.0, 0

    def write(self, frames: Sequence[bytes], at: float) -> list[Place]:
        """Append encoded frames to the open segment, for good.

        Args:
            at: Unix seconds; a segment that is old or full by then is closed first.

        Raises:
            OSError: None of them is kept. The next call begins a new segment.
        """
        fd = self._open(at)
        try:
            _write_all(fd, b"".join(frames))
            os.fdatasync(fd)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, self._size)
            self.close()
            raise
        places = []
        for frame in frames:
            places.append(Place(self.segment, self._size, self._size + len(frame)))
            self._size += len(frame)
        return places

    def close(self) -> None:
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.close(self._fd)
        self._fd = None

    def _open(self, at: float) -> int:
        limits = self._limits
        if self._size > limits.segment_bytes or at - self._opened_at > limits.segment_s:
            self.close()
        if self._fd is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            name = next_segment(at, self.segment)
            self._fd = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self.segment, self._opened_at, self._size = name, at, 0
            _sync_folder(self._folder)
        return self._fd


def _write_all(fd: int, data: bytes) -> None:
    written = os.write(fd, data)
    while written < len(data):  # a disk that fills up takes a part, and refuses the rest at the next call
        written += os.write(fd, memoryview(data)[written:])


def _sync_folder(folder: Path) -> None:
    """A new file outlives a power cut only when its name is on disk too."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
