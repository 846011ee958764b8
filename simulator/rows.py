"""The rows of a file of record, in order of time, each with its number: CSV, CSV.gz, Parquet.

Must live here: reading, the order, the file's hash. Must not: what a row means. A file in order of
time, as most are, is streamed; another is sorted in parts on disk. Memory is bounded either way.
"""

import csv
import gzip
import hashlib
import heapq
import pickle
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, NamedTuple

import pyarrow.parquet as pq

SORTED_PART = 200_000
_READ_ROWS = 8_192
_UNREADABLE = (OSError, EOFError, ValueError, csv.Error, zlib.error)


class UnreadableError(ValueError):
    """This file cannot be read as what it seems to be."""


class Row(NamedTuple):
    """Row `number`, from 1, in order of time; `at` in ms. `bad`: its time was not readable."""

    at: int
    number: int
    cells: list[str]
    bad: bool = False


class Survey(NamedTuple):
    """What a first look at the whole file told."""

    rows: int
    first_at: int
    in_order: bool


def file_hash(path: Path) -> str:
    """Sixteen hex digits of the file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def header(path: Path) -> list[str]:
    """The names of the columns."""
    try:
        if _is_parquet(path):
            return list(pq.ParquetFile(path).schema_arrow.names)
        return next(_csv_rows(path), [])
    except _UNREADABLE as error:
        raise UnreadableError(f"{path}: {_why(error)}") from None


def survey(path: Path, column: int, read_time: Callable[[str], int | None]) -> Survey:
    """Count the rows and see whether their times stand in order."""
    count, first, last, in_order = 0, None, 0, True
    example = ""
    for cells in _cells(path):
        count += 1
        example = cells[column] if column < len(cells) else ""
        at = read_time(example)
        if at is None:
            continue
        first = at if first is None else min(first, at)
        in_order = in_order and at >= last
        last = max(last, at)
    if count and first is None:
        raise UnreadableError(f"{path}: no time is readable as the mapping says: {example!r}")
    return Survey(count, first or 0, in_order)


def in_order(
    path: Path, column: int, read_time: Callable[[str], int | None], seen: Survey
) -> Iterator[Row]:
    """All rows by time, rows of the same time as they stand in the file.

    A row whose time cannot be read stays behind the row before it.
    """
    rows = _timed(path, column, read_time, seen.first_at)
    if not seen.in_order:
        rows = _sorted(rows)
    for number, row in enumerate(rows, start=1):
        yield row._replace(number=number)


def _timed(
    path: Path, column: int, read_time: Callable[[str], int | None], first_at: int
) -> Iterator[Row]:
    last = first_at
    for number, cells in enumerate(_cells(path)):
        at = read_time(cells[column]) if column < len(cells) else None
        last = last if at is None else at
        yield Row(last, number, cells, at is None)


def _sorted(rows: Iterator[Row]) -> Iterator[Row]:
    """Sort in parts that fit in memory, then merge them."""
    with ExitStack() as open_files:
        parts: list[IO[bytes]] = []
        while part := [row for _, row in zip(range(SORTED_PART), rows, strict=False)]:
            part.sort(key=lambda row: row[:2])
            file = open_files.enter_context(tempfile.TemporaryFile())
            for row in part:
                pickle.dump(tuple(row), file)
            file.seek(0)
            parts.append(file)
        yield from heapq.merge(*map(_spilled, parts), key=lambda row: row[:2])


def _spilled(file: IO[bytes]) -> Iterator[Row]:
    while True:
        try:
            yield Row(*pickle.load(file))  # noqa: S301 - our own file, without a name, of this run
        except EOFError:
            return


def _cells(path: Path) -> Iterator[list[str]]:
    try:
        if _is_parquet(path):
            yield from _parquet_rows(path)
        else:
            rows = _csv_rows(path)
            next(rows, None)
            yield from rows
    except _UNREADABLE as error:
        raise UnreadableError(f"{path}: {_why(error)}") from None


def _why(error: Exception) -> str:
    """An OSError's text would name the file once more."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _csv_rows(path: Path) -> Iterator[list[str]]:
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    opened: Callable[..., IO[str]] = gzip.open if packed else open
    with opened(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as file:
        yield from csv.reader(file)


def _parquet_rows(path: Path) -> Iterator[list[str]]:
    for batch in pq.ParquetFile(path).iter_batches(batch_size=_READ_ROWS):
        columns = [[_text(value) for value in column.to_pylist()] for column in batch.columns]
        for cells in zip(*columns, strict=True):
            yield list(cells)


def _text(value: object) -> str:
    """A Parquet value as a CSV would have it."""
    if value is None:
        return ""
    iso = getattr(value, "isoformat", None)
    return str(iso()) if iso else str(value)


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"
