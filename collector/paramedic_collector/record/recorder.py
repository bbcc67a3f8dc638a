"""Flight recorder: the last minutes of everything that was accepted, on disk, found again by trace id.

    append(frame) -> segment on disk (or memory, when the disk will not have it) -> Place
    traces({"4bf9..."}) -> {"4bf9...": [Span, ...]}

A frame is handed to the operating system before its payload is acknowledged, so `kill -9` of this process
loses nothing; a power cut may lose the last seconds, since nothing waits for the disk to sync. Old segments
go by age, then by bytes. When the disk is full or unwritable the newest frames stay in memory, a
counter says so, and the disk is tried again after a while.
"""

import contextlib
import errno
import fcntl
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import zstandard

from paramedic_collector.decode import Parsed
from paramedic_collector.record import segments
from paramedic_collector.record.segments import Frame
from paramedic_collector.record.spans import Span, spans_in
from paramedic_collector.record.trace_index import TraceIndex

log = logging.getLogger(__name__)

_MEMORY_BYTES: Final = 32 << 20  # frames kept while the disk will not have them
_RETRY_S: Final = 10.0  # between two tries of a disk that refused


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame lies."""

    segment: str  # name of the file; "" in memory
    start: int  # bytes from its beginning; in memory, a running number
    end: int


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the recorder keeps, and how it is cut."""

    age_s: float = 900.0
    total_bytes: int = 1 << 30
    segment_bytes: int = 32 << 20
    segment_s: float = 60.0


class RecorderBusy(Exception):
    """Another process writes to the same folder."""


