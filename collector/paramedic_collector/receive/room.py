"""How many bytes of requests may be in memory at once, over all connections of all receivers.

    room.take(65536) -> True | False      room.give(65536)

What is being received, waits for a worker, or is unpacked counts; what is accepted is the intake's. So a
thousand senders at once, or one that unpacks a bomb, cannot take more memory than this.
"""

import threading


class Room:
    """Safe to share between threads; `limit_bytes` may be set later.

    Raises:
        ValueError: The limit is not above 0.
    """

    def __init__(self, limit_bytes: int) -> None:
        if limit_bytes < 1:
            raise ValueError(f"limit_bytes must be at least 1, got {limit_bytes!r}")
        self.limit_bytes = limit_bytes
        self._taken, self._lock = 0, threading.Lock()

    @property
    def taken_bytes(self) -> int:
        return self._taken

    def take(self, size: int) -> bool:
        """Whether there was room for so many bytes more; they are taken then, until given back."""
        with self._lock:
            if self._taken + size > self.limit_bytes:
                return False
            self._taken += size
            return True

    def has(self, size: int) -> bool:
        """Whether there would be room; nothing is taken."""
        return self._taken + size <= self.limit_bytes

    def why_full(self) -> str:
        return f"{self._taken} bytes of requests are being received already, the limit is {self.limit_bytes}"

    def give(self, size: int) -> None:
        with self._lock:
            self._taken -= size


class Share:
    """What one request has taken of the room; given back as a whole."""

    __slots__ = ("_room", "bytes")

    def __init__(self, room: Room) -> None:
        self._room, self.bytes = room, 0

    def grow(self, size: int) -> bool:
        """Whether there was room for so many bytes more."""
        if not self._room.take(size):
            return False
        self.bytes += size
        return True

    def end(self) -> None:
        """May be called twice."""
        size, self.bytes = self.bytes, 0
        if size:
            self._room.give(size)
