"""Changes of who may send: adding a source, changing its key with an overlap, taking it away.

Must live here: the changes, each recorded. Must not: how a key is looked up (sources). A key is
told once, to whom makes it; the file has its hash. write-keys.txt, which holds a folder's first
keys in plain, follows while it is there.
"""

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import redis

from api.sources import (
    HASHED,
    KEYS_FILE,
    OldKey,
    Source,
    SourcesError,
    hashed,
    is_ours,
    new_key,
    read_sources,
    write_private,
    write_sources,
)
from engine.audit import record

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class SourceChanges:
    """The sources of one file, changed by `who`."""

    def __init__(self, file: Path, store: redis.Redis, secret: bytes, who: str) -> None:
        self._file = file
        self._store = store
        self._secret = secret
        self._who = who

    def add(self, name: str, **given: Any) -> str:
        """A new source (kind, trusted, rate as in the file); its key."""
        sources = self._all()
        if is_ours(name):
            raise SourcesError(f"{name!r} is a name of our own: call the source otherwise")
        if not _NAME.fullmatch(name):
            raise SourcesError(f"{name!r} is no name: letters, digits and . _ -, at most 64")
        if any(source.name == name for source in sources):
            raise SourcesError(f"there is a source {name!r} already")
        key = new_key(name)
        made = Source(name=name, write_key=hashed(key), **given)
        self._record("source added", name=name, kind=made.kind, may_assert=made.may_assert)
        write_sources(self._file, [*sources, made])
        return key

    def rotate(self, name: str, overlap_seconds: float) -> str:
        """Another key for the source; the one it had is good for `overlap_seconds` more."""
        before = self._find(name)
        now, key = int(time.time() * 1000), new_key(name)
        kept = [old for old in before.old_keys if old.until > now]
        if overlap_seconds:
            until = now + int(overlap_seconds * 1000)
            plain = before.write_key
            if not plain.startswith(HASHED):
                plain = hashed(plain)
            kept.append(OldKey(write_key=plain, until=until))
        after = msgspec.structs.replace(before, write_key=hashed(key), old_keys=tuple(kept))
        self._record("source key rotated", name=name, overlap_seconds=overlap_seconds)
        write_sources(self._file, [after if one == before else one for one in self._all()])
        self._note(name, key)
        return key

    def revoke(self, name: str, *, old_only: bool = False) -> None:
        """Take the source away; with `old_only`, only its keys of before a rotation."""
        before = self._find(name)
        left = [one for one in self._all() if one != before]
        if old_only:
            self._record("old source keys revoked", name=name)
            write_sources(self._file, [*left, msgspec.structs.replace(before, old_keys=())])
            return
        self._record("source revoked", name=name)
        write_sources(self._file, left)
        self._note(name, None)

    def _all(self) -> Sequence[Source]:
        return read_sources(self._file)

    def _find(self, name: str) -> Source:
        for source in self._all():
            if source.name == name:
                return source
        known = ", ".join(source.name for source in self._all())
        raise SourcesError(f"there is no source {name!r}; there are: {known}")

    def _record(self, what: str, **details: Any) -> None:
        record(self._store, self._secret, self._who, what, **details)

    def _note(self, name: str, key: str | None) -> None:
        file = self._file.with_name(KEYS_FILE)
        if not file.exists():
            return
        lines = [line.partition(" ") for line in file.read_text().splitlines()]
        told = {noted: key if noted == name else value for noted, _, value in lines}
        write_private(file, "".join(f"{noted} {value}\n" for noted, value in told.items() if value))