class Recorder:
    """Safe to share between threads.

    Args:
        folder: Where segments lie; made when it is not there.
        clock: Unix seconds.

    Raises:
        RecorderBusy: Another collector uses the folder.
    """

    def __init__(self, folder: Path, limits: Limits | None = None, *, clock: Callable[[], float]) -> None:
        self.degraded_frames = 0  # kept in memory only, because the disk refused
        self.torn_bytes = 0  # at the end of older segments, cut by a crash
        self._folder, self._limits, self._clock = folder, limits or Limits(), clock
        self._lock = threading.Lock()
        self._index: TraceIndex[Place] = TraceIndex()
        self._memory: OrderedDict[int, Frame] = OrderedDict()
        self._memory_bytes, self._memory_next = 0, 0
        self._file: IO[bytes] | None = None
        self._path, self._opened_at, self._size, self._number = Path(), 0.0, 0, 0
        self._retry_at, self._lock_file = 0.0, None
        self._compressor = threading.local()
        self._lock_file = self._claim()
        self._read_back()

    @property
    def degraded(self) -> bool:
        """Whether the newest frames are in memory only."""
        return self._retry_at > 0

    def compress(self, parsed: Parsed, payload: bytes) -> Frame:
        """A frame to append; the slow part, apart so that it runs outside of any lock."""
        if not hasattr(self._compressor, "one"):
            self._compressor.one = zstandard.ZstdCompressor(level=1)
        return Frame(self._clock(), parsed.signal, parsed.trace_keys, self._compressor.one.compress(payload))

    def append(self, frame: Frame) -> Place:
        """Keep a frame; never raises because of the disk."""
        with self._lock:
            place = self._to_disk(frame) or self._to_memory(frame)
            self._index.add(frame.at, place, frame.trace_keys)
            return place

    def traces(self, trace_ids: Iterable[str]) -> dict[str, list[Span]]:
        """What was recorded of each trace, whole, by start time; a trace that is not known has no entry.

        Args:
            trace_ids: 32 hex digits each; others are ignored.
        """
        wanted = {bytes.fromhex(one) for one in trace_ids if _is_trace_id(one)}
        with self._lock:
            places = self._index.find({int.from_bytes(one[:8], "big") for one in wanted})
            in_memory = [
                self._memory[place.start] for place in places if not place.segment and place.start in self._memory
            ]
        frames = [*self._read(place for place in places if place.segment), *in_memory]
        found: dict[str, list[Span]] = {}
        for frame in frames:
            for span in spans_in(frame, wanted):
                found.setdefault(span.trace_id, []).append(span)
        return {trace_id: sorted(spans, key=lambda span: span.start_unix_ns) for trace_id, spans in found.items()}

    def sweep(self) -> None:
        """Let go of what is too old or too much; call it every few seconds."""
        now = self._clock()
        with self._lock:
            self._index.forget_before(now - self._limits.age_s)
            paths = [path for path in segments.segment_paths(self._folder) if path != self._path]
        sizes = {path: _size(path) for path in paths}
        excess = sum(sizes.values()) + self._size - self._limits.total_bytes
        for path in paths:
            if excess <= 0 and _modified(path) >= now - self._limits.age_s:
                continue
            excess -= sizes[path]
            with contextlib.suppress(OSError):
                path.unlink()

    def close(self) -> None:
        with self._lock:
            self._close_segment()
            if self._lock_file is not None:
                self._lock_file.close()

    def _claim(self) -> IO[bytes] | None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock_file = open(self._folder / "lock", "wb")  # noqa: SIM115 - held open as long as we run
        except OSError as error:
            self._degrade(error)
            return None
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock_file.close()
            raise RecorderBusy(
                f"another paramedic records to {self._folder}: stop it, or choose another PARAMEDIC_DATA_DIR"
            ) from None
        return lock_file

    def _read_back(self) -> None:
        for path in segments.segment_paths(self._folder):
            if _modified(path) < self._clock() - self._limits.age_s:
                continue
            whole = 0
            for start, whole, frame in segments.frames_of(path):
                self._index.add(frame.at, Place(path.name, start, whole), frame.trace_keys)
            self.torn_bytes += max(_size(path) - whole, 0)

    def _to_disk(self, frame: Frame) -> Place | None:
        if frame.at < self._retry_at:
            return None
        data = segments.encode(frame)
        try:
            if self._segment_for(frame.at).write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self._degrade(error)
            return None
        if self._retry_at:
            log.warning("flight recorder: %s takes writes again", self._folder)
        self._retry_at = 0.0
        start, self._size = self._size, self._size + len(data)
        return Place(self._path.name, start, self._size)

    def _segment_for(self, at: float) -> IO[bytes]:
        limits = self._limits
        if self._file and (self._size > limits.segment_bytes or at - self._opened_at > limits.segment_s):
            self._close_segment()
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._number += 1
            self._path = segments.segment_path(self._folder, at, self._number)
            self._file = open(self._path, "xb", buffering=0)  # noqa: SIM115 - held open until it is full
            self._opened_at, self._size = at, 0
        return self._file

    def _close_segment(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
        self._file = None

    def _degrade(self, error: OSError) -> None:
        if not self._retry_at:
            log.error("flight recorder: %s cannot be written (%s); keeping the newest traces in memory only, "
                      "retrying every %.0f s", self._folder, error.strerror, _RETRY_S)  # fmt: skip
        self._close_segment()  # what was half written is torn, and the next segment is a new file
        self._retry_at = self._clock() + _RETRY_S

    def _to_memory(self, frame: Frame) -> Place:
        self.degraded_frames += 1
        number, self._memory_next = self._memory_next, self._memory_next + 1
        self._memory[number] = frame
        self._memory_bytes += len(frame.body)
        while self._memory_bytes > _MEMORY_BYTES and len(self._memory) > 1:
            _, oldest = self._memory.popitem(last=False)
            self._memory_bytes -= len(oldest.body)
        return Place("", number, number + 1)

    def _read(self, places: Iterable[Place]) -> list[Frame]:
        frames = []
        for place in places:
            try:
                with open(self._folder / place.segment, "rb") as file:
                    found = segments.decode(os.pread(file.fileno(), place.end - place.start, place.start))
            except OSError:
                continue  # swept away meanwhile
            if found is not None:
                frames.append(found[0])
        return frames


def _is_trace_id(text: str) -> bool:
    try:
        return len(bytes.fromhex(text)) == 16
    except ValueError:
        return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _modified(path: Path) -> float:
    """When a segment was last written; 0 when it is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
