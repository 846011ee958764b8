"""Why a rule would act for a customer now, or would not: everything that is asked, one by one.

Must live here: asking a rule's condition and gates of a customer as he is, and each answer in
words. Must not: changing anything that is kept; the customer handed in is a copy to throw away.

    facts    what the rule already knows of him: open instances, what it was done for
    asked    the condition's clauses and the gates, in their order; `no` is empty where it passes
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from engine.case import Case
from engine.explain import Clause, clauses, scope_of
from engine.gates import GATES
from engine.ids import instance_key
from engine.journal import Instance
from engine.subjects import subject_at
from engine.timers import silent_until
from engine.triggers import FIRING
from engine.turn import Turn
from features.models.names import SCORE_NAMES
from rules.model import (
    PERIODS,
    Act,
    EventTrigger,
    InactiveTrigger,
    Rule,
)

NAMES: Final = {
    "_status": "status", "_late": "late", "_condition": "if", "_risk": "risk",
    "_paused": "pauses", "_consent": "consent", "_reachable": "reachable", "_limit": "limit",
    "limited": "offers' limits", "capped": "caps", "_any_arm": "its offers' arms",
    "_holdout": "holdout", "_shadow": "shadow", "quieted": "quiet hours",
}  # fmt: skip
SILENT: Final = frozenset(
    {"enter_limit", "_condition", "digested"}
)  # no gate; told clause by clause
_NO_ACT: Final = Act(())


@dataclass(frozen=True)
class Gate:
    """One gate: its name, and why it holds; "" where it passes."""

    name: str
    reason: str = ""
    words: str = ""


@dataclass
class Why:
    """All that can be said of one rule and one customer at one moment."""

    rule: str
    facts: list[str] = field(default_factory=list)
    condition: list[Clause] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)

    @property
    def acts(self) -> bool:
        """Whether it would act, were its trigger to fire now."""
        return not self.held

    @property
    def held(self) -> str:
        """What would hold it, in one sentence; "" for nothing."""
        failed = [str(one) for one in self.condition if one.answer != "yes"]
        shut = [f"{gate.name}: {gate.words or gate.reason}" for gate in self.gates if gate.reason]
        return "; ".join([*failed, *shut])


def why(turn: Turn, rule: Rule, at: int) -> Why:
    """Ask everything of the customer, as of `at` (ms)."""
    subject = _subject(turn, rule, at)
    turn.about(rule, subject)
    found = Why(rule.name)
    found.facts = [*_trigger(turn, rule), *_open(turn, rule), *_fired(turn, rule, subject)]
    found.facts += _models(turn, rule)
    found.condition = clauses(
        rule.condition, turn.context(at), scope_of(turn.book, rule, event=False)
    )
    act = next((step for step in rule.steps if isinstance(step, Act)), _NO_ACT)
    case = Case(turn, rule, _instance(turn, rule, subject, at), act, first=True)
    for gate in GATES:
        if gate.__name__ in SILENT:
            continue
        reason = gate(case)
        name = NAMES.get(gate.__name__, gate.__name__.strip("_"))
        found.gates.append(Gate(name, reason, _words(case, reason) if reason else ""))
    return found


def _instance(turn: Turn, rule: Rule, subject: str, at: int) -> Instance:
    key = instance_key(rule.name, rule.run, subject)
    return Instance(rule.name, rule.run, subject, turn.birth, key, at, 0, at, at)


def _subject(turn: Turn, rule: Rule, at: int) -> str:
    """What he would be acted for now, where he alone decides it."""
    kind = rule.once_per
    if kind in {"customer", *PERIODS}:
        return subject_at(rule, "customer", at, turn.zone)
    if kind == "cart":
        cart = turn.customer.state("cart")
        return str(cart.run if cart.run in {"", cart.cart_id} else f"~{cart.run}")
    return ""


def _trigger(turn: Turn, rule: Rule) -> list[str]:
    trigger = rule.trigger
    if rule.status not in FIRING:
        return [f"its status is {rule.status}: nothing begins"]
    if isinstance(trigger, EventTrigger):
        times = f", {trigger.count} times" if trigger.count > 1 else ""
        return [f"it begins at an event {' or '.join(sorted(trigger.names))}{times}"]
    if isinstance(trigger, InactiveTrigger):
        last = turn.journey.silent.get(rule.name, 0)
        if not last:
            return ["it begins with a silence, and he was not heard of yet"]
        due = silent_until(turn, rule, abs(last))
        if last < 0:
            return [f"his silence since {clock(turn, -last)} was answered already"]
        until = f" until {clock(turn, due)}" if due else ""
        return [f"silent since {clock(turn, last)}; it begins if he stays so{until}"]
    return []


def _open(turn: Turn, rule: Rule) -> list[str]:
    return [
        f"it is under way since {clock(turn, one.started)}"
        f"{f' for {rule.once_per} {one.subject}' if rule.once_per != 'customer' else ''}, "
        f"and waits until {clock(turn, one.wakes)}"
        for one in turn.journey.open
        if one.rule == rule.name
    ]


def _fired(turn: Turn, rule: Rule, subject: str) -> list[str]:
    key = instance_key(rule.name, rule.run, subject)
    if subject and (key in turn.journey.fired or key in turn.journey.ever):
        return [f"once_per: it began already for this {rule.once_per}, so it will not again"]
    return []


def _models(turn: Turn, rule: Rule) -> list[str]:
    """Of which version the scores are that the rule reads."""
    read = sorted(rule.laid & SCORE_NAMES.keys())
    if not read:
        return []
    if not turn.moment.models:
        return [f"no model has learned yet: {', '.join(read)} cannot be known"]
    return [f"{', '.join(read)} by the models of version {turn.moment.model[:12]}"]


def _words(case: Case, reason: str) -> str:
    """Why a gate holds, for people, with the nearest change where there is one."""
    speak = _WORDS.get(reason)
    return speak(case) if speak else _PLAIN.get(reason, reason)


def _limit_words(case: Case) -> str:
    rule, times = case.rule, case.turn.journey.entries.get(case.rule.name, [])
    told = []
    for rate in rule.limits:
        per = rate.calendar or f"{rate.per_ms / 86_400_000:g}d"
        free = ""
        if rate.per_ms and len(times) >= rate.count:
            free = f"; free again at {clock(case.turn, times[-rate.count] + rate.per_ms)}"
        told.append(f"{rate.count} per {per}{free}")
    last = f"last at {clock(case.turn, times[-1])}; " if times else ""
    return f"the limit is used up: {last}{', '.join(told)}"


def _consent_words(case: Case) -> str:
    asked = sorted({via for message in case.messages() for via in message.via})
    given = "nothing" if not case.channels else ", ".join(sorted(case.channels - case.refused))
    refused = ", ".join(sorted(case.refused))
    told = f"the message goes by {', '.join(asked)}"
    if case.channels is not None:
        told += f", and he agreed to {given}"
    return f"{told}; he refused {refused}" if refused else told


def _holdout_words(case: Case) -> str:
    if case.arm == "global_holdout":
        share = case.turn.book.shop.holdout_everything
        return f"he is of the {share:.0%} who get no marketing at all"
    return f"he is of the {case.rule.holdout:.0%} held out of this rule, for all of its run"


def _again_words(case: Case) -> str:
    return f"it would wait until {clock(case.turn, case.instance.again)}"


_WORDS: Final[dict[str, Callable[[Case], str]]] = {
    "limit": _limit_words,
    "consent": _consent_words,
    "holdout": _holdout_words,
    "again": _again_words,
}
_PLAIN: Final = {
    "draft": "it is a draft",
    "paused": "it is paused",
    "inactive": "its time is over",
    "killed": "the kill switch stops it",
    "late": "it would come too late",
    "risk": "he shows the signs of abuse that the rule or the shop asks for",
    "pause": "a pause holds for him",
    "unreachable": "each channel of the message bounced",
    "cap": "the caps on messages are used up",
    "quiet": "these are quiet hours",
    "shadow": "it runs in shadow: rows are written, nothing is sent",
    "budget": "the budget is used up",
    "codes": "the pool of imported codes is empty",
    "digest": "another decision of the same digest speaks for it",
    "once_per": "it was done for this subject already",
    "too_many_open": "too much is under way for him",
    "edited": "the rule was edited, and the wait it stood at is gone",
    "stopped": "an event of stop_on ended it",
    "condition": "the condition does not hold",
    "missing_value": "an amount could not be computed: a value is not known",
    "error": "the rule failed",
    "priority": "a rule of higher priority came first",
}


def reason_in_words(reason: str) -> str:
    """What a row's `held` says, for people.

    >>> reason_in_words("unknown:orders.average")
    'the condition asks for orders.average, which is not known'
    """
    kind, _, name = reason.partition(":")
    if kind == "unknown":
        return f"the condition asks for {name}, which is not known"
    return _PLAIN.get(kind) or {
        "limit": "the rule's limit is used up",
        "consent": "no channel of the message that he agreed to",
        "holdout": "he is held out, to compare with",
    }.get(kind, reason)


def clock(turn: Turn, at: int) -> str:
    """A moment in the shop's zone."""
    return dt.datetime.fromtimestamp(at / 1_000, turn.book.shop.zone).strftime("%Y-%m-%d %H:%M")
