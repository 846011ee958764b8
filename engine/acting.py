"""What one act of a rule's instance comes to: the gates in their fixed order, then the decision.

Must live here: the gates as a table, the rows of decisions, the actions' values. Must not: when an
act is due (journey.py), sending. The gate `once_per` and the trigger's own conditions were asked
before; a gate returns the reason it holds for, or "".
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from engine.effects import Effects, Moment, Row
from engine.ids import coupon_code, decision_id, share
from engine.journal import Instance, write
from features import catalog
from features.customer import Customer
from features.events import Event
from rules.model import Act, Coupon, Notify, Rule
from rules.values import MISSING, Context, Rate

NOT_AFTER_MS = 86_400_000
HELD_BITS = {"once_per": 1, "too_many_open": 2}


@dataclass(slots=True)
class Case:
    """One act at the gates."""

    customer: Customer
    rule: Rule
    instance: Instance
    act: Act
    moment: Moment
    first: bool
    arm: str = "none"
    channels: frozenset[str] | None = None  # None: any
    refused: frozenset[str] = frozenset()

    @property
    def at(self) -> int:
        """The act's due time in ms, as of which everything is read."""
        return self.instance.due

    def allowed(self, action: Notify) -> list[str]:
        """The channels of a message that the customer takes it on, the first one first."""
        return [
            name
            for name in action.via
            if name not in self.refused and (self.channels is None or name in self.channels)
        ]

    @property
    def context(self) -> Context:
        """What the act's values and conditions are read from."""
        return Context(self.customer, None, self.at, self.moment.presets)


def _status(case: Case) -> str:
    rule = case.rule
    if rule.status in {"draft", "paused"}:
        return rule.status
    ended = rule.active_until is not None and case.at >= rule.active_until
    return "inactive" if ended else ""


def _late(case: Case) -> str:
    """Nothing is late in record time: there, log time is what the driver says."""
    if case.moment.settings.record_clock:
        return ""
    return "late" if case.moment.log_time - case.at > case.rule.late_ms else ""


def _condition(case: Case) -> str:
    condition = case.rule.condition
    if condition is None or condition.test(*case.context):
        return ""
    missing = condition.missing(*case.context)
    return f"unknown:{missing[0]}" if missing else "condition"


def _consent(case: Case) -> str:
    """Nothing goes where the customer unsubscribed; marketing only where he said yes.

    A customer who was never asked counts as yes, unless shop.yaml says `consent: opt-in`.
    """
    presets = case.moment.presets
    case.refused = frozenset(_read(case.customer, "consent.unsubscribed", case.at, presets) or ())
    if case.rule.purpose == "marketing":
        told = _read(case.customer, "consent.marketing", case.at, presets)
        if told is not None or case.moment.book.shop.consent == "opt-in":
            case.channels = frozenset(told or ())
    for action in case.act.actions:
        if isinstance(action, Notify) and not action.optional and not case.allowed(action):
            return "consent"
    return ""


def _limit(case: Case) -> str:
    """Counts an instance once, at its first act, in both arms alike."""
    if not case.first or not case.rule.limits:
        return ""
    journey = write(case.customer).journey
    times = journey.entries.get(case.rule.name, [])
    zone = case.moment.book.shop.timezone
    if any(_spent(rate, times, case.at, zone) for rate in case.rule.limits):
        return "limit"
    kept = max(rate.count for rate in case.rule.limits)
    journey.entries[case.rule.name] = [*times, case.at][-kept:]
    return ""


def _spent(rate: Rate, times: list[int], at: int, zone: str) -> bool:
    if rate.calendar in {"run", "ever"}:
        used = len(times)
    elif rate.calendar:
        now = period(rate.calendar, at, zone)
        used = sum(period(rate.calendar, time, zone) == now for time in times)
    else:
        used = sum(time > at - rate.per_ms for time in times)
    return used >= rate.count


def _holdout(case: Case) -> str:
    """Who is held out is fixed by the customer's birth id, before anything is spent."""
    rule, birth = case.rule, case.instance.birth
    if not case.first:
        case.arm = case.instance.arm or "treated"
        return ""
    if case.moment.arm:
        case.arm = case.moment.arm
    elif rule.purpose == "marketing" and (
        share("everything", birth) < case.moment.book.shop.holdout_everything
    ):
        case.arm = "global_holdout"
    else:
        case.arm = "holdout" if share(rule.name, rule.run, birth) < rule.holdout else "treated"
    case.instance.arm = case.arm
    return "" if case.arm == "treated" else "holdout"


def _shadow(case: Case) -> str:
    if case.rule.status != "shadow":
        return ""
    case.arm = "shadow"
    return "shadow"


# RULES.md's gate order. when and once_per stand before these, quiet hours and budget after.
GATES: tuple[Callable[[Case], str], ...] = (
    _status,
    _late,
    _condition,
    _consent,
    _limit,
    _holdout,
    _shadow,
)


def act(
    customer: Customer, rule: Rule, instance: Instance, step: Act, moment: Moment, effects: Effects
) -> bool:
    """Decide one act; False when it was held and the instance is over."""
    case = Case(customer, rule, instance, step, moment, first=not instance.arm)
    reason = next((held for gate in GATES if (held := gate(case))), "")
    actions = [] if reason else _actions(case)
    if actions is None:
        reason = "missing_value"
    elif not actions and not reason:
        reason = "condition"
    if reason:
        effects.decisions.append(_row(case, step.step, held=reason))
        return False
    effects.decisions.append(_row(case, step.step, actions=actions or []))
    return True


