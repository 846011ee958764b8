"""The data folder: what stands where in it, and what kind of folder it was born as.

Must live here: paths, the format's version, clock and shard count. Must not: a server.

    laike.json    format, clock, shards, step: written once
    laike.lock    who holds the folder now (up_lock)
    secret        signs coupons and tokens     sources.json   the write keys
    redis/        the log and the state        clickhouse/    the analysts' tables
    logs/         what the processes wrote

    FolderError   the folder cannot be used as asked
"""

import hashlib
import os
from pathlib import Path
from typing import Literal

import msgspec

from engine.settings import Clock

FORMAT = 1
SHARDS = 8
STEP_MS = 60_000
_SOCKET_PATH_MAX = 100  # the kernel's limit is 108, with the closing zero


class FolderError(Exception):
    """This folder cannot carry what was asked of it."""


class Birth(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder is for its whole life."""

    format: int = FORMAT
    clock: Literal["wall", "record"]
    shards: int = SHARDS
    step: int = STEP_MS  # of record time, in ms


def born(data: Path) -> Birth | None:
    """What the folder was born as; None for one that is still empty."""
    try:
        text = (data / "laike.json").read_bytes()
    except FileNotFoundError:
        return None
    try:
        birth = msgspec.json.decode(text, type=Birth)
    except msgspec.DecodeError as wrong:
        raise FolderError(f"{data / 'laike.json'}: {wrong}; is this a Laike folder?") from None
    if birth.format > FORMAT:
        told = f"format {birth.format}, written by a newer Laike; this one knows {FORMAT}"
        raise FolderError(f"{data} has {told}: upgrade, or choose another folder with --data")
    return birth


def bear(data: Path, clock: Clock | None, default: Clock) -> Birth:
    """The folder's birth, made if it has none; asking for another clock than its own is refused."""
    birth = born(data)
    if birth is None:
        birth = Birth(clock=clock or default)
        fresh = data / "laike.json.new"
        fresh.write_bytes(msgspec.json.encode(birth) + b"\n")
        fresh.replace(data / "laike.json")
    if clock not in {None, birth.clock}:
        told = f"was born with --clock {birth.clock} and keeps it"
        raise FolderError(f"{data} {told}: leave --clock away, or choose another with --data")
    return birth


def make(data: Path) -> None:
    """The folder and those in it, for its owner alone."""
    for folder in (data, data / "logs", data / "redis", data / "clickhouse"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def redis_socket(data: Path) -> Path:
    """Where Redis listens: in the folder, or beside the system's sockets if its name is long."""
    path = data.absolute() / "redis" / "redis.sock"
    if len(os.fsencode(path)) <= _SOCKET_PATH_MAX:
        return path
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/laike-{os.getuid()}")  # noqa: S108
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise FolderError(f"{folder} belongs to another user: use a shorter --data path")
    return folder / f"laike-{name}.sock"
