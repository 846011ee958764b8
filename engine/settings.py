"""What a process is told at its start: where the log and the stores are, who it is, whom it trusts.

Must live here: every LAIKE_* variable, its default and its check. Must not: a connection to
anything. The environment is read once, in `Settings.load`; code takes a `Settings`. A variable
may stand in a file instead: LAIKE_CLICKHOUSE_FILE names the file that holds LAIKE_CLICKHOUSE.

    SettingsError   one message for all that is wrong: what, where it was set, what is allowed
"""

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, get_args

Clock = Literal["wall", "record"]
SECRET_BYTES_MIN = 16


class SettingsError(ValueError):
    """The process was started with something that cannot work."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything a process needs to know; a frozen value, made by `load` or in a test by hand."""

    data: Path  # the folder of this installation: secret, sources, logs
    secret: bytes = field(repr=False)  # signs coupons, tokens, model snapshots
    log: str = "redis://127.0.0.1:6379"  # redis://, unix:// or kafka://host:port,host:port
    redis: str = "redis://127.0.0.1:6379"
    clickhouse: str = "http://127.0.0.1:8123"  # may carry user:password@ and /database
    rules: Path = Path("rules")
    shards: int = 16
    clock: Clock = "wall"
    worker_index: int = 0  # on the Redis log: this worker's part of the shards
    worker_count: int = 1
    host: str = "127.0.0.1"
    port: int = 8000
    sources: Path | None = None  # who may send; None: sources.json in the data folder
    webhook: str = ""  # where the webhook channel posts; empty: that channel is off
    webhook_allow: str = ""  # patterns of the hosts that webhooks may name; empty: as configured
    keys: str = ""  # the Redis of the customers' keys; empty: keys.db in the data folder
    master_key_file: Path | None = None  # what wraps them; None: master.key in the data folder
    memory_mb: int = 1024  # Redis' bound in the embedded engine
    outbox_mb: int = 256  # of all outboxes together: beyond it commits pause, ingest says 429
    peak_rate: int = 2000  # records a second of a shard from which rules below priority 50 wait
    faults_max: int = 100  # records quarantined of a shard's last 10,000 before a worker stops

    def __post_init__(self) -> None:
        """Refuse what cannot work, all of it at once."""
        wrong = [f"  {told}" for told in _faults(self)]
        if wrong:
            raise SettingsError("these settings cannot work:\n" + "\n".join(wrong))

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **given: Any) -> Self:
        """From the LAIKE_* variables, what is `given` in code going before them.

        >>> Settings.load({"LAIKE_SHARDS": "8"}, data=Path("."), secret=b"0123456789abcdef").shards
        8
        """
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = dict(_from(environ))
        values.update({k: v for k, v in given.items() if v is not None})
        data = Path(values.setdefault("data", Path(".laike")))
        if "secret" not in values:
            values["secret"] = read_secret(Path(environ.get("LAIKE_SECRET_FILE", data / "secret")))
        return cls(**values)

    def environment(self) -> dict[str, str]:
        """The LAIKE_* variables that make a child process load the same settings."""
        values = {name: getattr(self, name) for name in sorted(_PLAIN)}
        return {
            _variable(name): str(value) for name, value in values.items() if value or value == 0
        }

    @property
    def sources_file(self) -> Path:
        """Where the senders and their write keys stand."""
        return self.sources or self.data / "sources.json"

    @property
    def embedded(self) -> bool:
        """Whether the log is the Redis one, of one machine."""
        return not self.log.startswith("kafka://")


def read_secret(path: Path) -> bytes:
    """The installation's secret; every process of it must read the same one."""
    try:
        secret = path.read_bytes().strip()
    except FileNotFoundError:
        told = f"no secret at {path}: make one with `(umask 077; openssl rand -hex 32 > {path})`"
        raise SettingsError(f"{told}, or point LAIKE_SECRET_FILE at it") from None
    except OSError as away:
        raise SettingsError(f"cannot read the secret at {path}: {away.strerror}") from None
    return secret


