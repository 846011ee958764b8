"""`laike rules explain ID`: one decision's row in words, with what it read and what came of it.

Must live here: asking the analysts' tables for one decision, its words. Must not: deciding again
(`laike rules why` asks a customer as he is now).
"""

import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from clickhouse_connect.driver.client import Client

from api.cli_settings import clickhouse_of
from engine.why import reason_in_words
from features import catalog
from rules.gates import ORDER
from sinks.clickhouse import connect
from sinks.query import engine_for

Row = dict[str, Any]
SHORTEST: Final = 6  # of an id's first letters
_DECISION: Final = """SELECT rule, toUnixTimestamp64Milli(at) AS at, decision_id, cid, run,
  instance, step, version, purpose, toString(result) AS result, held, toString(arm) AS arm, split,
  model_version, values, actions FROM decisions FINAL
  WHERE startsWith(decision_id, {id:String}) ORDER BY at LIMIT 2"""
_OUTCOMES: Final = """SELECT action, fact, toUnixTimestamp64Milli(at) AS at, channel,
  toFloat64(amount) AS amount, reason FROM outcomes FINAL WHERE decision_id = {id:String}
  ORDER BY at, action, fact"""
_COUPONS: Final = """SELECT coupon_id, toString(fact) AS fact, toUnixTimestamp64Milli(at) AS at,
  order_id FROM coupon_ledger FINAL WHERE decision_id = {id:String} AND fact != 'issued'
  ORDER BY coupon_id, seq"""
_RULE: Final = """SELECT title, owner, published_by,
  toUnixTimestamp64Milli(min(published_at)) AS at FROM rules FINAL
  WHERE rule = {rule:String} AND version = {version:String} GROUP BY ALL LIMIT 1"""
_HEARD: Final = """SELECT event, toUnixTimestamp64Milli(max(at)) AS last FROM v_events
  WHERE cid = {cid:String} AND at <= fromUnixTimestamp64Milli({at:Int64}) GROUP BY event"""


class NoDecisionError(Exception):
    """There is none with this id, or more than one."""


def explain(decision_id: str, data: Path, zone: str, as_json: bool) -> int:
    """Say it; the exit code."""
    with engine_for(clickhouse_of(data), data) as url, closing(connect(url)) as client:
        found = known(client, decision_id)
    if as_json:
        sys.stdout.write(json.dumps(found, ensure_ascii=False, default=str) + "\n")
    else:
        sys.stdout.write("\n".join(lines(found, ZoneInfo(zone))) + "\n")
    return 0


def known(client: Client, decision_id: str) -> Row:
    """The decision's row and all that belongs to it."""
    if len(decision_id) < SHORTEST or not decision_id.isalnum():
        raise NoDecisionError(f"{decision_id!r} is no decision's id: 26 letters, or the first ones")
    rows = _ask(client, _DECISION, id=decision_id)
    if len(rows) != 1:
        many = "more than one decision begins" if rows else "no decision begins"
        raise NoDecisionError(f"{many} with {decision_id}: `laike query` over decisions lists them")
    row = rows[0]
    row["decision_id"] = _text(row["decision_id"])
    row["actions"] = json.loads(row["actions"])
    heard = {
        one["event"]: one["last"] for one in _ask(client, _HEARD, cid=row["cid"], at=row["at"])
    }
    return {
        **row,
        "rule_version": next(
            iter(_ask(client, _RULE, rule=row["rule"], version=row["version"])), {}
        ),
        "ages": {name: age for name in row["values"] if (age := _last(name, heard))},
        "gates": gates(row),
        "outcomes": _ask(client, _OUTCOMES, id=row["decision_id"]),
        "coupons": _ask(client, _COUPONS, id=row["decision_id"]),
    }


def _ask(client: Client, sql: str, **given: Any) -> list[Row]:
    found = client.query(sql, parameters=given)
    return [dict(zip(found.column_names, row, strict=True)) for row in found.result_rows]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _last(feature: str, heard: Mapping[str, int]) -> Row | None:
    """The last event before the decision that this feature's facet hears."""
    known = catalog.FEATURES.get(feature)
    if known is None:
        return None
    facet = catalog.FACETS[known.facet]
    times = [(at, event) for event, at in heard.items() if facet.hears(event)]
    return {"event": max(times)[1], "at": max(times)[0]} if times else None


