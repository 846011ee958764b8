"""The event: its shape in the log, and the rim where a Segment call becomes one.

Must live here: Event, parse, key, encode, decode. Must not: IO, the state of a customer.
An event is parsed once, here, and trusted from then on; a bad one raises BadEvent with what,
where and what was allowed. Names and types of properties are tables in vocabulary.py.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

import msgspec
import orjson

from features import context as origin
from features.values import (
    BadEvent,
    bad_type,
    identifier,
    mapping,
    plain,
    properties,
    shown,
    text,
    time,
)
from features.vocabulary import (
    CALL_NAMES,
    ENTITY_EVENTS,
    GA4_NAMES,
    ITEM_EVENTS,
    NAMES,
    SERVER_ONLY,
    SERVER_ONLY_PREFIXES,
    SERVER_ONLY_TRAITS,
    TYPES,
)

__all__ = [
    "GA4_NAMES",
    "NAMES",
    "BadEvent",
    "Event",
    "decode",
    "encode",
    "key",
    "parse",
]

NAME_LENGTH_MAX: Final = 200
SKEW_MS: Final = 300_000  # a client clock off by more than this is set right, in steps of this


class Event(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One event as the log keeps it; times in ms UTC, JSON names are Segment's."""

    type: str
    name: str = msgspec.field(name="event")
    message_id: str = msgspec.field(name="messageId")
    at: int = msgspec.field(name="timestamp")
    received_at: int = msgspec.field(name="receivedAt")
    source: str
    user_id: str = msgspec.field(default="", name="userId")
    anonymous_id: str = msgspec.field(default="", name="anonymousId")
    previous_id: str = msgspec.field(default="", name="previousId")
    session_id: str = ""
    channel: str = ""
    device: str = ""
    properties: dict[str, Any] = {}
    traits: dict[str, Any] = {}
    context: msgspec.Raw = msgspec.Raw(b"")
    row: list[Any] = []  # [file hash, row number] of a replay or an import


_KEYED: Final = {**{name: ("i:", of) for name, of in ITEM_EVENTS.items()}, **ENTITY_EVENTS}
_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Event)


def key(event: Event) -> bytes:
    """The log's key: `i:` thing, `m:` merchant, `model:`, else `u:` user, `a:` anonymous visitor.

    It depends on the event's own bytes alone: a look-up would reorder and double events.
    """
    keyed = _KEYED.get(event.name)
    if keyed is not None and event.type == "track":
        return f"{keyed[0]}{event.properties.get(keyed[1], '')}".encode()
    if event.user_id:
        return b"u:" + event.user_id.encode()
    return b"a:" + event.anonymous_id.encode()


def encode(event: Event) -> bytes:
    """The event as the log's JSON."""
    return _ENCODER.encode(event)


def decode(value: bytes) -> Event:
    """The event in the log's JSON, or BadEvent."""
    try:
        return _DECODER.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadEvent("unreadable", str(error)) from None


def parse(
    item: Mapping[str, Any],
    *,
    source: str,
    received_at: int,
    sent_at: int | None = None,
    trusted: bool = True,
) -> Event:
    """The event in a Segment call; `trusted` is a server's key, not one that a browser shows."""
    if not isinstance(item, dict):
        raise bad_type("event", "an object", item)
    kind = item.get("type")
    if not isinstance(kind, str) or kind not in TYPES:
        raise BadEvent("unknown_type", f"type: expected {_allowed_types()}, got {shown(kind)}")
    name = _name(item, kind)
    if not trusted and (name in SERVER_ONLY or name.startswith(SERVER_ONLY_PREFIXES)):
        words = name.isascii() and name.replace(" ", "").isalpha()
        told = repr(name) if words else shown(name)
        raise BadEvent("forbidden", f"event: {told} needs a server's key, this one is a browser's")
    context = mapping(item.get("context"), "context")
    plain(context, "context", depth=1)
    traits = mapping(item.get("traits"), "traits")
    plain(traits, "traits", depth=1)
    if not trusted and not SERVER_ONLY_TRAITS.isdisjoint(traits):
        traits = {name: said for name, said in traits.items() if name not in SERVER_ONLY_TRAITS}
    given = _properties(item, kind, name)
    event = Event(
        type=kind,
        name=name,
        message_id=identifier(item.get("messageId"), "messageId") or _hash(item, source),
        at=_time(item, received_at, sent_at),
        received_at=received_at,
        source=source,
        user_id=identifier(item.get("userId"), "userId"),
        anonymous_id=identifier(item.get("anonymousId"), "anonymousId"),
        previous_id=identifier(item.get("previousId"), "previousId"),
        session_id=origin.session(context, given),
        channel=origin.channel(item, context, given, name),
        device=origin.device(context),
        properties=given,
        traits=traits,
    )
    if context:
        event.context = msgspec.Raw(orjson.dumps(context))
    _require_ids(event)
    return event


