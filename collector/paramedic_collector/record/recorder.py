"""Flight recorder: the last minutes of everything that was accepted, on disk, found again by trace id.

    append(frame) -> group commit -> segment on disk (or memory, when the disk will not have it)
    traces({"4bf9..."}) -> {"4bf9...": [Span, ...]}        Reader: every frame in order, for forwarding

A frame is on disk for good before its payload is acknowledged. Old segments go by age, then by bytes, but not
while a reader needs them. When the disk is full or unwritable the newest frames stay in memory, a
counter says so, and the disk is tried again after a while.
"""

import fcntl
import hashlib
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Final

import zstandard

from paramedic_collector.decode import Parsed
from paramedic_collector.record import segments
from paramedic_collector.record.commit import REMEMBER_S, Committer, Digests, Then
from paramedic_collector.record.committed import Committed
from paramedic_collector.record.reader import Reader
from paramedic_collector.record.retention import sweep
from paramedic_collector.record.scan import read_frames, scan
from paramedic_collector.record.segments import DIGEST_BYTES, Frame, Place
from paramedic_collector.record.spans import Span, spans_in
from paramedic_collector.record.trace_index import TraceIndex
from paramedic_collector.record.writer import Limits, Writer

__all__ = ["Limits", "Place", "Recorder", "RecorderBusy"]
log = logging.getLogger(__name__)

