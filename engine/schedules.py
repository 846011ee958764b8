"""Schedules: when each rule's firings begin their rounds, and each customer's turn within one.

Must live here: which firings have come, whom one reaches, at which moment of its spread. Must not:
the calendar (rules/schedules.py), going through customers (rounds.py), firing (timers.py). The
shard remembers for each schedule the last firing it has seen to; one that a new book brings begins
with that book: what lies before it does not fire.
"""

from typing import Final
from zoneinfo import ZoneInfo

from engine.ids import share
from engine.membership import meet
from engine.store import CUSTOMERS, Round, ShardState
from engine.subjects import subject_at
from engine.timers import wake
from engine.triggers import enter, fail
from engine.turn import Turn
from rules.book import Book
from rules.model import EVERYONE, Rule, ScheduleTrigger
from rules.schedules import next_firing

SCHEDULE: Final = "schedule"
MISSED_MAX: Final = 50  # firings of one rule in a round
PLANNED_MAX: Final = 20  # turns to come of one rule at one customer


def begun(book: Book, schedules: dict[str, int], at: int) -> dict[str, int]:
    """What is seen to once `book` is in force from `at` (ms) on: by rule and schedule, till when.

    A rule that stays as it was goes on where it was.
    """
    return {key: schedules.get(key, at) for key, _, _ in _of(book)}


def _of(book: Book) -> list[tuple[str, Rule, ScheduleTrigger]]:
    return [
        (f"{rule.name} {trigger.cron or trigger.moments}", rule, trigger)
        for rule in book.of_kind(ScheduleTrigger)
        if isinstance(trigger := rule.trigger, ScheduleTrigger)
    ]


def ripe(book: Book, state: ShardState, until: int) -> bool:
    """Whether a round is to begin for firings up to `until`: not while another one goes on."""
    if not state.schedules or any(one.kind == SCHEDULE for one in state.rounds):
        return False
    return 0 < upcoming(book, state.schedules) <= until


def begin(book: Book, state: ShardState, until: int, *, late: bool) -> None:
    """Begin the one round of all firings that have come by `until` (ms).

    Where something can be `late`: of a rule's firings that are, the first says so for all of them.
    """
    found: list[tuple[int, int, str]] = []
    for key, rule, trigger in _of(book):
        after = state.schedules[key]
        for _ in range(MISSED_MAX):
            due = next_firing(trigger, after, book.shop.zone)
            if not 0 < due <= until:
                break
            found.append((due, -rule.priority, rule.name))
            after = max(due, until - rule.late_ms - trigger.spread_ms - 1) if late else due
        state.schedules[key] = after
    come = [[due, name] for due, _, name in sorted(found)]
    state.rounds.append(Round(SCHEDULE, CUSTOMERS, until, {"firings": come}))


def upcoming(book: Book, schedules: dict[str, int]) -> int:
    """When the next firing is (ms), 0 for never."""
    zone = book.shop.zone
    found = (
        next_firing(trigger, schedules[key], zone)
        for key, _, trigger in _of(book)
        if key in schedules
    )
    return min((due for due in found if due), default=0)


def fire(turn: Turn, rule: Rule, at: int) -> None:
    """A rule's firing at `at` (ms) comes to this customer: his turn, if he is of its audience."""
    trigger = rule.trigger
    if not isinstance(trigger, ScheduleTrigger):
        return
    wake(turn, at)  # what was due before it comes before it
    try:
        turn.about(rule)
        if within(turn, trigger.audience, at) and turn.holds(trigger.condition, None, at):
            plan(turn, rule, subject_at(rule, str(at), at, turn.zone), at, trigger.spread_ms)
    except Exception as error:  # noqa: BLE001 - a rule's fault is that rule's alone
        fail(turn, rule, "", at, error)


def plan(turn: Turn, rule: Rule, subject: str, at: int, spread_ms: int) -> None:
    """His turn comes within `spread_ms` of `at`, always at the same one; an example's at once."""
    planned = turn.journey.planned.get(rule.name, {})
    if len(planned) >= PLANNED_MAX:
        enter(turn, rule, subject, at)  # at once, rather than not at all
        return
    turn.journey.planned[rule.name] = planned
    lot = share("spread", rule.name, rule.run, subject, str(at), turn.birth)
    due = planned.setdefault(subject, at + int(lot * spread_ms * (not turn.moment.arm)))
    turn.journey.arm(due)


def within(turn: Turn, audience: str, at: int) -> bool:
    """Whether the customer is of an audience at `at` (ms): a segment, or one tier of one."""
    if audience == EVERYONE:
        return True
    name, _, wanted = audience.partition(".")
    meet(turn, at)
    found = turn.journey.inside.get(name, "")
    if not found and turn.moment.presets:  # an example's values are so from the beginning
        segment = turn.book.segments.get(name)
        tiers = segment.tiers if segment else ()
        found = next((tier.name for tier in tiers if turn.holds(tier.condition, None, at)), "")
    return found == wanted if wanted else bool(found)


def firings(rule: Rule, since: int, until: int, zone: ZoneInfo) -> list[int]:
    """The moments (ms) from `since` up to `until` at which a rule's schedule fires."""
    trigger, found = rule.trigger, []
    at = since - 1
    while isinstance(trigger, ScheduleTrigger):
        at = next_firing(trigger, at, zone)
        if not at or at > until:
            break
        found.append(at)
    return found
