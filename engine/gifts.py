"""What comes to a customer by another's decision: decided anew here, as one of his own.

Must live here: the letter's arrival, the decision, waiting and being decided again. Must not: who
gets something (recipients.py). His caps, consent, pauses, holdout and quiet hours hold, and the
budget is spent here; the rule's own condition and limit were the giver's. Values that name the
rule's subject are the giver's, those of the catalog his own.
"""

from dataclasses import replace
from typing import Any

import orjson

from engine.acting import act, hold
from engine.caps import again
from engine.effects import Effects, Moment
from engine.identity import forwarded
from engine.ids import instance_key
from engine.journal import FIRED_MAX, OPEN_MAX, Instance, memory
from engine.recipients import GIFT, is_for_another
from engine.steps import close
from engine.triggers import fail
from engine.turn import Turn
from features.customer import Customer
from rules.model import Act, Action, Rule

__all__ = ["GIFT", "give", "receive_gift"]


def receive_gift(
    customer: Customer, body: dict[str, Any], moment: Moment, effects: Effects
) -> None:
    """The letter has come; a customer who moved has it sent on, one who was erased gets nothing."""
    rule = moment.book.rules.get(body["rule"])
    if forwarded(customer, GIFT, body, moment, effects):
        return
    if rule is None or body["at"] <= memory(customer).identity.erased_at:
        return
    turn, at = Turn(customer, moment, effects), body["at"]
    subject = f"{body['instance']}@{body['giver']}/{body['to']}"
    key = instance_key(rule.name, body["run"], f"{subject}/{body['step']}")
    fired = turn.journey.fired
    if key in fired:
        return
    fired[key] = 0
    if len(fired) > FIRED_MAX:
        fired.pop(next(iter(fired)))
    instance = Instance(
        rule=rule.name, run=body["run"], subject=subject, birth=turn.birth, key=key, started=at,
        step=len(rule.steps), due=at, anchor=at, gift=orjson.dumps(body).decode(),
    )  # fmt: skip
    limits = rule.referrer_limits if body["to"] == "referrer" else ()
    try:
        if again(turn, f"referrer:{rule.name}", limits, at):
            give(turn, rule, instance)
        else:
            hold(turn, rule, instance, "limit", at)
    except Exception as error:  # noqa: BLE001 - a rule's fault is that rule's alone
        close(turn, instance)
        fail(turn, rule, subject, at, error)


def give(turn: Turn, rule: Rule, instance: Instance) -> None:
    """Decide it as of its due time; it may wait, and is decided again then."""
    body = orjson.loads(instance.gift)
    instance.again = 0
    turn.about(rule, instance.subject, instance)
    turn.extra = {**turn.extra, **body["laid"]}
    actions = tuple(_his(action) for action in _named(rule, body["actions"]))
    if actions:
        his = replace(rule, condition=None, limits=(), digest=None)
        act(turn, his, instance, Act(actions, body["step"]))
    else:
        hold(turn, rule, instance, "error", instance.due, note="the rule has no such action now")
    if not instance.again:
        close(turn, instance)
        return
    waiting = turn.journey.open
    if not any(one is instance for one in waiting):
        if len(waiting) >= OPEN_MAX:
            hold(turn, rule, instance, "too_many_open", instance.due)
            return
        waiting.append(instance)
    turn.journey.arm(instance.again)


def _named(rule: Rule, names: list[list[str]]) -> list[Action]:
    return [
        action
        for step in rule.steps
        if isinstance(step, Act)
        for action in step.actions
        if [step.step, action.name] in names and is_for_another(action)
    ]


def _his(action: Any) -> Action:
    """The action as his own; its condition was asked of the giver."""
    found: Action = replace(action, to="customer", condition=None)
    return found
