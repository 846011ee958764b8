"""What the actions of an act come to as rows, all or none of them.

Must live here: one function a kind of action, in a table. Must not: gates, sending. To add an
action: a function from a Case and the action to its row, None when a value is missing.
"""

from collections.abc import Callable
from typing import Any, Final

from engine.effects import Row
from engine.gates import Case
from engine.ids import coupon_code, decision_id
from engine.texts import carried
from rules.model import Coupon, Notify
from rules.values import MISSING


def rows_of(case: Case) -> list[Row] | None:
    """The actions' rows, all of them but the optional and the conditional; None: one lacks."""
    rows: list[Row] = []
    for action in case.act.actions:
        if action.condition is not None and not action.condition.test(*case.context):
            continue
        row = WRITERS[type(action)](case, action)
        if row is not None:
            rows.append(row)
        elif not action.optional:
            return None
    return rows


def id_of(case: Case, step: str, reason: str = "") -> str:
    """The id of the case's decision at a step; of a held one, the reason too."""
    it = case.instance
    return decision_id(it.rule, it.run, it.subject, step, it.birth, reason)


def _notify(case: Case, action: Notify) -> Row | None:
    via = case.allowed(action)
    with_ = {name: value.get(case.context) for name, value in action.with_.items()}
    if not via or MISSING in with_.values():
        return None
    return {
        "kind": "notify", "name": action.name, "via": via, "channel": via[0],
        "template": action.template, "with": with_, "to": "customer", **carried(case, action),
    }  # fmt: skip


def _coupon(case: Case, action: Coupon) -> Row | None:
    amounts: Row = {"off": action.off.get(case.context)}
    for name, value in (("over", action.over), ("most", action.most)):
        amounts[name] = None if value is None else value.get(case.context)
    if MISSING in amounts.values():
        return None
    secret = case.turn.moment.settings.secret
    code = coupon_code(secret, id_of(case, case.act.step), action.name)
    return {
        "kind": "coupon", "name": action.name, "offer": action.offer, "code": code, **amounts,
        "off_kind": action.off_kind, "expires_at": case.at + action.valid_ms, "to": "customer",
    }  # fmt: skip


WRITERS: Final[dict[type, Callable[[Case, Any], Row | None]]] = {Coupon: _coupon, Notify: _notify}