def hold(
    customer: Customer,
    rule: Rule,
    instance: Instance,
    reason: str,
    at: int,
    moment: Moment,
    effects: Effects,
    note: str = "",
) -> None:
    """Write the row of a decision that was held before its act."""
    case = Case(customer, rule, instance, Act(()), moment, first=False, arm=instance.arm or "none")
    row = _row(case, str(instance.step), held=reason, at=at)
    if note:
        row["values"]["error"] = note[:500]
    effects.decisions.append(row)


def hold_once(
    customer: Customer,
    rule: Rule,
    instance: Instance,
    reason: str,
    at: int,
    moment: Moment,
    effects: Effects,
) -> None:
    """The same, but only the first time for this subject: a decision's id has one content."""
    journey = write(customer).journey
    held = journey.ever if instance.key in journey.ever else journey.fired
    bit = HELD_BITS[reason]
    if not held[instance.key] & bit:
        held[instance.key] |= bit
        hold(customer, rule, instance, reason, at, moment, effects)


def _actions(case: Case) -> list[Row] | None:
    """The actions' rows, all of them but the optional and the conditional; None: one lacks."""
    rows: list[Row] = []
    for action in case.act.actions:
        if action.condition is not None and not action.condition.test(*case.context):
            continue
        row = _coupon(case, action) if isinstance(action, Coupon) else _notify(case, action)
        if row is not None:
            rows.append(row)
        elif not action.optional:
            return None
    return rows


def _notify(case: Case, action: Notify) -> Row | None:
    via = case.allowed(action)
    with_ = {name: value.get(case.context) for name, value in action.with_.items()}
    if not via or MISSING in with_.values():
        return None
    return {
        "kind": "notify", "name": action.name, "via": via, "channel": via[0],
        "template": action.template, "with": with_, "to": "customer",
    }  # fmt: skip


def _coupon(case: Case, action: Coupon) -> Row | None:
    amounts: Row = {"off": action.off.get(case.context)}
    for name, value in (("over", action.over), ("most", action.most)):
        amounts[name] = None if value is None else value.get(case.context)
    if MISSING in amounts.values():
        return None
    code = coupon_code(case.moment.settings.secret, _id(case, case.act.step), action.name)
    return {
        "kind": "coupon", "name": action.name, "offer": action.offer, "code": code, **amounts,
        "off_kind": action.off_kind, "expires_at": case.at + action.valid_ms, "to": "customer",
    }  # fmt: skip


def _id(case: Case, step: str, reason: str = "") -> str:
    it = case.instance
    return decision_id(it.rule, it.run, it.subject, step, it.birth, reason)


def _row(
    case: Case, step: str, *, actions: list[Row] | None = None, held: str = "", at: int = 0
) -> Row:
    """A decision as it is written to the outbox: all of it follows from records alone."""
    rule, instance, moment = case.rule, case.instance, case.moment
    at = at or case.at
    reading: dict[str, Any] = {}
    if rule.condition is not None:
        for name in sorted(rule.condition.features):
            value = _read(case.customer, name, at, moment.presets)
            reading[name] = "unknown" if _unknown(value) else str(value)
    return {
        "rule": rule.name, "at": at, "decision_id": _id(case, step, held), "cid": case.customer.cid,
        "run": rule.run, "instance": instance.subject, "step": step, "version": moment.book.hash,
        "purpose": rule.purpose, "result": "hold" if held else "act", "held": held,
        "arm": case.arm, "split": "", "propensity": 1.0, "model_version": moment.model,
        "values": reading, "actions": actions or [],
        "latency_ms": max(0, moment.log_time - at), "log_offset": moment.offset,
        "not_after": at + NOT_AFTER_MS,
    }  # fmt: skip


def _read(customer: Customer, name: str, at: int, presets: Mapping[str, Any]) -> Any:
    return presets[name] if name in presets else catalog.value(customer, name, at)


def _unknown(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)  # noqa: PLR0124 - NaN


def subject_of(rule: Rule, customer: Customer, event: Event, timezone: str) -> str | None:
    """The id of what the rule acts once for; None when the event does not carry it."""
    kind, properties = rule.once_per, event.properties
    if kind == "customer":
        return "customer"
    if kind in {"day", "week", "month", "year"}:
        return period(kind, event.at, timezone)
    if kind == "event":
        return event.message_id
    if kind == "cart":
        cart = customer.state("cart")
        return (cart.run if cart.run in {"", cart.cart_id} else f"~{cart.run}") or None
    if kind in {"visit", "session"}:
        return event.session_id or str(customer.state("visits").started)
    found = properties.get(f"{kind}_id")
    return str(found) if found else None


@lru_cache(maxsize=8_192)
def period(kind: str, at: int, timezone: str) -> str:
    """The calendar day, week (ISO), month or year that `at` (ms) falls in, in the shop's zone.

    >>> period("week", 0, "Asia/Shanghai")
    '1970-W01'
    """
    day = dt.datetime.fromtimestamp(at / 1_000, ZoneInfo(timezone))
    if kind == "week":
        year, week, _ = day.isocalendar()
        return f"{year}-W{week:02d}"
    return day.strftime({"day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}[kind])
