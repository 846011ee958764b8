"""Which actions of a decision become messages, and what each carries.

Must live here: the reading of entries, one builder a kind of action. Must not: sending. To have
another kind of action carried: a line in `_KINDS`.

    notify    via its own channels                     alert     via `alert:<to>`, or `alert`
    task      via `task:<team>`, or `task`             webhook   via `webhook:<hook>`, or `webhook`
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import orjson

from sinks.channels import NOTIFY, Message
from sinks.outbox import Entry
from sinks.rows import acts

EXPIRES_MS = 86_400_000
Row = Mapping[str, Any]


class _Entry(msgspec.Struct):
    decisions: list[dict[str, Any]] = []
    messages: list[Message] = []


_entry = msgspec.json.Decoder(_Entry)


def messages_of(entry: Entry) -> list[Message]:
    """The messages of one entry, through whatever channel.

    Those of an outbox are in its decisions; one that is tried again is there as it was.
    """
    read = _entry.decode(entry.body)
    found = list(read.messages)
    for decision in read.decisions:
        if acts(decision):
            for action in decision.get("actions") or ():
                build = _KINDS.get(action.get("kind", ""))
                if build is not None:
                    found.append(_message(decision, action, build(action)))
    return found


def again_body(messages: list[Message]) -> bytes:
    """The entry of messages that are to be tried again."""
    return orjson.dumps({"messages": messages})


def _notify(action: Row) -> dict[str, Any]:
    chosen = action.get("channel")
    via = list(dict.fromkeys([*([chosen] if chosen else ()), *(action.get("via") or ())]))
    quiet = action.get("quiet")
    return {
        "via": via[0] if via else "",
        "next": tuple(via[1:]),
        "to": action.get("to") or "",
        "quiet": tuple(quiet) if quiet else None,
    }


def _alert(action: Row) -> dict[str, Any]:
    merchant = {"merchant_id": action["merchant_id"]} if action.get("merchant_id") else {}
    return {
        "via": f"alert:{action.get('to', '')}",
        "to": action.get("to") or "",
        "values": {**merchant, **(action.get("with") or {})},
    }


def _task(action: Row) -> dict[str, Any]:
    told = {name: action.get(name) for name in ("title", "priority", "due_at")}
    team = action.get("team", "")
    return {"via": f"task:{team}", "to": team, "values": told, "text": action.get("title", "")}


def _webhook(action: Row) -> dict[str, Any]:
    return {"via": f"webhook:{action.get('hook', '')}", "values": action.get("body") or {}}


_KINDS: Final[dict[str, Callable[[Row], dict[str, Any]]]] = {
    NOTIFY: _notify,
    "alert": _alert,
    "task": _task,
    "webhook": _webhook,
}


_SILENT: Final = frozenset(("coupon", "points", "tag", "audience", "pause", "recommend"))


def _message(decision: Row, action: Row, more: dict[str, Any]) -> Message:
    log_time = decision["at"] + decision.get("latency_ms", 0)
    kind = action["kind"]
    others = [other for other in decision["actions"] if other is not action]
    sole = kind == NOTIFY and not any(other.get("kind") == NOTIFY for other in others)
    codes = [other for other in others if other.get("kind") == "coupon"]
    pooled = any(code.get("pool") for code in codes) and all(
        other.get("kind") in _SILENT for other in others
    )
    carried = {
        "action": action.get("name") or f"{kind}:{action.get('template', '')}",
        "template": action.get("template", ""),
        "values": action.get("with") or {},
        "coupons": [_plain(code) for code in codes],
        "reads": action.get("reads") or {},
        "made": _made(others),
        "sole": sole and not action.get("optional"),
        "pooled": pooled and sole and not action.get("optional"),
        "kind": kind,
    }
    return Message(
        decision_id=decision["decision_id"],
        rule=decision["rule"],
        cid=decision["cid"],
        at=decision["at"],
        log_time=log_time,
        not_after=decision.get("not_after") or log_time + EXPIRES_MS,
        version=decision.get("log_offset", 0),
        purpose=decision.get("purpose", ""),
        book=decision.get("version", ""),
        **(carried | more),
    )


def _made(others: list[Row]) -> dict[str, Any]:
    """What a template may call what the other actions made: by kind, and by an `as` of theirs."""
    made: dict[str, Any] = {}
    for other in others:
        kind, name = other.get("kind"), str(other.get("name", ""))
        thing = other.get("items") if kind == "recommend" else _plain(other)
        common = {"coupon": "coupon", "points": "points", "recommend": "items"}.get(str(kind))
        if common:
            made.setdefault(common, thing)
            if name.isidentifier():
                made[name] = thing
    return made


def _plain(action: Row) -> dict[str, Any]:
    return {name: value for name, value in action.items() if name != "kind"}
