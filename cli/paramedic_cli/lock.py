"""One platform a data folder: a lock that the operating system lets go of when its holder dies."""

import fcntl
import os
from pathlib import Path
from typing import Self

from paramedic_cli.errors import UserError


class FolderLock:
    """Holds a data folder; use as a context manager.

    The file stays behind with a dead process's id in it; what counts is the lock on it, so a `kill -9`
    never leaves a folder that refuses to start again.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "platform.lock"

    def __enter__(self) -> Self:
        """Take the folder.

        Raises:
            UserError: Another process holds it, or it cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a+")
        except OSError as error:
            raise UserError(
                f"the data folder {self._path.parent} cannot be written ({error.strerror}); "
                "choose another with --data-dir or PARAMEDIC_DATA_DIR"
            ) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            raise UserError(
                f"the data folder {self._path.parent} is in use by the platform with process id {holder}; "
                "stop that one, or choose another folder with --data-dir or PARAMEDIC_DATA_DIR"
            ) from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