def _allowed_types() -> str:
    return " or ".join(sorted(TYPES))


def _name(item: dict[str, Any], kind: str) -> str:
    if kind != "track":
        return CALL_NAMES[kind]
    name = item.get("event")
    if name is None or name == "":
        raise BadEvent("missing_event", "event: a track call needs the event's name")
    if not isinstance(name, str):
        raise bad_type("event", "text", name)
    name = text(name, "event").strip()
    if not name:
        raise BadEvent("missing_event", "event: expected a name, got only spaces")
    if len(name) > NAME_LENGTH_MAX:
        raise BadEvent(
            "too_long", f"event: expected at most {NAME_LENGTH_MAX} characters, got {len(name)}"
        )
    return name


def _properties(item: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    given = properties(item.get("properties"), "properties")
    if kind in {"page", "screen"}:
        for field in ("name", "category"):
            if isinstance(item.get(field), str):
                given.setdefault(field, item[field])
    elif kind == "group":
        group = identifier(item.get("groupId"), "groupId")
        if not group:
            raise BadEvent("missing_id", "groupId: a group call needs it")
        given["group_id"] = group
    elif name == "Consent Updated" and "channels" not in given:
        raise BadEvent(
            "missing_property", "properties.channels: Consent Updated needs the list of channels"
        )
    return given


def _require_ids(event: Event) -> None:
    keyed = _KEYED.get(event.name) if event.type == "track" else None
    if keyed is not None:
        if not event.properties.get(keyed[1]):
            raise BadEvent("missing_id", f"properties.{keyed[1]}: {event.name} needs it")
    elif event.type == "alias":
        if not event.user_id or not event.previous_id:
            raise BadEvent("missing_id", "userId, previousId: an alias call needs both")
    elif not event.user_id and not event.anonymous_id:
        raise BadEvent("missing_id", "userId, anonymousId: one of them is required")


def _time(item: dict[str, Any], received_at: int, sent_at: int | None) -> int:
    """When it happened, in ms: the client's word, set right by whole steps of its clock's skew.

    The skew is rounded so that a retry, sent and received later, gets the same time.
    """
    for field in ("originalTimestamp", "timestamp"):
        if item.get(field) is not None:
            at = time(item[field], field)
            break
    else:
        return received_at
    if sent_at is None and item.get("sentAt") is not None:
        sent_at = time(item["sentAt"], "sentAt")
    if sent_at is not None and abs(received_at - sent_at) > SKEW_MS:
        at += round((received_at - sent_at) / SKEW_MS) * SKEW_MS
    return max(1, min(at, received_at))


def _hash(item: dict[str, Any], source: str) -> str:
    """An id for a message that has none: of the source and its own bytes without sentAt."""
    own = {name: value for name, value in item.items() if name not in {"sentAt", "receivedAt"}}
    try:
        body = orjson.dumps(own, option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise BadEvent("unreadable", str(error)) from None
    return blake2b(source.encode() + b"\n" + body, digest_size=16).hexdigest()