def gates(row: Mapping[str, Any]) -> dict[str, str]:
    """Each gate in order: passed, the reason it held for, or not asked."""
    reason = str(row["held"]).partition(":")[0]
    shut = next((number for number, gate in enumerate(ORDER) if reason in gate.reasons), len(ORDER))
    told = {gate.name: "passed" for gate in ORDER[:shut]}
    if shut < len(ORDER):
        told[ORDER[shut].name] = str(row["held"])
    return told | {gate.name: "not asked" for gate in ORDER[shut + 1 :]}


def lines(found: Row, zone: ZoneInfo) -> list[str]:
    """All of it in words."""
    at, rule = found["at"], found["rule_version"]
    did = "acted for" if found["result"] == "act" else "held back from"
    told = [
        f"{found['rule']} {did} {found['cid']} at {_clock(at, zone)} ({found['decision_id']})",
        _line("rule", _rule_words(found, rule, zone)),
        _line("for", f"{found['instance']}, step {found['step']}, run {found['run']}"),
    ]
    for name, value in sorted(found["values"].items()):
        told.append(_line("read", f"{name} {value}{_age_words(found['ages'].get(name), at)}"))
    if found["model_version"]:
        told.append(_line("model", f"version {found['model_version'][:8]}"))
    told.append(_line("gates", _gate_words(found["gates"], found["arm"])))
    if found["held"]:
        told.append(_line("why not", reason_in_words(found["held"])))
    told += [_line("did", _action_words(action)) for action in found["actions"]]
    told += [_line("then", one) for one in _then(found, zone)]
    if found["result"] == "act" and not (found["outcomes"] or found["coupons"]):
        told.append(_line("then", "nothing is known of what came of it yet"))
    return told


def _line(name: str, words: str) -> str:
    return f"  {name:8} {words}"


def _rule_words(found: Row, rule: Row, zone: ZoneInfo) -> str:
    version = f"version {found['version'][:8]}"
    if not rule:
        return version
    by = f"published {_clock(rule['at'], zone)} by {rule['published_by']}"
    return ", ".join(part for part in (rule["title"], version, by) if part)


def _age_words(age: Row | None, at: int) -> str:
    return f" (as of {age['event']}, {ago(at - age['at'])} before)" if age else ""


def ago(milliseconds: int) -> str:
    """A length of time, roughly.

    >>> ago(90_000), ago(3 * 86_400_000), ago(500)
    ('1 minute', '3 days', 'moments')
    """
    for name, size in (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000)):
        if milliseconds >= size:
            many = milliseconds // size
            return f"{many} {name}{'s' if many > 1 else ''}"
    return "moments"


def _gate_words(told: Mapping[str, str], arm: str) -> str:
    passed = [name for name, what in told.items() if what == "passed"]
    shut = [
        f"{name} ({what})" for name, what in told.items() if what not in {"passed", "not asked"}
    ]
    words = f"passed {', '.join(passed)}" if passed else "passed none"
    words += f"; stopped at {', '.join(shut)}" if shut else ""
    return f"{words}; arm {arm}" if arm != "none" else words


def _action_words(action: Mapping[str, Any]) -> str:
    kind = action["kind"]
    if kind == "coupon":
        off = action.get("off")
        amount = f"{off}% off" if action.get("off_kind") == "percent" else f"{off} off"
        most = f", at most {action['most']}" if action.get("most") else ""
        over = f", over {action['over']}" if action.get("over") else ""
        return f"coupon {action.get('offer', '')} {action.get('code', '')}: {amount}{over}{most}"
    if kind == "notify":
        return f"notify {action.get('template', '')} by {' or '.join(action.get('via', ()))}"
    rest = {k: v for k, v in action.items() if k not in {"kind", "name", "to"} and v}
    return f"{kind} {json.dumps(rest, ensure_ascii=False)}"


def _then(found: Row, zone: ZoneInfo) -> Iterable[str]:
    for one in found["outcomes"]:
        amount = f" {one['amount']:,.2f}" if one["amount"] else ""
        by = f" by {one['channel']}" if one["channel"] else ""
        why = f" ({one['reason']})" if one["reason"] else ""
        yield f"{_clock(one['at'], zone)} {one['action']}: {one['fact']}{amount}{by}{why}"
    for one in found["coupons"]:
        order = f" with order {one['order_id']}" if one["order_id"] else ""
        yield f"{_clock(one['at'], zone)} coupon {one['coupon_id']}: {one['fact']}{order}"


def _clock(at: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at / 1_000, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
