"""Group commit: whoever appends waits until its frame is on disk, together with all that came meanwhile.

    receiver threads --append--> waiting --one thread--> one write, one fdatasync --> then(place), in order --> go on

A frame with the same digest as one that was kept before is not kept again; while the first is still
being committed, both wait for it.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from paramedic_collector.record.segments import Frame, Place

log = logging.getLogger(__name__)

REMEMBER_S: Final = 600.0  # a sender repeats a request for minutes, not for hours
_MOST_DIGESTS: Final = 200_000
Then = Callable[[Place], None]


class RecorderClosed(Exception):
    """Nothing can be appended any more."""


class Digests:
    """What was kept lately. Not safe to share between threads."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, float] = OrderedDict()

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._seen

    def add(self, digest: bytes, at: float) -> None:
        if digest:
            self._seen[digest] = at
        while self._seen:
            oldest, came = next(iter(self._seen.items()))
            if len(self._seen) <= _MOST_DIGESTS and came >= at - REMEMBER_S:
                return
            del self._seen[oldest]


@dataclass(slots=True)
class _Waiting:
    frame: Frame
    then: Then | None
    done: threading.Event = field(default_factory=threading.Event)
    kept: bool = False


class Committer:
    """Safe to share between threads.

    Args:
        keep: Puts frames on disk, or where they go when that fails; called by one thread.
        digests: What earlier runs kept.
    """

    def __init__(self, keep: Callable[[Sequence[Frame]], list[Place]], digests: Digests) -> None:
        self.duplicates = 0  # frames that had been kept before
        self._keep, self._digests = keep, digests
        self._arrived = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._coming: dict[bytes, _Waiting] = {}  # by digest; waiting or being written
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="commit", daemon=True)
        self._thread.start()

    def append(self, frame: Frame, then: Then | None = None) -> bool:
        """Return when the frame is kept.

        Args:
            then: Called with its place by the committing thread, in the order of places; not for a duplicate.

        Returns:
            Whether it is new; False when the same was kept before.

        Raises:
            RecorderClosed: It was not kept.
        """
        with self._arrived:
            if frame.digest in self._digests:
                self.duplicates += 1
                return False
            mine = self._coming.get(frame.digest)
            if again := mine is not None:
                self.duplicates += 1
            else:
                mine = self._enqueue(_Waiting(frame, then))
        mine.done.wait()
        if not mine.kept:
            raise RecorderClosed("the flight recorder failed; its log says why")
        return not again

    def close(self) -> None:
        """Keep what waits, then take no more. May be called twice."""
        with self._arrived:
            self._closed = True
            self._arrived.notify()
        self._thread.join()

    def _enqueue(self, one: _Waiting) -> _Waiting:
        if self._closed:
            raise RecorderClosed("the flight recorder is closed")
        self._waiting.append(one)
        if one.frame.digest:
            self._coming[one.frame.digest] = one
        self._arrived.notify()
        return one

    def _run(self) -> None:
        while True:
            with self._arrived:
                self._arrived.wait_for(lambda: self._waiting or self._closed)
                together, self._waiting = self._waiting, []
            if not together:
                return
            try:
                self._commit(together)
            except Exception:  # the thread must not end: whoever appends would wait for ever
                log.exception("%d frames could not be recorded", len(together))
            self._let_go(together)

    def _commit(self, together: list[_Waiting]) -> None:
        places = self._keep([one.frame for one in together])
        with self._arrived:
            for one in together:
                self._digests.add(one.frame.digest, one.frame.at)
                one.kept = True
        for one, place in zip(together, places, strict=True):
            try:
                if one.then is not None:
                    one.then(place)
            except Exception:
                log.exception("a frame was recorded and could not be handed on")

    def _let_go(self, together: list[_Waiting]) -> None:
        with self._arrived:
            for one in together:
                self._coming.pop(one.frame.digest, None)
        for one in together:
            one.done.set()
