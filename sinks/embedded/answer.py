"""One request from its statement to the last row, in a thread of its own.

Must live here: what is done with a statement. Must not: sockets, asyncio, the bytes of an answer.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sinks.embedded import formats
from sinks.embedded.content import BadContentError, Source
from sinks.embedded.engine import (
    BAD_ARGUMENTS,
    NOT_IMPLEMENTED,
    Connection,
    Engine,
    EngineError,
    Piece,
)
from sinks.embedded.output import Output, Reply
from sinks.embedded.request import Request
from sinks.embedded.statement import BadStatementError, Statement

READONLY = 164


def answer(engine: Engine, request: Request, reply: Reply, spool: Path) -> None:
    """Answer one request."""
    out = Output(engine, request, reply, spool)
    try:
        with _as_engine_errors():
            asked, data = request.statement()
            _run(engine, request, asked, data, out)
        out.end()
    except EngineError as error:
        out.fail(error)
    finally:
        out.close()


@contextmanager
def _as_engine_errors() -> Iterator[None]:
    try:
        yield
    except BadStatementError as error:
        raise EngineError.of(str(error)) from None
    except BadContentError as error:
        raise EngineError.made(BAD_ARGUMENTS, "BAD_ARGUMENTS", str(error)) from None


def _run(engine: Engine, request: Request, asked: Statement, data: Source, out: Output) -> None:
    session = request.fields.get("session_id", "")
    must_exist = request.flag("session_check")
    with engine.connection(session, request.session_seconds, must_exist=must_exist) as connection:
        if request.read_only and not (
            asked.verb in {"SET", "USE"} or connection.is_read_only(asked.text)
        ):
            raise EngineError.made(
                READONLY,
                "READONLY",
                "Cannot execute query in readonly mode: GET only reads, use POST",
            )
        with _settings(engine, request, connection, in_session=bool(session)):
            for table in request.tables:
                name = table.name.replace("`", "")
                connection.whole(f"CREATE TEMPORARY TABLE `{name}` ({table.structure})")
                connection.insert(
                    f"INSERT INTO `{name}`".encode(), table.format, _Bytes(table.data)
                )
            if asked.data_at is not None:
                _insert(request, asked, data, connection, out)
            else:
                if data.read(1):
                    raise EngineError.made(
                        NOT_IMPLEMENTED,
                        "NOT_IMPLEMENTED",
                        f"Data after {asked.verb} are not supported",
                    )
                _query(engine, request, asked, connection, out)
    if request.flag("close_session"):
        engine.end_session(session)


@contextmanager
def _settings(
    engine: Engine, request: Request, connection: Connection, *, in_session: bool
) -> Iterator[None]:
    """The request's settings; a session gets its own back afterwards."""
    tag = {"log_comment": request.query_id}
    wanted = request.settings if in_session else {**engine.defaults, **request.settings}
    before = connection.changed(wanted) if in_session and wanted else {}
    if request.database:
        name = request.database.replace("\\", "\\\\").replace("`", "\\`")
        connection.whole(f"USE `{name}`")
    connection.set({**tag, **wanted})
    if request.read_only and not in_session:
        connection.set({"readonly": "2"})
    try:
        yield
    finally:
        connection.set(before)


def _insert(
    request: Request, asked: Statement, data: Source, connection: Connection, out: Output
) -> None:
    form = asked.format or request.format or "Values"
    done = connection.insert(
        asked.text, form, data, clause=asked.clause, parameters=request.parameters
    )
    out.summary.written_rows = out.summary.read_rows = done.written_rows
    out.summary.written_bytes = out.summary.read_bytes = done.written_bytes


def _query(
    engine: Engine, request: Request, asked: Statement, connection: Connection, out: Output
) -> None:
    form = asked.format or request.format or "TabSeparated"
    if asked.has_result:
        out.format = form
    header_of = formats.joiner(form)
    read_only = connection.is_read_only(asked.text)
    if read_only:
        out.may_cancel()
    if asked.may_stream and header_of and read_only and not _odd(request):
        with closing(connection.stream(asked.text, form, request.parameters)) as pieces:
            for at, piece in enumerate(pieces):
                data = piece.data[header_of(piece.data) :] if at and piece.data else piece.data
                out.add(Piece(data, piece.rows))
        return
    if asked.has_result and "max_result_bytes" not in request.settings:
        most = str(engine.limits.whole_result_mb << 20)
        connection.set({"max_result_bytes": most, "result_overflow_mode": "throw"})
    out.add(connection.whole(asked.text, form, request.parameters, out.summary))


def _odd(request: Request) -> bool:
    """A setting that makes rows one document."""
    return request.flag("output_format_json_array_of_rows")


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int) -> bytes:
        piece, self._data = self._data[:size], self._data[size:]
        return piece
