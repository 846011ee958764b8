"""A call's JSON becomes records of the log: events, and in a batch also what was rejected.

Must live here: the shapes of single and batch calls, the size of an event, the rejected record.
Must not: HTTP, IO, the clock (`now` is an argument). What an event is, is features.events' to say.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import orjson

from api.refusals import Refused
from api.sources import Sender
from engine.records import REJECTED, Append
from engine.shards import partition
from features import events
from features.values import BadEvent, time

EVENT_BYTES_MAX = 32 * 1024
BATCH_ITEMS_MAX = 50_000
MERGED_BYTES_MAX = 32 * 1024 * 1024


class Intake:
    """How one source's items of one moment become records."""

    __slots__ = ("_now", "_sender", "_shards", "_weigh", "rejected")

    def __init__(self, sender: Sender, shards: int, now: int, body_bytes: int) -> None:
        self._sender = sender
        self._shards = shards
        self._now = now
        self._weigh = body_bytes > EVENT_BYTES_MAX  # a small body holds no large event
        self.rejected = 0

    def call(self, kind: str, item: dict[str, Any]) -> Append:
        """The record of a single call. Raises Refused when it is bad."""
        item["type"] = kind
        item.pop("writeKey", None)
        try:
            return self._record(item, None)  # a single call says itself when it was sent
        except BadEvent as bad:
            status = 413 if bad.reason == "too_large" else 400
            raise Refused(status, bad.reason, bad.detail) from None

    def batch(self, body: dict[str, Any], items: list[Any]) -> Iterator[Append]:
        """The records of a batch, in its order; a bad item becomes a rejected record."""
        context, integrations = body.get("context"), body.get("integrations")
        sent_at = _sent_at(body)
        for item in items:
            if isinstance(item, dict):
                item.pop("writeKey", None)
                _merge(item, "context", context)
                _merge(item, "integrations", integrations)
            try:
                yield self._record(item, sent_at)
            except BadEvent as bad:
                self.rejected += 1
                yield self._reject(item, bad)

    def _record(self, item: Any, sent_at: int | None) -> Append:
        if not isinstance(item, dict):
            raise BadEvent("not_an_object", f"an event is a JSON object, not {type(item).__name__}")
        if self._weigh and (size := _size(item)) > EVENT_BYTES_MAX:
            raise BadEvent("too_large", f"{size} bytes: an event holds {EVENT_BYTES_MAX} at most")
        event = events.parse(
            item,
            source=self._sender.name,
            received_at=self._now,
            sent_at=sent_at,
            trusted=self._sender.trusted,
        )
        key = events.key(event)
        try:
            value = events.encode(event)
        except (ValueError, TypeError, RecursionError) as wrong:  # lone surrogates, huge integers
            raise BadEvent("unencodable", f"the event cannot be written as JSON: {wrong}") from None
        return Append(partition(key, self._shards), key, value, event.at)

    def _reject(self, item: Any, bad: BadEvent) -> Append:
        body = _text(item).encode("utf-8", "replace")[:EVENT_BYTES_MAX].decode("utf-8", "ignore")
        mark = hashlib.sha256(f"{self._sender.name}\n{body}".encode()).hexdigest()[:32]
        value = {
            "id": mark,
            "source": self._sender.name,
            "reason": bad.reason,
            "detail": bad.detail.encode("utf-8", "replace").decode("utf-8"),
            "body": body,
            "at": self._now,
        }
        return Append(partition(mark.encode(), self._shards), REJECTED, orjson.dumps(value))


def items_of(body: dict[str, Any], body_bytes: int) -> list[Any]:
    """The items of a batch call. Raises Refused when there is no batch, or too much of one."""
    items = body.get("batch")
    if not isinstance(items, list):
        raise Refused(400, "missing_batch", "a batch call has a list `batch` of events")
    if len(items) > BATCH_ITEMS_MAX:
        raise Refused(413, "batch_too_long", f"a batch has at most {BATCH_ITEMS_MAX} events")
    shared = _size([body.get("context"), body.get("integrations")])
    if shared * len(items) + body_bytes > MERGED_BYTES_MAX:
        told = f"with the shared context in each event it is over {MERGED_BYTES_MAX} bytes"
        raise Refused(413, "batch_too_large", told)
    return items


def _sent_at(body: dict[str, Any]) -> int | None:
    """When the batch was sent; None if it does not say so readably: its events are no worse."""
    try:
        return None if body.get("sentAt") is None else time(body["sentAt"], "sentAt")
    except BadEvent:
        return None


def _merge(item: dict[str, Any], name: str, shared: Any) -> None:
    """What the batch says for all its items; an item's own word goes before it."""
    if isinstance(shared, dict) and shared:
        own = item.get(name)
        if own is None:
            item[name] = shared
        elif isinstance(own, dict):
            item[name] = {**shared, **own}


def _size(item: Any) -> int:
    try:
        return len(orjson.dumps(item))
    except TypeError:  # orjson.JSONEncodeError: nested too deep, or no valid text
        return len(_text(item))


def _text(item: Any) -> str:
    """The item for a person's eyes and for a retry: what was wrong with it must be kept."""
    try:
        return json.dumps(item, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        return "(nested too deep to be shown)"
