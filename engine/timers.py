"""A customer's timers: what waits until a time, and what its coming does.

Must live here: the kinds of timers, their one order (due, priority, rule, subject), firing as of
the due time. Must not: what the steps after it do. The shard's sorted set keeps only each
customer's earliest alarm; all the rest is found here, from his own memory.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from engine.acting import hold
from engine.dues import came
from engine.editions import HELD as EDITED
from engine.editions import going_by, is_out
from engine.gifts import give
from engine.journal import Instance
from engine.membership import look
from engine.requests import claim_again
from engine.sequences import stayed_away
from engine.steps import advance, close
from engine.subjects import subject_at
from engine.triggers import enter, fail
from engine.turn import Turn
from rules.book import Book, Ears
from rules.model import (
    DueTrigger,
    InactiveTrigger,
    ItemTrigger,
    RequestTrigger,
    Rule,
    ScheduleTrigger,
    SequenceTrigger,
)

FIRINGS_MAX: Final = 500
SILENCE_MS_MIN: Final = 60_000  # of a computed one; the loader sees to written ones
FIRST: Final = 1_000  # above any rule's priority
AFTER_ALL: Final = "\U0010ffff"  # a digest gathers behind all else of its rule
AT_DATES: Final = (DueTrigger, SequenceTrigger)
IN_TURNS: Final = (ScheduleTrigger, ItemTrigger)
LOWER: Final = 50  # the priority of a rule that says nothing; below it a rule waits at a peak
# due, -priority, rule, subject, what waits: None is the look at what time alone has changed
Ripe = tuple[int, int, str, str, Instance | Rule | None]


def wake(turn: Turn, until: int) -> int:
    """Fire the customer's timers due at or before `until`, in due order, as of their due time.

    When the next one is due (ms), 0 for none.
    """
    now = max(until, turn.moment.log_time)
    for one in turn.journey.open:
        if one.waits_for_slice and one.again <= now:
            one.again = one.due  # in the order of what is due
    for _ in range(FIRINGS_MAX):
        found = _ripest(turn)
        if found is None:
            return 0
        if found[0] > until:
            return found[0]
        due, _, _, about, what = found
        if what is None:
            look(turn, due)
        elif isinstance(what, Rule):
            _fire(turn, what, about, due)
        else:
            resume(turn, what)
    return next_due(turn)


def next_due(turn: Turn) -> int:
    """When the customer's earliest timer is due (ms), 0 for none."""
    found = _ripest(turn)
    return found[0] if found else 0


def _ripest(turn: Turn) -> Ripe | None:
    first: Ripe | None = None
    for one in _all(turn):
        if first is None or one[0] < first[0] or (one[0] == first[0] and one[:4] < first[:4]):
            first = one
    return first


def _all(turn: Turn) -> Iterator[Ripe]:
    """Every timer of the customer: instances that wait, silences, dates, turns."""
    rules, silences, journey = turn.book.rules, turn.book.silences, turn.journey
    if journey.asked and turn.book.ageing:
        yield journey.asked, -FIRST, "", "", None
    for instance in journey.open:
        yield (*order_of(turn.book, instance), instance)
    for name, last in journey.silent.items():
        rule = rules.get(name)
        if last <= 0 or rule is None or not isinstance(rule.trigger, InactiveTrigger):
            continue
        written = silences.get(name)
        if due := last + written if written else silent_until(turn, rule, last):
            yield max(due, journey.met.get(name, 0)), -rule.priority, name, str(last), rule
    for kinds, planned in ((AT_DATES, journey.dues), (IN_TURNS, journey.planned)):
        for name, dates in planned.items():
            rule = rules.get(name)
            if rule is not None and isinstance(rule.trigger, kinds):
                for subject, due in dates.items():
                    yield due, -rule.priority, name, subject, rule


def _turn_came(turn: Turn, rule: str, subject: str) -> None:
    planned = turn.journey.planned
    planned[rule].pop(subject)
    if not planned[rule]:
        del planned[rule]


def can_wait(turn: Turn, until: int) -> bool:
    """Whether all timers due at or before `until` are of rules that wait at a peak (peak.py)."""
    due = [one for one in _all(turn) if one[0] <= until]
    return bool(due) and all(-priority < LOWER for _, priority, _, _, _ in due)


