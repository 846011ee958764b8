"""The in-process engine: a connection for each request, sessions, limits, and its errors.

The only module that knows chdb. A connection costs 0.1 ms and is a session of its own, so a
request gets a fresh one, sets what it asks for, and drops it: nothing can leak into the next
request, and an insert never waits behind a query. One connection is kept, so that the engine is.
Errors: EngineError, with ClickHouse's code.
"""

import importlib
import re
import tempfile
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from sinks.embedded.content import Source
from sinks.embedded.limits import Limits

_chdb: Any = importlib.import_module("chdb._chdb")  # compiled, without types

_CODE = re.compile(r"Code: (\d+)\. DB::Exception: ")
_VERSION_TAIL = re.compile(r"\s*\(version [^()]*(\([^()]*\))?\)\s*$")
_OF_A_FILE = re.compile(
    r"\(in file/uri /dev/fd/\d+\): "
    r"|(: While executing File: data for INSERT was parsed from file)?\. \(\w+\) \(version [^)]*\)"
)
_TWICE = re.compile(r"^(Code: \d+\. DB::Exception: )\1")
_PIECE = 1 << 20
_WORD = re.compile(r"\w+")

BAD_ARGUMENTS, SESSION_NOT_FOUND, SESSION_IS_LOCKED = 36, 372, 373
TOO_MANY_QUERIES, NOT_IMPLEMENTED, UNKNOWN_SETTING = 202, 48, 115
NOT_ENOUGH_SPACE, UNKNOWN_FORMAT = 243, 73


class EngineError(Exception):
    """An error with ClickHouse's code and text."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    @classmethod
    def of(cls, text: str) -> "EngineError":
        """From what the engine says."""
        text = _VERSION_TAIL.sub("", text)
        found = _CODE.search(text)
        if found is None:
            return cls(1001, f"Code: 1001. DB::Exception: {text.strip()}. (STD_EXCEPTION)")
        return cls(int(found[1]), text[found.start() :].strip())

    @classmethod
    def made(cls, code: int, name: str, message: str) -> "EngineError":
        """One of our own, in the same form."""
        return cls(code, f"Code: {code}. DB::Exception: {message}. ({name})")

    def of_data(self) -> "EngineError":
        """What would be said had the data come with the statement, not from a file."""
        return EngineError(self.code, _TWICE.sub(r"\1", _OF_A_FILE.sub("", str(self))))


class Piece(NamedTuple):
    """A piece of a result."""

    data: bytes
    rows: int


@dataclass
class Summary:
    """What a request read and wrote, for X-ClickHouse-Summary."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    result_bytes: int = 0


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise EngineError.of(str(error)) from None


class Connection:
    """One session of the engine, used by one thread at a time."""

    def __init__(self, path: str, spool: Path) -> None:
        self._spool = spool
        with _errors():
            self._raw = _chdb.connect(path)

    def close(self) -> None:
        """Drop it, with its settings and temporary tables."""
        self._raw.close()

    def set(self, settings: Mapping[str, str]) -> None:
        """Change settings of this session; raises EngineError for an unknown one."""
        for name in settings:
            if not _WORD.fullmatch(name):
                raise EngineError.made(UNKNOWN_SETTING, "UNKNOWN_SETTING", f"Setting {name!r}")
        if settings:
            pairs = (f"{name} = {quoted(value)}" for name, value in settings.items())
            self.whole("SET " + ", ".join(pairs))

    def changed(self, settings: Mapping[str, str]) -> dict[str, str]:
        """The present values of these settings, to be set back later."""
        names = ", ".join(quoted(name) for name in settings)
        sql = f"SELECT name, value FROM system.settings WHERE name IN ({names})"  # noqa: S608 - quoted
        rows = self.whole(sql, "TSVRaw").data
        return dict(line.split("\t", 1) for line in rows.decode().splitlines() if "\t" in line)

    def is_read_only(self, sql: bytes) -> bool:
        """Whether the statement changes nothing."""
        with _errors():
            asked = self._raw.classify_query(sql.decode("utf-8", "replace"))
        return bool(asked["query_class"] == _chdb.query_class.READ_ONLY)

    def whole(
        self,
        sql: str | bytes,
        form: str = "TabSeparated",
        parameters: Mapping[str, str] | None = None,
        summary: Summary | None = None,
    ) -> Piece:
        """Run a statement and give its result at once."""
        with _errors():
            result = self._raw.query(sql, form, params=dict(parameters or {}))
            if summary is not None:
                summary.read_rows = result.storage_rows_read()
                summary.read_bytes = result.storage_bytes_read()
                summary.written_rows = result.rows_written()
                summary.written_bytes = result.bytes_written()
            return Piece(result.bytes(), result.rows_read())

    def stream(self, sql: bytes, form: str, parameters: Mapping[str, str]) -> Generator[Piece]:
        """Run a query and give its result piece by piece; the last has no rows, maybe totals."""
        with _errors():
            handle = self._raw.send_query(sql, form, params=dict(parameters))
        finished = False
        try:
            while not finished:
                with _errors():
                    result = self._raw.streaming_fetch_result(handle)
                rows = result.rows_read() if result is not None else 0
                finished = rows == 0
                if result is not None:
                    yield Piece(result.bytes(), rows)
        except EngineError:
            finished = True
            raise
        finally:
            if not finished:
                with _errors():
                    self._raw.streaming_cancel_query(handle)

    def insert(
        self,
        head: bytes,
        form: str,
        source: Source,
        *,
        clause: bytes = b"",
        parameters: Mapping[str, str] | None = None,
    ) -> Summary:
        """Insert what the source holds, all of it or nothing up to a million rows.

        `clause` are the statement's SETTINGS. By way of a file: chdb's own insert by pieces says
        that all went well whatever kept the rows out, a limit, too many parts, a full disk.
        """
        if not _WORD.fullmatch(form):
            raise EngineError.made(UNKNOWN_FORMAT, "UNKNOWN_FORMAT", f"Unknown format {form!r}")
        with _written(source, self._spool) as file:  # by its number: a path may be a pattern
            infile = f"FROM INFILE '/dev/fd/{file}' COMPRESSION 'none'".encode()
            sql = b"\n".join([head, infile, clause, f"FORMAT {form}".encode()])  # so comments end
            summary = Summary()
            try:
                self.whole(sql, "Null", parameters, summary)
            except EngineError as error:
                raise error.of_data() from None
        return summary


