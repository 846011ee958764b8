"""The log channel: what would be sent, as lines of a file, for a shop that has no channel yet.

Must live here: one JSON line a message in `<data>/sent.jsonl`, turned at a size. Must not: retries.
As a receiver it honours the message's key: after a restart it remembers the latest lines' keys.
"""

import asyncio
import json
import os
from collections import deque
from pathlib import Path

from sinks.channels import Later, Message, Result, Sent

FILE_BYTES_MAX = 64 << 20
REMEMBERED = 10_000  # far more than the relay may repeat after a crash
TAIL_BYTES = 16 << 20


class LogChannel:
    """A file that grows to FILE_BYTES_MAX, then becomes `sent.1.jsonl`."""

    def __init__(self, path: Path, bytes_max: int = FILE_BYTES_MAX) -> None:
        self.path = path
        self.bytes_max = bytes_max
        self._file = -1
        self._keys: deque[str] = deque(maxlen=REMEMBERED)
        self._known: set[str] = set()
        self._loaded = False

    async def send(self, message: Message) -> Result:
        """Write the line, unless it is there. A full disk is a reason to wait, not to lose it."""
        try:
            if not self._loaded:
                for key in await asyncio.to_thread(_latest_keys, self.path):
                    self._remember(key)
                self._loaded = True
            if self._file < 0:
                self._open()
            if message.key not in self._known:
                self._write(message.json() + b"\n")
                self._remember(message.key)
        except OSError as full:
            raise Later(f"{self.path}: {full.strerror}", unsent=True) from full
        return Sent()

    async def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")  # a line was cut short by a crash or a full disk

    def _write(self, line: bytes) -> None:
        if os.fstat(self._file).st_size >= self.bytes_max:
            os.close(self._file)
            self._file = -1
            self.path.replace(_turned(self.path))
            self._open()
        written = os.write(self._file, line)
        if written < len(line):
            os.ftruncate(self._file, os.fstat(self._file).st_size - written)
            raise OSError(0, "the line did not fit: is the disk full?")

    def _remember(self, key: str) -> None:
        if key in self._known:
            return
        if len(self._keys) == REMEMBERED:
            self._known.discard(self._keys[0])
        self._keys.append(key)
        self._known.add(key)


def _turned(path: Path) -> Path:
    return path.with_suffix(".1" + path.suffix)


def _latest_keys(path: Path) -> list[str]:
    lines: list[bytes] = []
    for file in (_turned(path), path):
        if file.exists():
            with file.open("rb") as opened:
                opened.seek(max(0, file.stat().st_size - TAIL_BYTES))
                lines += opened.read().splitlines()
    return [key for line in lines[-REMEMBERED:] if (key := _key(line))]


def _key(line: bytes) -> str:
    try:
        return str(json.loads(line)["data"]["key"])
    except (ValueError, KeyError, TypeError):
        return ""  # the first of the tail, or one cut short
