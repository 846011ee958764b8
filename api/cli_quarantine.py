"""What was rejected, for people: the table `quarantine`, listed or one row whole.

Must live here: the questions. Must not: how ClickHouse is asked (sinks.query).
"""

from pathlib import Path

from api.cli_settings import clickhouse_of
from sinks.query import query


def list_rejected(data: Path, limit: int, reason: str | None, as_json: bool) -> int:
    """The newest, with their reasons; the exit code."""
    where = f"WHERE reason = {_text(reason)}" if reason else ""
    columns = "quarantine_id, at, source, reason, substring(detail, 1, 100) AS detail"
    return _ask(
        f"{columns} FROM quarantine FINAL {where} ORDER BY at DESC LIMIT {limit}", data, as_json
    )


def show_rejected(data: Path, quarantine_id: str, as_json: bool) -> int:
    """One row whole, for people a line a field; the exit code."""
    names = ("quarantine_id", "at", "source", "reason", "detail", "body")
    row = f"FROM quarantine FINAL WHERE quarantine_id = {_text(quarantine_id)}"
    if as_json:
        return _ask(f"{', '.join(names)} {row}", data, as_json)
    pairs = ", ".join(f"({_text(name)}, toString({name}))" for name in names)
    return _ask(f"(arrayJoin([{pairs}]) AS pair).1 AS field, pair.2 AS value {row}", data, as_json)


def _ask(selected: str, data: Path, as_json: bool) -> int:
    return query(f"SELECT {selected}", url=clickhouse_of(data), data=data, as_json=as_json)


def _text(value: str) -> str:
    """A ClickHouse string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