@contextmanager
def _written(source: Source, spool: Path) -> Iterator[int]:
    """The descriptor of a file without a name that has all of it."""
    with ExitStack() as held:
        try:
            file = held.enter_context(tempfile.TemporaryFile(dir=spool, buffering=0))
            while data := source.read(_PIECE):
                while data:
                    data = data[file.write(data) :]
        except OSError as error:
            told = f"Cannot write what is to be inserted: {error.strerror}"
            raise EngineError.made(NOT_ENOUGH_SPACE, "NOT_ENOUGH_SPACE", told) from error
        yield file.fileno()


@dataclass
class _Session:
    connection: Connection
    timeout: float
    used: float
    lock: threading.Lock = field(default_factory=threading.Lock)


class Engine:
    """The engine on one folder; one process a folder, any number of threads."""

    def __init__(self, folder: Path, spool: Path, limits: Limits) -> None:
        self.limits = limits
        self._spool = spool
        self._path = str(folder)
        self._keeper = self._connect()
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()
        facts = self._keeper.whole("SELECT version(), timezone(), hostName()").data.decode()
        self.version, self.timezone, self.host = facts.rstrip("\n").split("\t")

    def _connect(self) -> Connection:
        return Connection(self._path, self._spool)

    @property
    def defaults(self) -> dict[str, str]:
        """The settings a connection begins with."""
        return {
            "max_execution_time": str(self.limits.query_seconds),
            "max_memory_usage": str(self.limits.query_memory_mb << 20),
        }

    @contextmanager
    def connection(
        self, session_id: str = "", timeout: float = 60.0, *, must_exist: bool = False
    ) -> Iterator[Connection]:
        """A connection of one's own, or a session's, which nobody else has meanwhile."""
        if not session_id:
            fresh = self._connect()
            try:
                yield fresh
            finally:
                fresh.close()
            return
        session = self._session(session_id, timeout, must_exist=must_exist)
        if not session.lock.acquire(blocking=False):
            raise EngineError.made(
                SESSION_IS_LOCKED,
                "SESSION_IS_LOCKED",
                f"Session {session_id} is locked by a concurrent client",
            )
        try:
            session.timeout = timeout
            yield session.connection
        finally:
            session.used = time.monotonic()
            session.lock.release()

    def _session(self, session_id: str, timeout: float, *, must_exist: bool) -> _Session:
        self.expire()
        with self._lock:
            session = self._sessions.get(session_id)
            if session is None:
                if must_exist:
                    raise EngineError.made(
                        SESSION_NOT_FOUND, "SESSION_NOT_FOUND", f"Session {session_id} not found"
                    )
                if len(self._sessions) >= self.limits.sessions:
                    raise EngineError.made(
                        TOO_MANY_QUERIES,
                        "TOO_MANY_SIMULTANEOUS_QUERIES",
                        f"Too many sessions: {self.limits.sessions} are open",
                    )
                connection = self._connect()
                connection.set(self.defaults)
                session = _Session(connection, timeout, time.monotonic())
                self._sessions[session_id] = session
            session.used = time.monotonic()
            return session

    def expire(self, *, everything: bool = False) -> None:
        """Close the sessions that were not used for their time."""
        now = time.monotonic()
        with self._lock:
            for name, session in list(self._sessions.items()):
                idle = now - session.used > session.timeout
                if (idle or everything) and session.lock.acquire(blocking=False):
                    del self._sessions[name]
                    session.connection.close()

    def end_session(self, session_id: str) -> None:
        """Close one session, if it is there."""
        with self._lock:
            session = self._sessions.get(session_id)
            if session is not None and session.lock.acquire(blocking=False):
                del self._sessions[session_id]
                session.connection.close()

    def kill(self, tag: str = "") -> None:
        """Cancel what runs under this tag; without one, everything."""
        which = f"Settings['log_comment'] = {quoted(tag)}" if tag else "1"
        with self.connection() as connection:
            connection.whole(f"KILL QUERY WHERE {which} ASYNC")

    def close(self) -> None:
        """Close everything; parts in memory are written."""
        self.expire(everything=True)
        self._keeper.close()


def quoted(value: Any) -> str:
    """A string literal of SQL."""
    text = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"
