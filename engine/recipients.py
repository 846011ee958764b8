"""What a decision gives to another customer: the referrer, the friend; or tells the merchant.

Must live here: who that is, and what leaves the giver's decision for him. Must not: what becomes of
it where he lives (gifts.py). The giver's row says what was sent to whom, of kind `gift`; the letter
names the actions, and the one who gets them is decided by his own caps, consent and holdout.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from engine.case import Case
from engine.effects import Letter, Row
from engine.fields import fields_of, names_of
from engine.ids import decision_id
from engine.texts import reads
from features.events import Event, encode
from rules.model import Act, Action, Coupon, Emit, Notify, Points
from rules.values import MISSING

GIFT: Final = "gift"
REFERRAL: Final = "referral"
Write = Callable[[Case, Any], Row | None]


def is_for_another(action: Action) -> bool:
    """Whether it goes to somebody else than the trigger's customer."""
    return isinstance(action, Coupon | Notify | Points | Emit) and action.to != "customer"


def given(case: Case, action: Any, write: Write) -> Row | None:
    """The giver's row of it; None when it is unknown who is to get it, or a value is."""
    if action.to == "merchant":
        return _to_merchant(case, action, write)
    to = whose(case, action.to)
    if not to:
        return None
    row = _told(action) if isinstance(action, Notify) else write(case, action)
    if row is None:
        return None
    row.pop("code", None)  # his own has one
    return {**row, "kind": GIFT, "gift": row["kind"], "to": action.to, "cid": to}


def _told(action: Notify) -> Row:
    return {"kind": "notify", "name": action.name, "template": action.template}


def _to_merchant(case: Case, action: Any, write: Write) -> Row | None:
    """A message to the merchant is an alert; an event goes to his own key."""
    about = fields_of(case.turn.customer, case.rule.once_per, case.instance.subject)
    merchant = str(about.get(f"{case.rule.once_per}.merchant_id") or "")
    if isinstance(action, Notify):
        with_ = {name: value.get(case.context) for name, value in action.with_.items()}
        if MISSING in with_.values():
            return None
        row = {**_told(action), "kind": "alert", "with": with_, "to": "merchant"}
        return {**row, "merchant_id": merchant, **reads(case, action.template)}
    sent = write(case, action) if isinstance(action, Emit) and merchant else None
    return sent and {**sent, "kind": GIFT, "gift": sent["kind"], "cid": f"m:{merchant}"}


def whose(case: Case, to: str) -> str:
    """The customer who is this one's referrer or friend, by the rule's referral or his last."""
    customer, subject = case.turn.customer, case.instance.subject
    if case.rule.once_per != REFERRAL:
        known = names_of(customer, REFERRAL)
        subject = known[-1] if known else ""
    name = fields_of(customer, REFERRAL, subject).get(f"{REFERRAL}.{to}")
    if not name:
        return ""
    return str(name) if str(name).startswith(("u:", "a:")) else f"u:{name}"


def send(case: Case, rows: Sequence[Row]) -> None:
    """The letters of an acting decision: one to each who gets something, and events of ours."""
    gifts = [row for row in rows if row["kind"] == GIFT]
    if not gifts:
        return
    letters: dict[tuple[str, str], list[str]] = {}
    for row in gifts:
        if row["gift"] == "emit":
            _emit(case, row)
        else:
            letters.setdefault((row["cid"], row["to"]), []).append(row["name"])
    turn, it = case.turn, case.instance
    places = _places(case)
    laid = {name: value for name, value in turn.extra.items() if name in case.rule.laid}
    for (cid, to), names in letters.items():
        body = {
            "rule": it.rule, "run": it.run, "instance": it.subject, "step": case.act.step,
            "actions": [[places[name], name] for name in names], "to": to,
            "giver": it.birth.hex(), "at": case.at, "path": [],
            "laid": {name: value for name, value in laid.items() if value == value},  # noqa: PLR0124
        }  # fmt: skip
        turn.effects.letters.append(Letter(cid, GIFT, body, turn.moment.offset))


def _places(case: Case) -> dict[str, str]:
    """The act of the rule's program that each action of the case stands in."""
    mine = {id(action) for action in case.act.actions}
    return {
        action.name: step.step
        for step in case.rule.steps
        if isinstance(step, Act)
        for action in step.actions
        if id(action) in mine
    }


def _emit(case: Case, row: Row) -> None:
    turn = case.turn
    kind, _, own = row["cid"].partition(":")
    event = Event(
        type="track", name=row["event"], message_id=f"{_name(case)}:{row['name']}", at=case.at,
        source="laike", received_at=max(case.at, turn.moment.log_time),
        properties=row["properties"],
        user_id=own if kind == "u" else "", anonymous_id=own if kind == "a" else "",
    )  # fmt: skip
    body = {"value": encode(event).decode(), "path": [], "emitted": turn.moment.depth + 1}
    turn.effects.letters.append(Letter(row["cid"], "event", body, turn.moment.offset))


def _name(case: Case) -> str:
    it = case.instance
    return decision_id(it.rule, it.run, it.subject, case.act.step, it.birth)