def broke_silences(turn: Turn, ears: Ears, at: int) -> None:
    """The customer did at `at` (ms) what rules wait for him not to do; there may be hundreds."""
    silent, journey = turn.journey.silent, turn.journey
    moved = False
    for name in ears.broken:
        if at > abs(silent.get(name, 0)):
            silent[name] = at
            moved = True
    if moved:
        journey.arm(at + ears.broken_ms)
    if len(ears.broken) == len(ears.silenced):
        return
    for rule in ears.silenced:
        if at > abs(silent.get(rule.name, 0)):
            silent[rule.name] = at
            if due := silent_until(turn, rule, at):
                journey.arm(due)


def resize_silences(turn: Turn, rules: Iterable[Rule], at: int) -> None:
    """What the length of these silences is read from may be another since `at` (ms)."""
    journey = turn.journey
    for rule in rules:
        last = journey.silent.get(rule.name, 0)
        if last > 0 and (due := silent_until(turn, rule, last)):
            if due < at:  # he has been silent for so long already, and it is known from now on
                journey.met[rule.name] = at
            journey.arm(max(due, at))


def silent_until(turn: Turn, rule: Rule, last: int) -> int:
    """When a silence since `last` (ms) is long enough for the rule; 0 when that is unknown."""
    if not isinstance(rule.trigger, InactiveTrigger):
        return 0
    if rule.name in turn.book.laid_silences:
        turn.about(rule)
    silence = rule.trigger.for_ms.get(turn.context(last))
    return last + max(SILENCE_MS_MIN, int(silence)) if isinstance(silence, int | float) else 0


def _fire(turn: Turn, rule: Rule, about: str, due: int) -> None:
    """A silence is long enough, or a date has come."""
    if isinstance(rule.trigger, InactiveTrigger):
        turn.journey.silent[rule.name] = -int(about)  # this silence has been answered
        turn.journey.met.pop(rule.name, None)
    elif isinstance(rule.trigger, ScheduleTrigger | ItemTrigger):
        _turn_came(turn, rule.name, about)
    elif isinstance(rule.trigger, SequenceTrigger):
        stayed_away(turn, rule, about)
    try:
        subject: str | None = about
        if isinstance(rule.trigger, DueTrigger):
            subject = came(turn, rule, about, due)
        elif isinstance(rule.trigger, InactiveTrigger):
            subject = subject_at(rule, about, due, turn.zone)
        if subject is not None and _wanted(turn, rule, about, due):
            enter(turn, rule, subject, due)
    except Exception as error:  # noqa: BLE001 - a rule's fault is that rule's alone
        fail(turn, rule, about, due, error)


def _wanted(turn: Turn, rule: Rule, about: str, due: int) -> bool:
    """Whether a silence's own condition holds when it is long enough."""
    if not isinstance(rule.trigger, InactiveTrigger) or rule.trigger.condition is None:
        return True
    turn.about(rule, about)
    return turn.holds(rule.trigger.condition, None, due)


def order_of(book: Book, instance: Instance) -> tuple[int, int, str, str]:
    """The place of an instance among a customer's timers."""
    rule = book.rules.get(instance.rule)
    last = AFTER_ALL if instance.gathered else ""
    return instance.wakes, -rule.priority if rule else 0, instance.rule, last + instance.subject


def resume(turn: Turn, instance: Instance) -> None:
    """Go on with an instance, as of its due time."""
    due = instance.due
    rule = going_by(turn.book, instance)
    if rule is None:
        close(turn, instance)
        return
    try:
        if is_out(rule, instance):
            hold(turn, rule, instance, EDITED, due)
            close(turn, instance)
        elif instance.gift:
            give(turn, rule, instance)
        elif isinstance(rule.trigger, RequestTrigger):
            claim_again(turn, rule, instance)
        else:
            advance(turn, rule, instance, due)
    except Exception as error:  # noqa: BLE001 - a rule's fault is that rule's alone
        close(turn, instance)
        fail(turn, rule, instance.subject, due, error)
