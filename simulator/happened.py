"""Rows of record become the events that happened: named, owned, and grouped where many are one.

Must live here: what a mapping means for a row. Must not: reading files, sending.
A row that cannot become an event is not lost: it comes out with its reason, for quarantine.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as Table
from functools import lru_cache
from math import isfinite, prod
from typing import Any, NamedTuple

from simulator.mapping import Field, Mapping, span
from simulator.rows import Row


class Happened(NamedTuple):
    """One event of record. `row` is the number of its (first) row; `wrong` says why it is bad."""

    at: int
    row: int
    item: dict[str, Any]
    wrong: str = ""


class _Group:
    """Rows that are one event, as long as more may come."""

    def __init__(self, first: Row, wrong: str = "") -> None:
        self.first = first
        self.wrong = wrong
        self.rows = 0
        self.sums: dict[str, int] = {}  # in hundredths
        self.lines: list[dict[str, Any]] = []


class Reading:
    """A mapping applied to the rows of one file."""

    def __init__(self, mapping: Mapping, header: Sequence[str], file_hash: str) -> None:
        self.mapping = mapping
        self.file_hash = file_hash
        self.left_out = 0  # rows that `where` leaves out
        self._column = {name: number for number, name in enumerate(header)}
        self._width = len(header)
        self._numeric = self._numbers()

    def happened(self, rows: Iterable[Row]) -> Iterator[Happened]:
        """The events of `rows`, in the order of their first rows."""
        yield from (
            self._grouped(rows) if self.mapping.group else map(self._single, self._wanted(rows))
        )

    def _wanted(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            if len(row.cells) == self._width and not self._where(row, self.mapping.where):
                self.left_out += 1
                continue
            yield row

    def _single(self, row: Row) -> Happened:
        wrong = self._fault(row)
        if wrong:
            return self._bad(row, wrong)
        return Happened(row.at, row.number, self._item(row))

    def _grouped(self, rows: Iterable[Row]) -> Iterator[Happened]:
        group = self.mapping.group
        assert group is not None  # noqa: S101 - happened() asks
        within = span(group.within)
        waiting: OrderedDict[object, _Group] = OrderedDict()
        for row in self._wanted(rows):
            while waiting and next(iter(waiting.values())).first.at + within < row.at:
                yield self._closed(waiting.popitem(last=False)[1])
            wrong = self._fault(row)
            if wrong:
                waiting[row.number] = _Group(row, wrong)
                continue
            key = (self._cell(row, self.mapping.event.column), self._cell(row, group.by))
            if key not in waiting:
                waiting[key] = _Group(row)
            self._join(waiting[key], row)
        yield from map(self._closed, waiting.values())

    def _join(self, into: _Group, row: Row) -> None:
        group = self.mapping.group
        assert group is not None  # noqa: S101 - only _grouped calls it
        into.rows += 1
        for name, factors in group.sums.items():
            amount = prod(_number(self._cell(row, factor)) for factor in factors)
            into.sums[name] = into.sums.get(name, 0) + round(amount * 100)
        lines = group.lines
        if lines and len(into.lines) < lines.most and self._where(row, lines.where):
            into.lines.append(self._values(row, lines.fields, ""))

    def _closed(self, group: _Group) -> Happened:
        if group.wrong:
            return self._bad(group.first, group.wrong)
        item = self._item(group.first)
        properties = item["properties"]
        properties |= {name: abs(amount) / 100 for name, amount in group.sums.items()}
        asked = self.mapping.group
        if asked and asked.lines:
            properties[asked.lines.property] = group.lines
            properties["rows"] = group.rows
        return Happened(group.first.at, group.first.number, item)

    def _fault(self, row: Row) -> str:
        """Why the row cannot be an event, or nothing."""
        mapping = self.mapping
        if len(row.cells) != self._width:
            return f"row {row.number}: {len(row.cells)} columns, the header has {self._width}"
        if row.bad:
            text = self._cell(row, mapping.time.column)
            return f"row {row.number}, column {mapping.time.column}: {text!r} is no time"
        if not mapping.event.always and not self._name(row):
            text, known = self._cell(row, mapping.event.column), ", ".join(mapping.event.names)
            return f"row {row.number}, column {mapping.event.column}: {text!r} is none of {known}"
        for column in self._numeric:
            try:
                _number(self._cell(row, column))
            except ValueError:
                text = self._cell(row, column)
                return f"row {row.number}, column {column}: {text!r} is no number"
        return ""

    def _numbers(self) -> list[str]:
        """The columns that must hold numbers."""
        mapping = self.mapping
        lines = mapping.group.lines if mapping.group else None
        fields = [*mapping.properties.values(), *(lines.fields.values() if lines else ())]
        found = {f.column for f in fields if isinstance(f, Field) and f.kind != "text"}
        for factors in (mapping.group.sums if mapping.group else {}).values():
            found.update(factors)
        return sorted(found - {""})

    def _item(self, row: Row) -> dict[str, Any]:
        mapping = self.mapping
        name = mapping.event.always or self._name(row)
        item: dict[str, Any] = {
            "type": "track",
            "event": name,
            "messageId": f"{self.file_hash}-{row.number}",
            "timestamp": row.at,
            "properties": self._values(row, mapping.properties, name),
        }
        user = self._cell(row, mapping.user.column) if mapping.user else ""
        if mapping.user and user:
            item["userId"] = mapping.user.prefix + user
        elif mapping.anonymous:
            item["anonymousId"] = mapping.anonymous.prefix + self._cell(
                row, mapping.anonymous.column
            )
        if mapping.channel:
            item["context"] = {"channel": mapping.channel}
        return item

    def _values(self, row: Row, fields: Table[str, str | Field], event: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, field in fields.items():
            if isinstance(field, str):
                value: str | float = self._cell(row, field)
            elif field.only and event not in field.only:
                continue
            else:
                text = field.value or (f"{field.row}{row.number}" if field.row else "")
                text = text or self._cell(row, field.column)
                value = text if field.kind == "text" else _number(text)
                value = (
                    abs(value) if field.kind == "absolute" and not isinstance(value, str) else value
                )
            if value != "":
                found[name] = value
        return found

    def _bad(self, row: Row, wrong: str) -> Happened:
        return Happened(row.at, row.number, {"row": row.number, "cells": row.cells}, wrong)

    def _name(self, row: Row) -> str:
        event = self.mapping.event
        return event.names.get(self._cell(row, event.column), "")

    def _where(self, row: Row, wanted: Table[str, str]) -> bool:
        return all(self._cell(row, column) == value for column, value in wanted.items())

    def _cell(self, row: Row, column: str) -> str:
        return row.cells[self._column[column]] if column else ""


@lru_cache(maxsize=65_536)
def _number(text: str) -> float:
    """A finite number, a whole one without its point; ValueError for anything else."""
    value = float(text)
    if not isfinite(value):
        raise ValueError(text)
    return int(value) if value.is_integer() else value
