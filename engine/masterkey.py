"""The master key: it wraps every customer's key and is kept apart from all of them.

Must live here: its file, wrapping and unwrapping. Must not: a customer's key in use, a store.
The file holds a key a line, 64 hex digits, the one in force first; older ones stay only while
`laike keys rotate` is at work. It is read again whenever it changes, so nothing is restarted.

    MasterKeyError   the file cannot be used: what, where, what is expected
"""

import hashlib
import os
import re
import secrets
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

ID_BYTES: Final = 4
FILE: Final = "master.key"


class MasterKeyError(ValueError):
    """The master key cannot be used."""


class MasterKey:
    """The keys in `path`; the file is made, for its owner alone, where `make` says so."""

    def __init__(self, path: Path, *, make: bool = False) -> None:
        self.path = path
        self._stamp = (0, 0, 0)
        self._keys: dict[bytes, bytes] = {}
        if make and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write([secrets.token_bytes(32)], exclusive=True)

    def wrap(self, key: bytes) -> bytes:
        """The key as it is stored: the id of the master key in force, and the wrapped key."""
        name, master = next(iter(self._read().items()))
        return name + aes_key_wrap(master, key)

    def unwrap(self, stored: bytes) -> bytes:
        """The key that `wrap` was given."""
        name = stored[:ID_BYTES]
        master = self._read().get(name)
        if master is None:
            told = f"{self.path}: the master key {name.hex()} is needed, and is not in it"
            raise MasterKeyError(told)
        try:
            return aes_key_unwrap(master, stored[ID_BYTES:])
        except InvalidUnwrap:
            raise MasterKeyError(f"{self.path}: a stored key was altered") from None

    def in_force(self, stored: bytes) -> bool:
        """Whether it is wrapped under the master key in force."""
        return stored[:ID_BYTES] == next(iter(self._read()))

    def begin_rotation(self) -> None:
        """Put a new key in force; with two in the file already, an earlier rotation goes on."""
        keys = list(self._read().values())
        if len(keys) == 1:
            self._write([secrets.token_bytes(32), *keys])

    def end_rotation(self) -> None:
        """Let go of all but the key in force."""
        self._write(list(self._read().values())[:1])

    def _read(self) -> dict[bytes, bytes]:
        try:
            found = self.path.stat()
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp != self._stamp:
                self._keys = _parse(self.path)
                self._stamp = stamp
        except OSError as away:
            told = f"cannot read the master key at {self.path}: {away.strerror}"
            raise MasterKeyError(told) from None
        return self._keys

    def _write(self, keys: list[bytes], *, exclusive: bool = False) -> None:
        fresh = self.path if exclusive else self.path.with_name(self.path.name + ".new")
        how = os.O_WRONLY | os.O_CREAT | (os.O_EXCL if exclusive else os.O_TRUNC)
        try:
            descriptor = os.open(fresh, how, 0o600)
        except FileExistsError:
            return  # another process made it just now
        except OSError as refused:
            told = f"cannot write {fresh}: {refused.strerror}; put a new key as the first line"
            raise MasterKeyError(f"{told} by hand, rotate, and take the old line out") from None
        with os.fdopen(descriptor, "w") as file:
            file.write("".join(f"{key.hex()}\n" for key in keys))
            file.flush()
            os.fsync(file.fileno())
        if not exclusive:
            fresh.replace(self.path)


def _parse(path: Path) -> dict[bytes, bytes]:
    lines = path.read_text().split()
    if not lines or not all(re.fullmatch(r"[0-9a-fA-F]{64}", line) for line in lines):
        raise MasterKeyError(f"{path}: expected 64 hex digits a line, the key in force first")
    keys = [bytes.fromhex(line) for line in lines]
    return {hashlib.sha256(b"laike master " + key).digest()[:ID_BYTES]: key for key in keys}
