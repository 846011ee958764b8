"""Pages that ask: what would be shown, what was shown, and the offer that is claimed.

Must live here: these three. Must not: HTTP, tokens. `propose` decides on a copy of the customer
that nobody keeps, so it writes nothing and spends nothing: a proposal is no decision. That it was
shown (or would have been, to a customer of the holdout) is a record, and makes it one: seen is
seen, so the gates are not asked again, but once_per and limits count it. What has its price
is decided where it is spent: a claim passes all the gates, and the budget, in its commit.
"""

from typing import Any, Final

from engine.acting import act, decision_row
from engine.actions import rows_of
from engine.answers import Answer, note, noted
from engine.case import Case
from engine.effects import Effects, Moment, Row
from engine.gates import enter_limit
from engine.ids import birth_id, decision_id, instance_key
from engine.journal import Instance, Journey, memory
from engine.lots import Lot
from engine.steps import close
from engine.subjects import subject_of
from engine.triggers import enter, fail, fire
from engine.turn import Turn
from features.customer import Customer
from features.events import Event
from rules.model import Act, Coupon, RequestTrigger, Rule
from rules.program import Passage, passage

ASKED: Final = "Page Asked"  # what a page's context is to a condition; never in the log
SHOWN: Final = "Offer Shown"
CLAIMED: Final = "Offer Claimed"
CLAIM: Final = "claim"
HOLDOUT: Final = "holdout"
_WAITS: Final = "waits"


def propose(customer: Customer, placement: str, event: Event, moment: Moment) -> list[Row]:
    """The decisions that this placement's rules would come to: each acts, or is held out.

    The first that acts is the last: those of lower priority do not come to it. `customer` is not
    to be used after it.
    """
    found: list[Row] = []
    for rule in moment.book.requests.get(placement, ()):
        turn = Turn(customer, moment, Effects())
        ask(turn, rule, event)
        row = next((row for row in turn.effects.decisions if row["rule"] == rule.name), None)
        if row is None or (row["held"] and row["held"] != HOLDOUT):
            continue
        found.append(row)
        if not row["held"]:
            break
    return found


def ask(turn: Turn, rule: Rule, event: Event) -> None:
    """What a rule decides for a page; an example's customer sees it and claims it at once."""
    trigger, identity = rule.trigger, memory(turn.customer).identity
    identity.birth = identity.birth or birth_id(turn.customer.cid, identity.erasures)
    try:
        subject = subject_of(rule, turn.customer, event, turn.zone)
        if subject is None or not isinstance(trigger, RequestTrigger):
            return
        turn.product = str(event.properties.get("product_id") or "")
        turn.about(rule, subject)
        if turn.holds(trigger.condition, event, event.at):
            enter(turn, rule, subject, event.at, event)
    except Exception as error:  # noqa: BLE001 - a rule's fault is that rule's alone
        fail(turn, rule, "", event.at, error)


def shown(customer: Customer, event: Event, moment: Moment, effects: Effects) -> None:
    """A page says that it showed a proposal, or would have."""
    _decided(Turn(customer, moment, effects), event)


def claimed(customer: Customer, event: Event, moment: Moment, effects: Effects) -> None:
    """The customer takes the offer of a proposal: all the gates, the budget, then the coupon."""
    name = event.properties["claim"]
    if noted(customer, name) is not None:
        return
    turn = Turn(customer, moment, effects)
    rule = _decided(turn, event)
    if rule is None:
        note(customer, name, _no("rule"), moment.log_time)
        return
    subject = event.properties["subject"]
    instance = _instance(turn, rule, subject, CLAIM, event.at)
    if _fired(turn.journey, instance.key):
        note(customer, name, _had(turn, rule, event), moment.log_time)
        return
    fire(turn.journey, rule, instance.key)
    instance.arm = event.properties["arm"]
    turn.journey.open.append(instance)
    _claim(turn, rule, instance, name)


