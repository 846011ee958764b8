"""The gates of an act, in RULES.md's fixed order; each says why it holds, or nothing.

Must live here: the gates as a table, and what they share about one act. Must not: what is sent.
`once_per` and the trigger's own conditions stand before these (triggers.py). To add a gate: a
function from a Case to the reason it holds, and its place in GATES.
"""

from collections.abc import Callable
from typing import Final

from engine.caps import capped, limited, spent
from engine.case import Case
from engine.digests import digested
from engine.ids import share
from engine.peak import excused
from engine.quiet import quieted
from engine.switches import is_killed
from rules.expressions import Expr, condition
from rules.model import Act, Coupon, Points
from rules.scope import catalog_scope

__all__ = ["GATES", "Case", "enter_limit", "risk_asked", "spent"]
RISK: Final = condition(["risk.abuse >= 0.9"], catalog_scope())  # where the shop says nothing


def _status(case: Case) -> str:
    rule = case.rule
    if is_killed(case.turn.moment.killed, rule.name, rule.purpose):
        return "killed"
    if rule.status in {"draft", "paused"}:
        return rule.status
    ended = rule.active_until is not None and case.at >= rule.active_until
    return "inactive" if ended else ""


def _late(case: Case) -> str:
    """Nothing is late in record time: there, log time is what the driver says."""
    moment = case.turn.moment
    if moment.settings.record_clock:
        return ""
    behind = moment.log_time - case.at
    if behind > case.rule.late_ms and moment.peaks:
        behind -= excused(moment.peaks, case.at, moment.log_time)
    return "late" if behind > case.rule.late_ms else ""


def _condition(case: Case) -> str:
    condition = case.rule.condition
    if condition is None or condition.test(*case.context):
        return ""
    missing = condition.missing(*case.context)
    return f"unknown:{missing[0]}" if missing else "condition"


def _risk(case: Case) -> str:
    """Who shows the signs that the shop or the rule names is kept from gifts, or from all of it.

    What is unknown of him is no risk.
    """
    held = any(case.turn.holds(one, None, case.at) for one in risk_asked(case))
    return "risk" if held else ""


def risk_asked(case: Case) -> tuple[Expr, ...]:
    """What risk asks of him for this act: the rule's own conditions, else the shop's."""
    rule, shop = case.rule, case.turn.book.shop.risk
    if rule.risk is not None:
        return rule.risk
    if rule.purpose not in shop.purposes:
        return ()
    gifts = any(isinstance(action, Coupon | Points) for action in case.act.actions)
    if not gifts and shop.kept_from == "gifts":
        return ()
    return (RISK,) if shop.hold is None else shop.hold


def _paused(case: Case) -> str:
    """While a pause of the shop's holds for the customer, or one that an action began."""
    turn, purpose = case.turn, case.rule.purpose
    if case.at < turn.journey.paused.get(purpose, 0):
        return "pause"
    if purpose != "marketing":
        return ""
    held = any(turn.holds(pause, None, case.at) for pause in turn.book.shop.pauses)
    return "pause" if held else ""


def _consent(case: Case) -> str:
    """Nothing goes where the customer unsubscribed; marketing only where he said yes.

    A customer who was never asked counts as yes, unless shop.yaml says `consent: opt-in`.
    """
    turn = case.turn
    bounced = frozenset(turn.read("consent.bounced", case.at) or ())  # for the next gate
    case.refused = frozenset(turn.read("consent.unsubscribed", case.at) or ()) - bounced
    if case.rule.purpose == "marketing":
        told = turn.read("consent.marketing", case.at)
        if told is not None or turn.book.shop.consent == "opt-in":
            case.channels = bounced.union(told or ())
    return "" if _ways(case) else "consent"


def _reachable(case: Case) -> str:
    """A channel that bounced for good reaches him no more.

    Which addresses exist, the receiver at the channel's other end knows.
    """
    bounced = case.turn.read("consent.bounced", case.at)
    if not bounced:
        return ""
    case.refused |= frozenset(bounced)
    return "" if _ways(case) else "unreachable"


def _ways(case: Case) -> bool:
    return all(case.allowed(one) for one in case.messages() if not one.optional)


def _limit(case: Case) -> str:
    if not case.first:
        return ""
    times = case.turn.journey.entries.get(case.rule.name, [])
    full = any(spent(rate, times, case.at, case.turn.zone) for rate in case.rule.limits)
    return "limit" if full else ""


def _any_arm(case: Case) -> str:
    """Whom one arm of a bandit may not reach gets none: who gets which is the lot's alone."""
    bandit = case.lot.bandit if case.lot else None
    for offers in bandit.offers if bandit else ():
        one = Case(case.turn, case.rule, case.instance, Act(offers), first=case.first)
        if held := next((held for gate in ARM_GATES if (held := gate(one))), ""):
            return held
    return ""


def enter_limit(case: Case) -> str:
    """No gate: for its limit an instance counts once, at its first act, in both arms alike."""
    if case.first and case.rule.limits:
        entries, name = case.turn.journey.entries, case.rule.name
        kept = max(rate.count for rate in case.rule.limits)
        entries[name] = [*entries.get(name, []), case.at][-kept:]
    return ""


def _holdout(case: Case) -> str:
    """Who is held out is fixed by the customer's birth id, before anything is spent."""
    rule, birth, moment = case.rule, case.instance.birth, case.turn.moment
    if not case.first:
        case.arm = case.instance.arm or "treated"
        return ""
    if moment.arm:
        case.arm = moment.arm
    elif rule.purpose == "marketing" and (
        share("everything", birth) < moment.book.shop.holdout_everything
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


ARM_GATES: Final = (_risk, _consent, _reachable, limited, capped)
# when and once_per stand before these; the budget after, once it is known what is spent.
GATES: Final[tuple[Callable[[Case], str], ...]] = (
    _status,
    _late,
    _condition,
    _risk,
    _paused,
    _consent,
    _reachable,
    _limit,
    limited,
    capped,
    _any_arm,
    enter_limit,
    _holdout,
    _shadow,
    quieted,
    digested,
)
