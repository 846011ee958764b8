"""The gates of an act, in RULES.md's fixed order; each says why it holds, or nothing.

Must live here: the gates as a table, and what they share about one act. Must not: what is sent.
`once_per` and the trigger's own conditions stand before these (triggers.py). To add a gate: a
function from a Case to the reason it holds, and its place in GATES.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from engine.ids import share
from engine.journal import Instance
from engine.peak import excused
from engine.subjects import period
from engine.turn import Turn
from rules.model import Act, Notify, Rule
from rules.values import Context, Rate


@dataclass(slots=True)
class Case:
    """One act at the gates."""

    turn: Turn
    rule: Rule
    instance: Instance
    act: Act
    first: bool
    arm: str = "none"
    channels: frozenset[str] | None = None  # None: any
    refused: frozenset[str] = frozenset()

    @property
    def at(self) -> int:
        """The act's due time in ms, as of which everything is read."""
        return self.instance.due

    @property
    def context(self) -> Context:
        """What the act's values and conditions are read from."""
        return self.turn.context(self.at)

    def allowed(self, action: Notify) -> list[str]:
        """The channels of a message that the customer takes it on, the first one first."""
        return [
            name
            for name in action.via
            if name not in self.refused and (self.channels is None or name in self.channels)
        ]


def _status(case: Case) -> str:
    rule = case.rule
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


def _consent(case: Case) -> str:
    """Nothing goes where the customer unsubscribed; marketing only where he said yes.

    A customer who was never asked counts as yes, unless shop.yaml says `consent: opt-in`.
    """
    turn = case.turn
    case.refused = frozenset(turn.read("consent.unsubscribed", case.at) or ())
    if case.rule.purpose == "marketing":
        told = turn.read("consent.marketing", case.at)
        if told is not None or turn.book.shop.consent == "opt-in":
            case.channels = frozenset(told or ())
    for action in case.act.actions:
        if isinstance(action, Notify) and not action.optional and not case.allowed(action):
            return "consent"
    return ""


def _limit(case: Case) -> str:
    """Counts an instance once, at its first act, in both arms alike."""
    if not case.first or not case.rule.limits:
        return ""
    entries, name = case.turn.journey.entries, case.rule.name
    times = entries.get(name, [])
    if any(spent(rate, times, case.at, case.turn.zone) for rate in case.rule.limits):
        return "limit"
    kept = max(rate.count for rate in case.rule.limits)
    entries[name] = [*times, case.at][-kept:]
    return ""


def spent(rate: Rate, times: list[int], at: int, zone: str) -> bool:
    """Whether as many `times` (ms) as the rate allows lie in its window or calendar period."""
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


# when and once_per stand before these, quiet hours and budget after.
GATES: Final[tuple[Callable[[Case], str], ...]] = (
    _status,
    _late,
    _condition,
    _consent,
    _limit,
    _holdout,
    _shadow,
)