def claim_again(turn: Turn, rule: Rule, instance: Instance) -> None:
    """The budget's ledger has answered, or the time to wait for it is over."""
    kept: dict[str, Answer] = turn.customer.state("answers").kept
    key = instance.key.hex()
    name = next((name for name, told in kept.items() if told.get(_WAITS) == key), "")
    _claim(turn, rule, instance, name)


def _claim(turn: Turn, rule: Rule, instance: Instance, name: str) -> None:
    turn.about(rule, instance.subject, instance)
    instance.again = 0
    found = _passage(turn, rule, instance)
    coupons = tuple(action for action in found.actions if isinstance(action, Coupon))
    act(turn, rule, instance, Act(coupons, f"{found.step}:{CLAIM}"), found.split)
    if instance.again:
        turn.journey.arm(instance.again)
        note(turn.customer, name, {_WAITS: instance.key.hex()}, turn.moment.log_time)
        return
    close(turn, instance)
    note(turn.customer, name, _told(turn.effects.decisions[-1]), turn.moment.log_time)


def _had(turn: Turn, rule: Rule, event: Event) -> Answer:
    """What came of a claim whose answer is not kept any more."""
    given = event.properties
    step = f"{given['step']}:{CLAIM}"
    made = decision_id(rule.name, rule.run, given["subject"], step, turn.birth)
    for code, one in turn.customer.state("coupons").coupons.items():
        if one.decision == made:
            return {"ok": True, "code": code, "expires_at": one.expires_at}
    return _no("once_per")


def _told(row: Row) -> Answer:
    if row["held"]:
        return _no(row["held"])
    given = [one for one in row["actions"] if one["kind"] == "coupon"]
    return {"ok": True, "code": given[0]["code"], "expires_at": given[0]["expires_at"]}


def _no(reason: str) -> Answer:
    return {"ok": False, "reason": reason}


def _decided(turn: Turn, event: Event) -> Rule | None:
    """Make a proposal that was shown a decision, once; its rule, None when it is no more."""
    given = event.properties
    rule = turn.book.rules.get(given["rule"])
    if rule is None or rule.run != given["run"] or not isinstance(rule.trigger, RequestTrigger):
        return None
    instance = _instance(turn, rule, given["subject"], "", event.at)
    if not _fired(turn.journey, instance.key):
        fire(turn.journey, rule, instance.key)
        _write(turn, rule, instance, given)
    return rule


def _write(turn: Turn, rule: Rule, instance: Instance, given: dict[str, Any]) -> None:
    turn.about(rule, instance.subject, instance)
    turn.shown = [{"product_id": str(name)} for name in given.get("items", ())]
    lot = Lot(turn, rule, instance, instance.due)
    actions = _passage(turn, rule, instance, lot).actions
    seen = tuple(action for action in actions if not isinstance(action, Coupon))
    step, split = given["step"], given["split"]
    case = Case(turn, rule, instance, Act(seen, step), first=True, arm=given["arm"], lot=lot)
    enter_limit(case)
    held = "" if case.arm == "treated" else HOLDOUT
    rows = [] if held else rows_of(case) or []
    row = decision_row(case, step, actions=rows, held=held, split=split)
    turn.effects.decisions.append(row)


def _passage(turn: Turn, rule: Rule, instance: Instance, lot: Lot | None = None) -> Passage:
    return passage(
        rule.steps,
        0,
        lambda asked: turn.holds(asked, None, instance.due),
        (lot or Lot(turn, rule, instance, instance.due)).draw,
    )


def _instance(turn: Turn, rule: Rule, subject: str, part: str, at: int) -> Instance:
    key = instance_key(rule.name, rule.run, f"{subject}\x1f{part}" if part else subject)
    return Instance(
        rule=rule.name, run=rule.run, subject=subject, birth=turn.birth, key=key,
        started=at, step=-1, due=at, anchor=at, version=rule.version,
    )  # fmt: skip


def _fired(journey: Journey, key: bytes) -> bool:
    return key in journey.fired or key in journey.ever
