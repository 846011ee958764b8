"""What one HTTP request says, read and checked: parameters, settings, the statement, the data.

Pure apart from reading the body it is given. Errors: EngineError, BadStatementError,
BadContentError.
"""

import base64
import binascii
import io
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO
from urllib.parse import parse_qsl

from sinks.embedded import statement
from sinks.embedded.blocks import Unframes
from sinks.embedded.content import Source, unpack
from sinks.embedded.engine import EngineError
from sinks.embedded.statement import MAX_HEAD, Statement

_OURS = frozenset(
    {"query", "database", "default_format", "user", "password", "quota_key", "role", "stacktrace"}
    | {"compress", "decompress", "enable_http_compression", "http_zlib_compression_level"}
    | {"session_id", "session_timeout", "session_check", "close_session", "query_id"}
    | {"buffer_size", "wait_end_of_query", "client_protocol_version", "add_http_cors_header"}
    | {"send_progress_in_http_headers", "http_headers_progress_interval_ms"}
    | {"cancel_http_readonly_queries_on_client_close"}
)
_FORM_MAX = 64 << 20
_SESSION_SECONDS_MAX = 3600


@dataclass(frozen=True)
class Table:
    """An external table sent along with a query."""

    name: str
    structure: str
    format: str
    data: bytes


@dataclass
class Request:
    """One request. `body` is as it came, still compressed."""

    method: str
    fields: dict[str, str]
    headers: Mapping[str, str]
    body: IO[bytes]
    tables: list[Table] = field(default_factory=list)

    @classmethod
    def read(
        cls, method: str, query: bytes, headers: Mapping[str, str], body: IO[bytes]
    ) -> "Request":
        """From the parts of HTTP; a multipart form's fields count like the URL's."""
        fields = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="utf-8"))
        request = cls(method, fields, headers, body)
        content = headers.get("content-type", "")
        if content.lower().startswith("multipart/form-data"):
            request._read_form(content)
        return request

    def _read_form(self, content: str) -> None:
        found = re.search(r'boundary="?([^";]+)"?', content)
        if found is None:
            raise EngineError.made(36, "BAD_ARGUMENTS", "multipart/form-data without a boundary")
        source = unpack(self.headers.get("content-encoding", ""), self.body)
        text = _all(source, _FORM_MAX)
        for name, is_file, data in _parts(text, found[1].encode()):
            if is_file:
                structure = self.fields.get(f"{name}_structure", "")
                types = self.fields.get(f"{name}_types", "")
                if types and not structure:
                    each = enumerate(types.split(","), 1)
                    structure = ", ".join(f"_{at} {kind}" for at, kind in each)
                form = self.fields.get(f"{name}_format", "TabSeparated")
                self.tables.append(Table(name, structure, form, data))
            else:
                self.fields[name] = data.decode("utf-8")
        self.body = io.BytesIO()

    def flag(self, name: str) -> bool:
        """Whether a parameter is given and not 0."""
        return self.fields.get(name, "0") not in {"", "0", "false"}

    @property
    def read_only(self) -> bool:
        """GET changes nothing."""
        return self.method in {"GET", "HEAD"}

    @property
    def query_id(self) -> str:
        """The client's id for this query, or one of ours, the same at every look."""
        return self.fields.setdefault("query_id", secrets.token_hex(16))

    @property
    def database(self) -> str:
        """The database asked for, if any."""
        return self.fields.get("database") or self.headers.get("x-clickhouse-database", "")

    @property
    def settings(self) -> dict[str, str]:
        """The parameters that are settings of the engine."""
        about_tables = {
            f"{table.name}_{what}"
            for table in self.tables
            for what in ("format", "structure", "types")
        }
        return {
            name: value
            for name, value in self.fields.items()
            if name not in _OURS and name not in about_tables and not name.startswith("param_")
        }

    @property
    def parameters(self) -> dict[str, str]:
        """The values of {name:Type} in the statement."""
        return {name[6:]: value for name, value in self.fields.items() if name.startswith("param_")}

    @property
    def session_seconds(self) -> float:
        """How long the session may rest; raises EngineError."""
        text = self.fields.get("session_timeout", "60")
        if not text.isdigit() or not 0 < int(text) <= _SESSION_SECONDS_MAX:
            raise EngineError.made(
                374, "INVALID_SESSION_TIMEOUT", f"Invalid session timeout: '{text}'"
            )
        return float(text)

    @property
    def format(self) -> str:
        """The format asked for outside the statement."""
        return self.headers.get("x-clickhouse-format") or self.fields.get("default_format", "")

    @property
    def credentials(self) -> tuple[str, str]:
        """User and password, from wherever ClickHouse takes them; raises EngineError."""
        kind, _, value = self.headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic":
            try:
                user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                raise denied("an unreadable user") from None
            return user, password
        if kind:
            raise denied("an access token, which the embedded engine does not take")
        headers, fields = self.headers, self.fields
        user = headers.get("x-clickhouse-user") or fields.get("user", "default")
        return user, headers.get("x-clickhouse-key") or fields.get("password", "")

    def statement(self) -> tuple[Statement, Source]:
        """The statement and the data that follow it."""
        source: Source = unpack(self.headers.get("content-encoding", ""), self.body)
        if self.flag("decompress"):
            source = Unframes(source)
        head = self.fields.get("query", "").encode("utf-8", "surrogateescape")
        in_url = bool(head.strip())
        first = source.read(1) if in_url else _some(source, MAX_HEAD + 1)
        if in_url and head.lstrip()[:6].upper() != b"INSERT" and first:
            head += b"\n" + first + _some(source, MAX_HEAD)
            first = b""
        asked = statement.read(head if in_url else first)
        if asked.data_at is None:
            return asked, _Chain([first] if in_url else [], source)
        rest = (head if in_url else first)[asked.data_at :]
        if in_url and rest:
            rest += b"\n"
        return asked, _Chain([rest, first] if in_url else [rest], source)


def denied(who: str) -> EngineError:
    """The answer to wrong credentials."""
    return EngineError.made(
        516,
        "AUTHENTICATION_FAILED",
        f"{who}: Authentication failed: password is incorrect, or there is no user with such name",
    )


class _Chain:
    """Some bytes, then a source."""

    def __init__(self, before: list[bytes], source: Source) -> None:
        self._before = [piece for piece in before if piece]
        self._source = source

    def read(self, size: int) -> bytes:
        if not self._before:
            return self._source.read(size)
        piece = self._before.pop(0)
        if len(piece) > size:
            self._before.insert(0, piece[size:])
        elif not self._before:
            return piece + self._source.read(size - len(piece)) if size > len(piece) else piece
        return piece[:size]


def _some(source: Source, size: int) -> bytes:
    pieces = []
    while size > 0 and (piece := source.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _all(source: Source, most: int) -> bytes:
    data = _some(source, most + 1)
    if len(data) > most:
        raise EngineError.made(36, "BAD_ARGUMENTS", f"a form of more than {most >> 20} MiB")
    return data


def _parts(text: bytes, boundary: bytes) -> Iterator[tuple[str, bool, bytes]]:
    """The parts of a multipart form: name, whether it is a file, content."""
    for part in (b"\r\n" + text).split(b"\r\n--" + boundary)[1:]:
        head, _, content = part.partition(b"\r\n\r\n")
        name = re.search(rb'(?<!file)name="([^"]*)"', head)
        if name is not None:
            yield name[1].decode("utf-8"), b"filename=" in head, content
