"""What was quarantined, made records of the log again: pure, by the door's own parse.

Must live here: which record a quarantined row becomes, or why it becomes none. Must not: IO, the
table, the log. A retried event keeps its message id (or, having none, gets the hash that it had),
so a second retry is a duplicate and dropped. It is received when it was received first.

    Still     the row cannot go back; `reason` and `detail` say why
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from engine.records import Append
from engine.shards import partition
from features import events
from features.values import BadEvent

OURS = {
    "poison_timer": "a customer's timers, which were let go: there is no event to apply",
    "too_many_rounds": "an item's event that a shard had no room for: send its next word",
    "row_refused": "a row that its table could not hold; the event behind it was applied",
}


class Still(Exception):  # noqa: N818 - an answer, not a fault of ours
    """This row stays in quarantine."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Rejected(NamedTuple):
    """A row of the table `quarantine`; times in ms."""

    quarantine_id: str
    at: int
    source: str
    reason: str
    detail: str
    body: str
    version: int


def record_of(row: Rejected, shards: int, trusted: Mapping[str, bool]) -> Append:
    """The record that `row` becomes; `trusted` says by source whether it may assert orders."""
    if row.reason in OURS:
        raise Still(row.reason, OURS[row.reason])
    try:
        event = _again(row) if row.source.startswith("shard ") else _anew(row, trusted)
        value = events.encode(event)
    except BadEvent as bad:
        raise Still(bad.reason, bad.detail) from None
    except (ValueError, TypeError, RecursionError) as wrong:
        raise Still("unencodable", f"the event cannot be written as JSON: {wrong}") from None
    key = events.key(event)
    return Append(partition(key, shards), key, value, event.at)


def _again(row: Rejected) -> events.Event:
    """A record that was in the log already goes back as it was, by its own key.

    A row of a replayed file loses its number: rows after it were applied, and its message id alone
    says from now on whether it is a repeat.
    """
    event = events.decode(row.body.encode())
    event.row = []
    return event


def _anew(row: Rejected, trusted: Mapping[str, bool]) -> events.Event:
    """A call that the door rejected is parsed as on its first day, by today's rules."""
    try:
        item: Any = json.loads(row.body)
    except (ValueError, RecursionError) as wrong:
        told = f"what was kept is no JSON ({wrong}): over 32 KB it was cut, so send it anew"
        raise Still("unreadable", told) from None
    return events.parse(
        item,
        source=row.source,
        received_at=row.at,
        trusted=trusted.get(row.source, False),
    )
