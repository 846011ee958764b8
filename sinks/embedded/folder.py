"""The folder's lock: one process a folder, and whoever comes second is told who the first is.

The lock is the operating system's, so it goes with its holder however that dies; the text beside it
only says who holds it and where it listens.
"""

import fcntl
import json
import os
import time
from pathlib import Path
from typing import IO

NAME = "embedded.lock"
_TRIES = 10


class FolderHeldError(Exception):
    """The folder is served already; the message names by whom."""


class FolderLock:
    """The lock on a folder; `take` raises FolderHeldError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Take it, or say who has it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = (self._folder / NAME).open("a+", encoding="utf-8")
        for _ in range(_TRIES - 1):  # somebody may only be looking who serves here
            if _lock(file):
                break
            time.sleep(0.05)
        if not _lock(file):
            file.close()
            told = _read(self._folder)
            raise FolderHeldError(
                f"{self._folder} is served already, by process {told.get('pid', '?')}"
                f" at {told.get('url', 'an address it has not told yet')}:"
                " use that one, or end it first"
            )
        self._file = file

    def tell(self, url: str) -> None:
        """Write down who holds it."""
        (self._folder / NAME).write_text(json.dumps({"pid": os.getpid(), "url": url}), "utf-8")

    def release(self) -> None:
        """Let the next one in."""
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()


def served_at(folder: Path) -> str:
    """The address of the engine that serves this folder now; empty when none does."""
    path = folder / NAME
    if not path.exists():
        return ""
    with path.open("a+", encoding="utf-8") as file:
        return "" if _lock(file) else str(_read(folder).get("url", ""))


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(folder: Path) -> dict[str, object]:
    try:
        told = json.loads((folder / NAME).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