def make_secret(path: Path) -> bytes:
    """The secret at `path`, made if there is none, readable by its owner alone."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read_secret(path)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32) + "\n")
    return read_secret(path)


_NUMBERS = {
    "shards": (1, 1024),
    "worker_index": (0, 1023),
    "worker_count": (1, 1024),
    "port": (0, 65535),
    "memory_mb": (64, 1 << 20),
    "outbox_mb": (1, 1 << 20),
    "faults_max": (0, 10_000),
    "peak_rate": (0, 1_000_000),
}
_PATHS = ("data", "rules", "sources", "master_key_file")
_TEXTS = ("log", "redis", "clickhouse", "clock", "host", "webhook", "webhook_allow", "keys")
_PLAIN = frozenset([*_NUMBERS, *_PATHS, *_TEXTS])
_URLS = {
    "log": r"(redis|rediss|unix|kafka)://.+",
    "redis": r"(redis|rediss|unix)://.+",
    "clickhouse": r"https?://[^/]+(/\w+)?/?",
    "webhook": r"(https?://.+)?",
    "keys": r"((redis|rediss|unix)://.+)?",
}
_SCHEMES = {
    "log": "redis://host:port, unix:///path or kafka://host:port",
    "redis": "redis://host:port or unix:///path",
    "clickhouse": "http://host:port",
    "webhook": "http(s)://…",
    "keys": "redis://host:port or unix:///path",
}


def _variable(name: str) -> str:
    return "LAIKE_" + name.upper()


def _from(environ: Mapping[str, str]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name in sorted(_PLAIN):
        text = environ.get(_variable(name), "") or _in_file(environ, name)
        if not text:
            continue
        if name in _NUMBERS and not re.fullmatch(r"\d+", text):
            low, high = _NUMBERS[name]
            told = f"{_variable(name)}={text!r}: a whole number from {low} to {high}"
            raise SettingsError(told)
        found.append((name, _read(name, text)))
    return found


def _in_file(environ: Mapping[str, str], name: str) -> str:
    variable = _variable(name) + "_FILE"
    path = environ.get(variable, "")
    try:
        return Path(path).read_text().strip() if path else ""
    except OSError as away:
        raise SettingsError(f"{variable}={path!r}: {away.strerror}") from None


def _read(name: str, text: str) -> int | str | Path:
    if name in _NUMBERS:
        return int(text)
    return Path(text) if name in _PATHS else text


def _shown(address: str) -> str:
    """An address without what may be a secret in it: user, password, path and query.

    >>> _shown("reddis://:pw@host:1/0?x=y")
    'reddis://host:1'
    """
    scheme, mark, rest = address.rpartition("://")
    return scheme + mark + re.split(r"[/?#]", rest.rpartition("@")[2])[0]


def _faults(told: Settings) -> list[str]:
    faults = []
    for name, (low, high) in _NUMBERS.items():
        value = getattr(told, name)
        if not low <= value <= high:
            faults.append(f"{name} ({_variable(name)}) is {value}: a whole number {low} to {high}")
    for name, pattern in _URLS.items():
        value = getattr(told, name)
        if not re.fullmatch(pattern, value):
            faults.append(f"{name} ({_variable(name)}) is {_shown(value)!r}: {_SCHEMES[name]}")
    if told.clock not in get_args(Clock):
        faults.append(f"clock (LAIKE_CLOCK) is {told.clock!r}: wall or record")
    if told.worker_index >= told.worker_count:
        faults.append(f"worker_index is {told.worker_index}: 0 to worker_count - 1, counted from 0")
    if told.worker_count > told.shards:
        most = f"at most one worker a shard ({told.shards})"
        faults.append(f"worker_count is {told.worker_count}: {most}")
    if len(told.secret) < SECRET_BYTES_MIN:
        faults.append(f"the secret has {len(told.secret)} bytes: at least {SECRET_BYTES_MIN}")
    return faults
