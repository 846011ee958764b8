"""Sequences: events in an order, first to last within a time, then perhaps one that stays away.

Must live here: the thread of events that each subject of a rule has, and when it is whole. Events
that come late find their place by their own time. Must not: what the rule then does.
"""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import groupby
from typing import Final

from engine.journal import Journey
from engine.subjects import ONE_THREAD, subject_at, subject_of, subjects_in
from engine.triggers import enter, fail
from engine.turn import Turn
from features.events import Event
from rules.book import Book
from rules.model import PERIODS, Rule, SequenceStep, SequenceTrigger, ThenNot
from rules.subjects import ids_of

THREAD_MAX: Final = 100
THREADS_MAX: Final = 32
WAITING_MAX: Final = 20

Thread = list[tuple[int, int]]  # when (ms), and which links it is, as bits; the last one: away


def follow(turn: Turn, rule: Rule, event: Event, names: frozenset[str]) -> None:
    """An event that may be a link, or what must stay away."""
    trigger = rule.trigger
    if not isinstance(trigger, SequenceTrigger):
        return
    try:
        for subject in _subjects(turn, rule, event):
            turn.about(rule, subject)
            bits = _bits(turn, trigger, event, names)
            if bits:
                _spin(turn, rule, trigger, subject, event, bits)
    except Exception as error:  # noqa: BLE001 - a rule's fault is that rule's alone
        fail(turn, rule, "", event.at, error)


def stayed_away(turn: Turn, rule: Rule, subject: str) -> str:
    """What must stay away did: the subject to enter with."""
    _forget(turn.journey, rule.name, subject)
    return subject


def forget(turn: Turn) -> None:
    """Threads of rules that are no more."""
    links = turn.journey.links
    for name in links.keys() - turn.book.rules.keys():
        del links[name]


def unite(mine: Journey, theirs: Journey, book: Book) -> None:
    """Weave the threads of two who are one; what the other did is no longer awaited not to come."""
    for name, others in theirs.links.items():
        threads = mine.links.setdefault(name, {})
        for subject, thread in others.items():
            threads[subject] = sorted([*threads.get(subject, ()), *thread])[-THREAD_MAX:]
        while len(threads) > THREADS_MAX:
            del threads[next(iter(threads))]
        rule = book.rules.get(name)
        if rule is None or not isinstance(rule.trigger, SequenceTrigger):
            continue
        for subject, due in list(mine.dues.get(name, {}).items()):
            thread = threads.get("" if rule.once_per in ONE_THREAD else subject, [])
            if _came(rule.trigger, thread, due):
                _forget(mine, name, subject)


def _subjects(turn: Turn, rule: Rule, event: Event) -> list[str]:
    """The threads it belongs to: of the things it names; of none, all there are and the common."""
    kind = rule.once_per
    if kind in ONE_THREAD:
        return [""]
    if kind != "cart" and (ids := ids_of((kind,))):
        named = [one.partition(":")[2] for one in subjects_in(event, ids)]
    else:
        named = [subject_of(rule, turn.customer, event, turn.zone) or ""]
    known = turn.journey.links.get(rule.name, {})
    return [one for one in named if one] or ["", *(one for one in known if one)]


def _bits(turn: Turn, trigger: SequenceTrigger, event: Event, names: frozenset[str]) -> int:
    links: list[SequenceStep | ThenNot] = [*trigger.steps]
    if trigger.then_not:
        links.append(trigger.then_not)
    return sum(
        1 << place
        for place, link in enumerate(links)
        if not link.names.isdisjoint(names) and turn.holds(link.condition, event, event.at)
    )


def _spin(
    turn: Turn, rule: Rule, trigger: SequenceTrigger, subject: str, event: Event, bits: int
) -> None:
    """Take the event into its thread, and see whether that is whole now."""
    journey, at, then_not = turn.journey, event.at, trigger.then_not
    if then_not and bits >> len(trigger.steps):
        for waiting, due in list(journey.dues.get(rule.name, {}).items()):
            concerned = subject in {"", waiting}
            if concerned and due - then_not.for_ms <= at < due:
                _forget(journey, rule.name, waiting)
    threads = journey.links.setdefault(rule.name, {})
    thread = threads.pop(subject, None) or list(threads.get("", ()))
    place = bisect_right(thread, at, key=lambda one: one[0])
    thread.insert(place, (at, bits))
    span = max(trigger.within_ms, then_not.for_ms if then_not else 0)
    thread = [one for one in thread if one[0] >= thread[-1][0] - span]
    end = _whole(trigger, thread)
    rest = thread if end is None else thread[end + 1 :]
    if rest:
        threads[subject] = _thinned(rest, trigger)
        if len(threads) > THREADS_MAX:
            del threads[next(iter(threads))]
    if end is not None:
        _fire(turn, rule, trigger, subject, event, thread[end][0], rest)
    if not threads:
        del journey.links[rule.name]


def _fire(
    turn: Turn, rule: Rule, trigger: SequenceTrigger, thread: str, event: Event, at: int,
    rest: Thread,
) -> None:  # fmt: skip
    """The links came, the last at `at` (ms): enter, or wait for what must stay away."""
    if rule.once_per in PERIODS:
        subject = subject_at(rule, "", at, turn.zone)
    elif rule.once_per in ONE_THREAD:
        subject = subject_of(rule, turn.customer, event, turn.zone) or ""
    else:
        subject = thread
    turn.about(rule, subject)
    if not subject or not turn.holds(trigger.condition, event, event.at):
        return
    if trigger.then_not is None:
        enter(turn, rule, subject, at, event)
        return
    due = at + trigger.then_not.for_ms
    waiting = turn.journey.dues.setdefault(rule.name, {})
    if not _came(trigger, rest, due) and len(waiting) < WAITING_MAX:
        waiting.setdefault(subject, due)
        turn.journey.arm(due)
    if not waiting:
        del turn.journey.dues[rule.name]


def _came(trigger: SequenceTrigger, thread: Thread, due: int) -> bool:
    """Whether what must stay away until `due` (ms) came."""
    since = due - (trigger.then_not.for_ms if trigger.then_not else 0)
    return any(since <= at < due and bits >> len(trigger.steps) for at, bits in thread)


def _forget(journey: Journey, rule: str, subject: str) -> None:
    waiting = journey.dues.get(rule, {})
    waiting.pop(subject, None)
    if not waiting:
        journey.dues.pop(rule, None)


def _whole(trigger: SequenceTrigger, thread: Thread) -> int | None:
    """Where the first chain of all links ends that fits the time, if there is one."""
    wanted = list(_wanted(trigger))
    for start, (began, bits) in enumerate(thread):
        if not bits & wanted[0]:
            continue
        found = 0
        for place in range(start, len(thread)):
            at, bits_there = thread[place]
            if at > began + trigger.within_ms:
                break
            if bits_there & wanted[found]:
                found += 1
                if found == len(wanted):
                    return place
    return None


def _wanted(trigger: SequenceTrigger) -> Iterator[int]:
    for place, link in enumerate(trigger.steps):
        for _ in range(link.count):
            yield 1 << place


def _thinned(thread: Thread, trigger: SequenceTrigger) -> Thread:
    """Bounded: of many alike in a row no chain needs more at either end than it has links."""
    if len(thread) <= THREAD_MAX:
        return thread
    needed = sum(link.count for link in trigger.steps)
    kept: Thread = []
    for _, alike in groupby(thread, key=lambda one: one[1]):
        row = list(alike)
        kept += row if len(row) <= 2 * needed else [*row[:needed], *row[-needed:]]
    return kept[-max(THREAD_MAX, 2 * needed) :]
