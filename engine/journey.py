"""A rule's instances hear the customer's events: they end, wait longer, or go on.

Must live here: what an event does to instances, and in which order rules hear it. Must not: the
triggers themselves (triggers.py), steps (steps.py), timers (timers.py). Times are ms.
"""

from collections.abc import Iterable

from engine.acting import hold
from engine.dues import redate
from engine.editions import going_by
from engine.effects import Effects, Moment
from engine.fields import tell
from engine.items import note_held
from engine.journal import Instance, note
from engine.membership import announce, hear
from engine.sequences import follow
from engine.steps import advance, close, duration
from engine.subjects import concerns, subjects_in
from engine.timers import broke_silences, resize_silences
from engine.triggers import heard
from engine.turn import Turn
from features.customer import Customer
from features.events import Event
from rules.book import Ears
from rules.model import Rule, SequenceTrigger, Wait


def listen(customer: Customer, event: Event, moment: Moment, effects: Effects) -> None:
    """Let the customer's open instances and the rules hear an event that has been folded."""
    ears = moment.book.ears(event.name)
    if ears is None:
        return
    turn = Turn(customer, moment, effects)
    if ears.told:
        tell(customer, event, ears.told, turn.zone)
    if ears.held:
        note_held(customer, event, ears.held)
    for rule in ears.dated:
        redate(turn, rule, event.at)
    moves = hear(turn, ears, event) if ears.sorts or ears.crossing else None
    if ears.watchers:
        _watch(turn, ears, event)
    if ears.silenced:
        broke_silences(turn, ears, event.at)
    if ears.resized:
        resize_silences(turn, ears.resized, event.at)
    if ears.sieve or ears.followed:
        _trigger(turn, ears, event)
    if moves:
        announce(turn, *moves, event.at, event)


def _watch(turn: Turn, ears: Ears, event: Event) -> None:
    """The customer's open instances hear it."""
    subjects = subjects_in(event, ears.ids)
    note(turn.journey, event.name, subjects, event.at)
    for instance in list(turn.journey.open):
        if instance.rule in ears.watchers:
            _heed(turn, instance, event, subjects, ears.names)


def _trigger(turn: Turn, ears: Ears, event: Event) -> None:
    """Rules with a trigger of either kind hear it in one order: a cap is for the first of them."""
    sieve, extra = ears.sieve, turn.moment.presets
    rules: Iterable[Rule] = sieve.rules(turn.customer, event, extra) if sieve else ()
    if ears.followed:
        rules = sorted((*rules, *ears.followed), key=lambda rule: (-rule.priority, rule.name))
    for rule in rules:
        if isinstance(rule.trigger, SequenceTrigger):
            follow(turn, rule, event, ears.names)
        else:
            heard(turn, rule, event)


def _heed(
    turn: Turn, instance: Instance, event: Event, subjects: list[str], names: frozenset[str]
) -> None:
    """One open instance hears one event, by any of its names."""
    rule = going_by(turn.book, instance)
    if rule is None or event.at < instance.started or instance.gift:
        return
    if not concerns(rule, instance.subject, subjects):
        return
    turn.about(rule, instance.subject, instance)
    for stop in rule.stop_on:
        if stop.event in names and turn.holds(stop.condition, event, event.at):
            hold(turn, rule, instance, "stopped", event.at)
            close(turn, instance)
            return
    wait = rule.steps[instance.step] if instance.step < len(rule.steps) else None
    if instance.again or not isinstance(wait, Wait):
        return
    if not wait.since_last.isdisjoint(names) and event.at > instance.anchor:
        instance.anchor = event.at
        instance.due = event.at + (duration(turn, wait, event.at) or 0)
    awaited = not wait.events.isdisjoint(names) and instance.anchor <= event.at <= instance.due
    if awaited and turn.holds(wait.condition, event, event.at):
        instance.arrived = event.at
        advance(turn, rule, instance, event.at)
