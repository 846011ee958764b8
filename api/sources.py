"""Who may send: the sources of <data>/sources.json, found by their write keys.

Must live here: the file's shape, keys and their hashes, a source's allowance. Must not: HTTP.

    [{"name": "web", "write_key": "sha256:5e88...", "kind": "browser", "trusted": false, "rate": 0,
      "old_keys": [{"write_key": "sha256:77af...", "until": 1800000000000}]}]

A `write_key` stands in the file as it is or, better, as `sha256:` and the hash of it in hex
(`printf %s KEY | sha256sum`), so that who reads the file cannot send. A browser's key is public:
it may not assert orders, refunds, points or consent unless the source says `"trusted": true`.
A key in `old_keys` is good until its time (ms UTC): so senders change over without a gap.
`rate` is the events a second the source may send over time, 0 for any number, in each API process:
it keeps one sender from starving the others, and asking Redis would cost every call a round trip.
The file is read again when it changes; while it cannot be read, the sources before stay.
"""

import base64
import binascii
import hashlib
import logging
import math
import os
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

FILE, KEYS_FILE = "sources.json", "write-keys.txt"
HASHED = "sha256:"
LOOK_SECONDS = 2.0
BURST_SECONDS = 5

_log = logging.getLogger(__name__)


class SourcesError(ValueError):
    """The sources file cannot be used; says where and what was expected."""


class OldKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that was, and is still good for a while."""

    write_key: str
    until: int


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One sender of events, as the file has it."""

    name: str
    write_key: str
    kind: Literal["browser", "server"] = "browser"
    trusted: bool | None = None
    rate: int = 0
    old_keys: tuple[OldKey, ...] = ()

    @property
    def may_assert(self) -> bool:
        """Whether it may speak of orders, refunds, points and consent."""
        return self.kind == "server" if self.trusted is None else self.trusted


class Sender:
    """A source at the door: what each request asks of it, made once."""

    __slots__ = ("_left", "_seen", "name", "rate", "trusted")

    def __init__(self, source: Source) -> None:
        self.name = source.name
        self.trusted = source.may_assert
        self.rate = source.rate
        self._left = float(source.rate * BURST_SECONDS)
        self._seen = 0.0

    def spend(self, events: int, now: float) -> int:
        """Take `events` from the allowance; else the seconds to wait, 0 meaning taken.

        A batch passes whole while anything is left, and the next one waits the longer. (limits' own
        windows never pass a batch above the rate, and take 4 to 20 us a call where this takes 1.)
        """
        if not self.rate:
            return 0
        most = float(self.rate * BURST_SECONDS)
        self._left = min(most, self._left + (now - self._seen) * self.rate)
        self._seen = now
        if self._left <= 0:
            return max(1, math.ceil(-self._left / self.rate))
        self._left -= events
        return 0


class Sources:
    """All senders by write key, read again from their file when it changes."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._looked = clock()
        self._stamp = _stamp(file)
        self._take(read_sources(file))

    def find(self, write_key: str) -> Sender | None:
        """The sender with this key, None when nobody has it."""
        now = self._clock()
        if now - self._looked > LOOK_SECONDS:
            self._looked = now
            self._read_again()
        digest = hash_of(write_key)
        found = self._by_hash.get(digest)
        if found is None and digest in self._old:
            sender, until = self._old[digest]
            found = sender if time.time() * 1000 < until else None
        return found

    def _take(self, sources: tuple[Source, ...]) -> None:
        senders = [(source, Sender(source)) for source in sources]
        self._by_hash = {_stored_hash(source.write_key): sender for source, sender in senders}
        self._old = {
            _stored_hash(old.write_key): (sender, old.until)
            for source, sender in senders
            for old in source.old_keys
        }

    def _read_again(self) -> None:
        if (stamp := _stamp(self._file)) == self._stamp:
            return
        self._stamp = stamp
        try:
            self._take(read_sources(self._file))
        except SourcesError as wrong:
            _log.error("%s; the sources before stay", wrong)


def key_of_basic(authorization: bytes) -> str:
    """The write key of an Authorization header, `Basic base64(writeKey + ":")`, "" without one.

    >>> key_of_basic(b"Basic d2ViXzE6")
    'web_1'
    """
    scheme, _, code = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return ""
    try:
        return base64.b64decode(code.strip()).partition(b":")[0].decode()
    except (binascii.Error, UnicodeDecodeError):
        return "?"  # a key nobody has


def is_ours(name: str) -> bool:
    """Whether the engine itself sends under this name, and no one else may."""
    return name.partition(" ")[0].lower() == "laike"


def read_sources(file: Path) -> tuple[Source, ...]:
    """The sources in `file`."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=tuple[Source, ...])
    except (OSError, msgspec.DecodeError) as wrong:
        told = "expected a list of {name, write_key, kind: browser|server, trusted, rate}"
        raise SourcesError(f"{file}: {wrong}; {told}") from None
    keys = [one.write_key for one in found]
    keys += [old.write_key for one in found for old in one.old_keys]
    hashes = [_stored_hash(key) for key in keys]
    if len(set(hashes)) < len(hashes) or not all(keys):
        raise SourcesError(f"{file}: each source needs a write_key of its own")
    if ours := sorted(source.name for source in found if is_ours(source.name)):
        raise SourcesError(f"{file}: {ours[0]!r} is a name of our own: call the source otherwise")
    if len({source.name for source in found}) < len(found):
        raise SourcesError(f"{file}: each source needs a name of its own")
    return found


def write_sources(file: Path, sources: Sequence[Source]) -> None:
    """All of the file anew, for its owner alone."""
    text = msgspec.json.format(msgspec.json.encode(sources), indent=2).decode()
    write_private(file, text + "\n")


def ensure_sources(data: Path) -> dict[str, str]:
    """Write keys by source name, of a folder whose sources we made: `web` and `server` at first.

    The keys in plain stand only in write-keys.txt, for the owner alone; who has taken note of them
    may delete it. A folder with sources of its own is left as it is: its keys are not known here.
    """
    file, keys_file = data / FILE, data / KEYS_FILE
    if not file.exists():
        keys = {name: new_key(name) for name in ("web", "server")}
        made = [
            Source(name="web", write_key=hashed(keys["web"])),
            Source(name="server", write_key=hashed(keys["server"]), kind="server"),
        ]
        data.mkdir(parents=True, exist_ok=True)
        write_private(keys_file, "".join(f"{name} {key}\n" for name, key in keys.items()))
        write_sources(file, made)
        return keys
    if not keys_file.exists():
        return {}
    lines = keys_file.read_text().splitlines()
    return {name: key for name, _, key in (line.partition(" ") for line in lines) if key}


def _stored_hash(written: str) -> bytes:
    if not written.startswith(HASHED):
        return hash_of(written)
    try:
        found = bytes.fromhex(written.removeprefix(HASHED))
    except ValueError:
        found = b""
    if len(found) != hashlib.sha256().digest_size:
        raise SourcesError("a write_key begins with `sha256:`: after it come 64 hex digits")
    return found


def new_key(name: str) -> str:
    """A key nobody has, that says whose it is."""
    return f"{name}_{secrets.token_urlsafe(24)}"


def hashed(write_key: str) -> str:
    """The key as it stands in the file."""
    return HASHED + hash_of(write_key).hex()


def hash_of(write_key: str) -> bytes:
    """What a key is found by."""
    return hashlib.sha256(write_key.encode("utf-8", "surrogatepass")).digest()


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def write_private(file: Path, text: str) -> None:
    """The whole text or none of it, readable by its owner alone."""
    fresh = file.with_name(file.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
    fresh.replace(file)
