"""What opens an instance of a rule: its trigger, then the gates `active`, `if` and `once_per`.

Must live here: the triggers that events pull, and the way in. Must not: what happens inside
(steps.py); triggers that time pulls stand in timers.py and come in by the same `enter`.
"""

from typing import Final

from engine.acting import hold, hold_once
from engine.effects import LATE_EVENT_MS
from engine.hearing import kept
from engine.ids import instance_key
from engine.journal import COUNTED_SUBJECTS_MAX, FIRED_MAX, OPEN_MAX, Instance, Journey
from engine.steps import advance, close
from engine.subjects import ONE_THREAD, subject_at, subject_of
from engine.turn import Turn
from features.events import Event
from rules.model import EventTrigger, Rule, Wait

FIRING: Final = frozenset({"live", "shadow"})


def heard(turn: Turn, rule: Rule, event: Event) -> None:
    """An event that a rule listens to: count it, ask its conditions, open an instance."""
    trigger = rule.trigger
    if not isinstance(trigger, EventTrigger):
        return
    try:
        subject = subject_of(rule, turn.customer, event, turn.zone)
        if subject is None:
            return
        turn.about(rule, subject)
        holds = turn.holds(trigger.condition, event, event.at)
        if holds and _counted(turn, rule, trigger, subject, event.at):
            enter(turn, rule, subject, event.at, event)
    except Exception as error:  # noqa: BLE001 - a rule's fault is that rule's alone
        fail(turn, rule, "", event.at, error)


def pull(turn: Turn, rule: Rule, at: int, event: Event | None = None) -> None:
    """What a rule waits for came about at `at` (ms), by an event or by time."""
    trigger, subject = rule.trigger, None
    try:
        if event is not None and rule.once_per != "tick":
            subject = subject_of(rule, turn.customer, event, turn.zone)
        subject = subject or subject_at(rule, "", at, turn.zone)
        turn.about(rule, subject)
        if turn.holds(trigger.condition, event, at):
            enter(turn, rule, subject, at, event)
    except Exception as error:  # noqa: BLE001 - a rule's fault is that rule's alone
        fail(turn, rule, subject or "", at, error)


def _counted(turn: Turn, rule: Rule, trigger: EventTrigger, subject: str, at: int) -> bool:
    """Whether this is the `count`-th within the window for the subject (then it starts anew)."""
    if trigger.count <= 1:
        return True
    subject = "" if rule.once_per in ONE_THREAD else subject
    counts = turn.journey.counts.setdefault(rule.name, {})
    times = [t for t in counts.pop(subject, ()) if t > at - trigger.within_ms]
    times.append(at)
    if len(times) >= trigger.count:
        return True
    counts[subject] = times[-trigger.count :]
    if len(counts) > COUNTED_SUBJECTS_MAX:
        counts.pop(next(iter(counts)))
    return False


def enter(turn: Turn, rule: Rule, subject: str, at: int, event: Event | None = None) -> None:
    """The gates of the trigger itself (active, if, once_per), then the instance's first steps."""
    turn.about(rule, subject)
    if not _active(rule, at) or not turn.holds(rule.condition, event, at):
        return
    journey = turn.journey
    instance = _instance(turn, rule, subject, at, instance_key(rule.name, rule.run, subject))
    key = instance.key
    if key in journey.fired or key in journey.ever:
        hold_once(turn, rule, instance, "once_per", at)
        return
    fire(journey, rule, key)
    if len(journey.open) >= OPEN_MAX:
        hold(turn, rule, instance, "too_many_open", at)
        return
    log_time = turn.moment.log_time
    past = event is not None and log_time - at > LATE_EVENT_MS
    if past and not isinstance(rule.steps[0], Wait):
        hold(turn, rule, instance, "late", at)
        return
    if rule.hears and event is not None:
        instance.heard = kept(event, rule.hears)
    journey.open.append(instance)
    advance(turn, rule, instance, at)
    if past and instance.due <= log_time and instance in journey.open:
        hold(turn, rule, instance, "late", instance.due)
        close(turn, instance)


def fire(journey: Journey, rule: Rule, key: bytes) -> None:
    """Remember that the rule has fired for an instance."""
    if rule.once_per == "customer":
        journey.ever[key] = 0
    else:
        journey.fired[key] = 0
        if len(journey.fired) > FIRED_MAX:
            journey.fired.pop(next(iter(journey.fired)))


def _instance(turn: Turn, rule: Rule, subject: str, at: int, key: bytes) -> Instance:
    return Instance(
        rule=rule.name, run=rule.run, subject=subject, birth=turn.birth, key=key,
        started=at, step=-1, due=at, anchor=at, version=rule.version,
    )  # fmt: skip


def _active(rule: Rule, at: int) -> bool:
    if rule.status not in FIRING:
        return False
    return (rule.active_from or 0) <= at and (rule.active_until is None or at < rule.active_until)


def fail(turn: Turn, rule: Rule, subject: str, at: int, error: Exception) -> None:
    """An exception inside one rule: `held: error` for it, and the event is applied all the same."""
    instance = _instance(turn, rule, subject or f"error:{turn.moment.offset}", at, b"")
    instance.step = 0
    hold(turn, rule, instance, "error", at, note=f"{type(error).__name__}: {error}")
