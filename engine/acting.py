"""What one act of a rule's instance comes to: through the gates, then the decision's row.

Must live here: the rows of decisions. Must not: when an act is due (steps.py), what a gate asks
(gates.py), what an action holds (actions.py), sending.
"""

from collections.abc import Set as AbstractSet
from typing import Any, Final

from engine.actions import id_of, rows_of
from engine.budgets import paid
from engine.caps import count
from engine.case import Case
from engine.digests import HELD as DIGEST
from engine.digests import count as count_digest
from engine.doing import do
from engine.effects import Row
from engine.gates import GATES, risk_asked
from engine.journal import Instance
from engine.lots import Lot
from engine.offering import offered
from engine.persuasion import judge
from engine.turn import Turn
from features.models.names import SCORE_NAMES
from rules.model import Act, Rule

NOT_AFTER_MS: Final = 86_400_000
HELD_BITS: Final = {"once_per": 1, "too_many_open": 2}
_NO_ACT: Final = Act(())


def act(
    turn: Turn, rule: Rule, instance: Instance, step: Act, split: str = "", lot: Lot | None = None
) -> bool:
    """Decide one act; False when it was held and the instance is over, or waits (`again`).

    `split` names the branches drawn by lot on the way to it.
    """
    case = Case(turn, rule, instance, step, first=not instance.arm, lot=lot)
    reason = next((held for gate in GATES if (held := gate(case))), "")
    if case.first:
        judge(case)
    if instance.again:
        return False
    actions = [] if reason else rows_of(case)
    if actions is None:
        reason = "missing_value"
    elif not actions and not reason and not (lot and lot.bandit):
        reason = "condition"
    elif not reason:
        reason, actions = paid(case, actions)
        if instance.again:
            return False
    if reason:
        turn.effects.decisions.append(decision_row(case, step.step, held=reason, split=split))
        return False
    turn.effects.decisions.append(decision_row(case, step.step, actions=actions or [], split=split))
    count(turn, rule, actions or (), case.at)
    do(case, actions or ())
    offered(case, actions or ())
    if rule.digest is not None:
        count_digest(case)
        _speak_for_mates(case, split)
    return True


def _speak_for_mates(case: Case, split: str) -> None:
    """Those that a digest's decision is for too are over; each has a row that names it."""
    turn, rule, made = case.turn, case.rule, id_of(case, case.act.step)
    together = turn.journey.mates(case.instance)
    for other in together:
        turn.about(rule, other.subject, other)
        its = Case(turn, rule, other, case.act, first=False, arm=other.arm)
        row = decision_row(its, case.act.step, held=DIGEST, split=split)
        row["values"][DIGEST] = made
        turn.effects.decisions.append(row)
        other.again = 0  # nobody need wake it any more
    over = {id(other) for other in together}
    turn.journey.open = [one for one in turn.journey.open if id(one) not in over]
    turn.about(rule, case.instance.subject, case.instance)


def hold(turn: Turn, rule: Rule, instance: Instance, reason: str, at: int, note: str = "") -> None:
    """Write the row of a decision that was held before its act."""
    case = Case(turn, rule, instance, _NO_ACT, first=False, arm=instance.arm or "none")
    row = decision_row(case, str(instance.step), held=reason, at=at)
    if note:
        row["values"]["error"] = note[:500]
    turn.effects.decisions.append(row)


def hold_once(turn: Turn, rule: Rule, instance: Instance, reason: str, at: int) -> None:
    """The same, but only the first time for this subject: a decision's id has one content."""
    journey = turn.journey
    held = journey.ever if instance.key in journey.ever else journey.fired
    bit = HELD_BITS[reason]
    if not held[instance.key] & bit:
        held[instance.key] |= bit
        hold(turn, rule, instance, reason, at)


def decision_row(
    case: Case,
    step: str,
    *,
    actions: list[Row] | None = None,
    held: str = "",
    at: int = 0,
    split: str = "",
) -> Row:
    """A decision as it is written to the outbox: all of it follows from records alone."""
    rule, instance, turn = case.rule, case.instance, case.turn
    moment, at = turn.moment, at or case.at
    reading: dict[str, Any] = case.lot.values() if case.lot else {}
    for name in sorted(_asked(case, held)):
        value = turn.read(name, at)
        reading[name] = "unknown" if _unknown(value) else str(value)
    if instance.left:
        reading["moved_from"] = instance.left
    return {
        "rule": rule.name, "at": at, "decision_id": id_of(case, step, held),
        "cid": turn.customer.cid, "run": rule.run, "instance": instance.subject, "step": step,
        "version": rule.book or moment.book.hash, "purpose": rule.purpose,
        "result": "hold" if held else "act", "held": held,
        "arm": case.arm, "split": split, "propensity": case.lot.propensity if case.lot else 1.0,
        "model_version": moment.model,
        "values": reading, "actions": actions or [],
        "latency_ms": max(0, moment.log_time - at), "log_offset": moment.offset,
        "not_after": at + NOT_AFTER_MS,
    }  # fmt: skip


def _asked(case: Case, held: str) -> AbstractSet[str]:
    """The names whose values the row shows: those of the condition, and of the risk that held."""
    asked = [] if case.rule.condition is None else [case.rule.condition]
    names: set[str] = set()
    if held == "risk":
        asked += risk_asked(case)
        names.add("risk.signs")
    for one in asked:
        names |= one.features | (one.laid & SCORE_NAMES.keys())
    return names


def _unknown(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)  # noqa: PLR0124 - NaN