_RETRY_S: Final = 10.0  # between two tries of a disk that refused
_LEVEL: Final = 1  # of zstd; the faster negative ones leave long texts as they are


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
        self.torn_bytes = 0  # at the end of older segments, cut by a crash
        self.commits = 0  # writes to the disk; each holds all frames that had come
        self.folder, self.committed = folder, Committed()
        self._limits, self._clock = limits or Limits(), clock
        self._lock = threading.Lock()  # of the index and the readers
        self._index: TraceIndex[Place] = TraceIndex()
        self._readers: list[Reader] = []
        self._retry_at = 0.0
        self._compressor = threading.local()
        self._lock_file = self._claim()
        digests = Digests()
        last = self._read_back(digests)
        self._writer = Writer(folder, self._limits, last)
        self._committer = Committer(self._keep, digests)

    @property
    def degraded(self) -> bool:
        """Whether the newest frames are in memory only."""
        return self._retry_at > 0

    @property
    def degraded_frames(self) -> int:
        """Frames kept in memory only, because the disk refused them."""
        return self.committed.memory_frames

    @property
    def disk_bytes(self) -> int:
        return sum(segment.end for segment in self.committed.segments())

    @property
    def duplicates(self) -> int:
        """Frames that were appended again and not kept again."""
        return self._committer.duplicates

    def compress(self, parsed: Parsed, payload: bytes) -> Frame:
        """A frame to append; the slow part, apart so that it runs outside of any lock."""
        if not hasattr(self._compressor, "one"):
            self._compressor.one = zstandard.ZstdCompressor(level=_LEVEL)
        body = self._compressor.one.compress(payload)
        # Of the body, which is the same for the same payload, and ten times smaller.
        digest = hashlib.sha1(body, usedforsecurity=False).digest()[:DIGEST_BYTES]
        return Frame(self._clock(), parsed.signal, parsed.trace_keys, body, digest, parsed.items)

    def append(self, frame: Frame, then: Then | None = None) -> bool:
        """Keep a frame, and return when it is on disk; never raises because of the disk.

        Args:
            then: Called with its place by the committing thread, in the order of places.

        Returns:
            Whether it is new; False for a request that was sent again and had been kept already.

        Raises:
            RecorderClosed: It was not kept.
        """
        return self._committer.append(frame, then)

    def traces(self, trace_ids: Iterable[str]) -> dict[str, list[Span]]:
        """What was recorded of each trace, whole, by start time; a trace that is not known has no entry.

        Args:
            trace_ids: 32 hex digits each; others are ignored.
        """
        wanted = {bytes.fromhex(one) for one in trace_ids if _is_trace_id(one)}
        with self._lock:
            places = self._index.find({int.from_bytes(one[:8], "big") for one in wanted})
        found: dict[str, list[Span]] = {}
        for frame in filter(None, map(self._frame, places)):
            for span in spans_in(frame, wanted):
                found.setdefault(span.trace_id, []).append(span)
        return {trace_id: sorted(spans, key=lambda span: span.start_unix_ns) for trace_id, spans in found.items()}

    def add_reader(self, reader: Reader) -> None:
        with self._lock:
            self._readers.append(reader)

    def remove_reader(self, reader: Reader) -> None:
        with self._lock:
            if reader in self._readers:
                self._readers.remove(reader)

    def sweep(self) -> None:
        """Let go of what is too old or too much; call it every few seconds."""
        with self._lock:
            self._index.forget_before(self._clock() - self._limits.age_s)
            readers = list(self._readers)
        sweep(self.folder, self.committed, self._writer.segment, self._limits, readers, self._clock())

    def close(self) -> None:
        """Keep what is on its way in, then close. May be called twice."""
        self._committer.close()
        self._writer.close()
        if self._lock_file is not None:
            self._lock_file.close()

    def _claim(self) -> IO[bytes] | None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock_file = open(self.folder / "lock", "wb")  # noqa: SIM115 - held open as long as we run
        except OSError as error:
            self._degrade(error)
            return None
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock_file.close()
            raise RecorderBusy(
                f"another paramedic records to {self.folder}: stop it, or choose another PARAMEDIC_DATA_DIR"
            ) from None
        return lock_file

    def _read_back(self, digests: Digests) -> str:
        """Take up what earlier runs left, and cut off what a crash left torn; the newest segment's name."""
        paths = segments.segment_paths(self.folder)
        now = self._clock()
        for path in paths:
            found = scan(path, prove=path == paths[-1])
            if found is None:
                continue
            if found.torn_bytes:
                self.torn_bytes += found.torn_bytes
                self._cut(path, found.end)
            for head in found.heads:
                if head.at >= now - self._limits.age_s:
                    self._index.add(head.at, Place(path.name, head.start, head.end), head.trace_keys)
                if head.at >= now - REMEMBER_S:
                    digests.add(head.digest, head.at)
            if found.heads:
                self.committed.extend(path.name, found.end, max(head.at for head in found.heads))
        return paths[-1].name if paths else ""

    def _cut(self, path: Path, end: int) -> None:
        try:
            with open(path, "r+b") as file:
                file.truncate(end)
        except OSError as error:
            log.warning("flight recorder: the torn end of %s cannot be cut off: %s", path, error.strerror)

    def _keep(self, frames: Sequence[Frame]) -> list[Place]:
        places = self._to_disk(frames) or self.committed.remember(frames)
        with self._lock:
            for frame, place in zip(frames, places, strict=True):
                self._index.add(frame.at, place, frame.trace_keys)
        return places

    def _to_disk(self, frames: Sequence[Frame]) -> list[Place] | None:
        at = max(frame.at for frame in frames)
        if at < self._retry_at:
            return None
        try:
            places = self._writer.write([segments.encode(frame) for frame in frames], at)
        except OSError as error:
            self._degrade(error)
            return None
        if self._retry_at:
            log.warning("flight recorder: %s takes writes again", self.folder)
        self._retry_at = 0.0
        self.commits += 1
        self.committed.extend(places[-1].segment, places[-1].end, at)
        return places

    def _degrade(self, error: OSError) -> None:
        if not self._retry_at:
            log.error("flight recorder: %s cannot be written (%s); keeping the newest traces in memory only, "
                      "retrying every %.0f s", self.folder, error.strerror, _RETRY_S)  # fmt: skip
        self._retry_at = self._clock() + _RETRY_S

    def _frame(self, place: Place) -> Frame | None:
        """None when it was swept away meanwhile."""
        if not place.segment:
            return self.committed.in_memory(place.start)
        found, _ = read_frames(self.folder / place.segment, place, place.end - place.start)
        return found[0][1] if found else None


def _is_trace_id(text: str) -> bool:
    try:
        return len(bytes.fromhex(text)) == 16
    except ValueError:
        return False
