"""From what was committed to the analysts' rows: the same entry makes the same rows for ever.

Must live here: which rows an outbox entry becomes, table by table, with ids and times out of the
entry only. Must not: IO, a clock, the way rows are inserted. A repeat of an entry is therefore a
repeat of its rows, which ReplacingMergeTree absorbs.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from sinks.outbox import Entry

Row = dict[str, Any]
Rows = dict[str, list[Row]]

MONEY_MAX = 1e13  # Decimal(18,2) holds more; a float beyond this has no cents left
TIME_MIN, TIME_MAX = -2_208_988_800_000, 10_413_791_999_000  # what DateTime64(3) holds, ms
_NOT_SENT = frozenset(("holdout", "global_holdout", "shadow"))


class Committed(msgspec.Struct, rename={"since": "from"}):
    """An outbox entry as ClickHouse wants to know it."""

    since: int
    to: int
    log_time: int
    committed_at: int = 0
    decisions: list[dict[str, Any]] = []
    quarantine: list[dict[str, Any]] = []
    facts: dict[str, list[dict[str, Any]]] = {}


_committed = msgspec.json.Decoder(Committed)


def committed(entry: Entry) -> Committed:
    """Read an entry of an outbox."""
    return _committed.decode(entry.body)


def rows_of(shard: int, entry: Committed) -> Rows:
    """All rows of one outbox entry, by table."""
    rows: Rows = {
        "decisions": [decision_row(shard, decision) for decision in entry.decisions],
        "coupon_ledger": [row for decision in entry.decisions for row in issued_rows(decision)],
        "quarantine": [quarantine_row(rejected, entry) for rejected in entry.quarantine],
    }
    for table, facts in entry.facts.items():
        rows.setdefault(table, []).extend({"version": entry.since, **fact} for fact in facts)
    return {table: found for table, found in rows.items() if found}


def acts(decision: Mapping[str, Any]) -> bool:
    """Whether this decision does something outside, and is not only written down."""
    return decision.get("result") == "act" and decision.get("arm") not in _NOT_SENT


def decision_row(shard: int, decision: Mapping[str, Any]) -> Row:
    """What the engine decided, acting or holding."""
    return {
        "rule": decision["rule"],
        "at": instant(decision["at"]),
        "decision_id": decision["decision_id"],
        "cid": decision["cid"],
        "run": decision.get("run", ""),
        "instance": decision.get("instance", ""),
        "step": str(decision.get("step", "")),
        "version": decision.get("version", ""),
        "purpose": decision.get("purpose", ""),
        "result": decision["result"],
        "held": decision.get("held") or "",
        "arm": decision.get("arm") or "none",
        "split": decision.get("split") or "",
        "propensity": decision.get("propensity") or 0.0,
        "model_version": decision.get("model_version") or "",
        "values": {k: _text(v) for k, v in (decision.get("values") or {}).items()},
        "actions": orjson.dumps(decision.get("actions") or []).decode(),
        "latency_ms": min(max(int(decision.get("latency_ms") or 0), 0), 0xFFFFFFFF),
        "shard": shard,
        "log_offset": decision.get("log_offset", 0),
    }


def issued_rows(decision: Mapping[str, Any]) -> list[Row]:
    """The coupons that an acting decision issues; `face` is what each can cost the shop at most."""
    if not acts(decision):
        return []
    return [
        {
            "coupon_id": action.get("coupon_id") or action["code"],
            "seq": 0,
            "fact": "issued",
            "at": instant(decision["at"]),
            "cid": decision["cid"],
            "decision_id": decision["decision_id"],
            "rule": decision["rule"],
            "offer": action.get("offer", ""),
            "face": money(action.get("off" if action.get("off_kind") == "money" else "most")),
            "expires_at": instant(action.get("expires_at") or decision["at"]),
            "version": decision.get("log_offset", 0),
        }
        for action in decision.get("actions") or ()
        if action.get("kind") == "coupon"
    ]


def quarantine_row(rejected: Mapping[str, Any], entry: Committed) -> Row:
    """A record that was not applied, with the reason."""
    return {
        "quarantine_id": rejected["id"],
        "at": instant(rejected.get("at") or entry.log_time),
        "source": rejected.get("source") or "",
        "reason": rejected["reason"],
        "detail": rejected.get("detail") or "",
        "body": _text(rejected.get("body")),
        "version": rejected.get("offset", entry.since),
    }


def refused_row(table: str, row: Row, why: str, at: int) -> Row:
    """A row that its own table cannot hold, kept where somebody will look for it."""
    body = orjson.dumps({"table": table, "row": row}, option=orjson.OPT_SORT_KEYS, default=str)
    return {
        "quarantine_id": hashlib.sha256(body).hexdigest()[:26],
        "at": instant(at),
        "source": "sinks",
        "reason": "row_refused",
        "detail": why[:500],
        "body": body.decode(),
        "version": 0,
    }


def rule_rows(sources: Mapping[str, str], version: str, at: int, by: str, rules: Any) -> list[Row]:
    """The rules of a published book: `rules` are its Rule objects, `sources` its files' text."""
    rows = []
    for rule in rules:
        named = (text for text in sources.values() if f"rule: {rule.name}\n" in text)
        body = next(named, "")
        rows.append(
            {
                "rule": rule.name,
                "version": version,
                "published_at": instant(at),
                "published_by": by,
                "title": rule.title or "",
                "owner": rule.owner or "",
                "purpose": rule.purpose,
                "status": rule.status,
                "sha256": hashlib.sha256(body.encode()).hexdigest(),
                "body": body,
            }
        )
    return rows


def instant(ms: float) -> int:
    """A time that ClickHouse can hold, ms UTC; what lies beyond becomes the nearest it can.

    >>> instant(10**15) == TIME_MAX
    True
    """
    return int(min(max(ms, TIME_MIN), TIME_MAX))


def money(value: Any) -> float:
    """An amount in major units that Decimal(18,2) can hold; what is no number is nothing.

    >>> money("12.345"), money(None), money(float("nan")), money(1e300) == MONEY_MAX
    (12.35, 0.0, 0.0, True)
    """
    try:
        amount = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    if amount != amount:  # noqa: PLR0124 - NaN is the one number unequal to itself
        return 0.0
    return round(min(max(amount, -MONEY_MAX), MONEY_MAX), 2)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else orjson.dumps(value).decode()
