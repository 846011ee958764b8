"""What the actions of an act come to as rows, all or none of them.

Must live here: one function a kind of action, in a table. Must not: gates, sending, what a decision
changes in the customer's own state (doing.py). To add an action: a function from a Case and the
action to its row, None when a value is missing; a line in WRITERS.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from engine.case import Case
from engine.dates import moment_of
from engine.effects import Row
from engine.ids import coupon_code, decision_id
from engine.recipients import given, is_for_another
from engine.recommending import recommended
from engine.texts import carried, reads
from features.values import properties
from rules.model import (
    Action,
    Alert,
    Audience,
    Coupon,
    Emit,
    Notify,
    Pause,
    Points,
    Recommend,
    Show,
    Tag,
    Task,
    Webhook,
)
from rules.values import MISSING, Value

EMITTED_DEPTH_MAX: Final = 5
Writer = Callable[[Case, Any], Row | None]


def rows_of(case: Case) -> list[Row] | None:
    """The actions' rows, all of them but the optional and the conditional; None: one lacks."""
    rows: list[Row] = []
    for action in case.act.actions:
        if action.condition is not None and not action.condition.test(*case.context):
            continue
        row = _row(case, action)
        if row is not None:
            rows.append(row)
        elif not action.optional:
            return None
    return rows


def id_of(case: Case, step: str, reason: str = "") -> str:
    """The id of the case's decision at a step; of a held one, the reason too."""
    it = case.instance
    return decision_id(it.rule, it.run, it.subject, step, it.birth, reason)


def _row(case: Case, action: Action) -> Row | None:
    """The row of an action, with what is looked up as it is now; None when any of it is unknown."""
    if action.looked:
        found = {name: value.get(case.context) for name, value in action.looked.items()}
        if MISSING in found.values():
            return None
        action = replace(action, **found, looked={})
    writer: Writer = WRITERS[type(action)]
    return given(case, action, writer) if is_for_another(action) else writer(case, action)


def _values(case: Case, values: Mapping[str, Value]) -> Row | None:
    """Values by their own names; None when one is missing."""
    found = {name: value.get(case.context) for name, value in values.items()}
    return None if MISSING in found.values() else found


def _text(case: Case, action: Show | Alert) -> Row | None:
    """A template's name, its own values, and what it reads."""
    with_ = _values(case, action.with_)
    if with_ is None:
        return None
    return {"template": action.template, "with": with_, **reads(case, action.template)}


def _notify(case: Case, action: Notify) -> Row | None:
    via, with_ = case.allowed(action), _values(case, action.with_)
    if not via or with_ is None:
        return None
    return {
        "kind": "notify", "name": action.name, "via": via, "channel": via[0],
        "template": action.template, "with": with_, "to": action.to, **carried(case, action),
    }  # fmt: skip


def _coupon(case: Case, action: Coupon) -> Row | None:
    amounts: Row = {"off": action.off.get(case.context)}
    for name, value in (("over", action.over), ("most", action.most)):
        amounts[name] = None if value is None else value.get(case.context)
    expires_at = _expiry(case, action)
    if MISSING in amounts.values() or expires_at <= case.at:
        return None
    secret = case.turn.moment.settings.secret
    code = coupon_code(secret, id_of(case, case.act.step), action.name)
    return {
        "kind": "coupon", "name": action.name, "offer": action.offer, "code": code, **amounts,
        "off_kind": action.off_kind, "expires_at": expires_at, "to": action.to,
    }  # fmt: skip


def _expiry(case: Case, action: Coupon) -> int:
    """When it ends (ms); 0 when that is unknown."""
    if action.valid_until is not None:
        return moment_of(case.turn, action.valid_until, case.at)
    return case.at + int(action.valid_ms)


def _show(case: Case, action: Show) -> Row | None:
    text = _text(case, action)
    return text and {"kind": "show", "name": action.name, **text, "to": "customer"}


def _alert(case: Case, action: Alert) -> Row | None:
    """`merchant_id` is whose the rule's subject is, where that is known."""
    text = _text(case, action)
    merchant = case.turn.extra.get(f"{case.rule.once_per}.merchant_id") or ""
    return text and {
        "kind": "alert", "name": action.name, "to": action.to, **text, "merchant_id": merchant,
    }  # fmt: skip


def _points(case: Case, action: Points) -> Row | None:
    """`points` is what an example calls it by: 100, or x2."""
    add = action.add.get(case.context) if action.add else None
    multiply = action.multiply.get(case.context) if action.multiply else None
    if MISSING in (add, multiply):
        return None
    row: Row = {"kind": "points", "name": action.name, "reason": action.reason, "to": action.to}
    if multiply is not None:
        until = case.at + action.for_ms
        return {**row, "points": f"x{multiply:g}", "multiply": multiply, "until": until}
    many, expires_at = round(add or 0), case.at + int(action.expires_ms) if action.expires_ms else 0
    return {**row, "points": many, "expires_at": expires_at} if many else None


def _tag(case: Case, action: Tag | Audience) -> Row:  # noqa: ARG001 - a writer's shape
    kind = "tag" if isinstance(action, Tag) else "audience"
    return {
        "kind": kind, "name": action.name, kind: ",".join(action.add or action.remove),
        "add": list(action.add), "remove": list(action.remove), "to": "customer",
    }  # fmt: skip


def _recommend(case: Case, action: Recommend) -> Row | None:
    turn = case.turn
    product = case.instance.subject if case.rule.once_per == "product" else turn.product
    items = list(turn.shown) or recommended(turn.customer, action, case.at, turn.moment, product)
    return {
        "kind": "recommend", "name": action.name, "how": action.kind, "n": action.n, "items": items,
    } if items else None  # fmt: skip


def _task(case: Case, action: Task) -> Row:
    due = action.due_ms
    return {
        "kind": "task", "name": action.name, "team": action.team, "title": str(action.title)[:200],
        "priority": action.priority, "due_at": None if due is None else case.at + int(due),
    }  # fmt: skip


def _pause(case: Case, action: Pause) -> Row:
    until = case.at + int(action.for_ms)
    return {"kind": "pause", "name": action.name, "purpose": action.purpose, "until": until}


def _webhook(case: Case, action: Webhook) -> Row | None:
    body = _values(case, action.body)
    if body is None:
        return None
    return {"kind": "webhook", "name": action.name, "hook": action.hook, "body": body}


def _emit(case: Case, action: Emit) -> Row | None:
    """An event that rules hear may make them emit another, but not without end."""
    given = _values(case, action.properties)
    if given is None:
        return None
    if case.turn.moment.depth >= EMITTED_DEPTH_MAX:
        raise RecursionError(f"events emitted by emitted ones go {EMITTED_DEPTH_MAX} deep at most")
    return {
        "kind": "emit", "name": action.name, "event": action.event,
        "properties": properties(given, "properties"), "to": action.to,
    }  # fmt: skip


WRITERS: Final[dict[type, Writer]] = {
    Coupon: _coupon,
    Notify: _notify,
    Show: _show,
    Points: _points,
    Tag: _tag,
    Audience: _tag,
    Recommend: _recommend,
    Task: _task,
    Alert: _alert,
    Pause: _pause,
    Webhook: _webhook,
    Emit: _emit,
}
