"""Two journeys become one: what fired, waits, was counted or is paused on either side.

Must live here: one function for each thing that a journey remembers, in UNITED, and what one side's
past does to the other's instances. Must not: who moves where (identity.py). To remember more of a
customer: a function here, and a line in UNITED.
"""

from collections.abc import Callable, Mapping
from typing import Final

from engine import sequences
from engine.editions import going_by
from engine.journal import (
    OPEN_WATCHES_MAX,
    REACHED_MAX,
    Instance,
    Journey,
    Watch,
    note,
    noted,
)
from engine.steps import duration
from engine.subjects import concerns
from engine.turn import Turn
from rules.model import Rule, Wait

ENTRIES_MAX: Final = 100


def unite(turn: Turn, theirs: Journey) -> None:
    """Take in the other's journey, the known user's being the turn's; he is united otherwise."""
    mine, book, log_time = turn.journey, turn.book, turn.moment.log_time
    for one in theirs.open:
        if one.waits_for_slice:  # the answer may come to another id, or be there already
            one.again = max(log_time, one.due)
            mine.arm(one.again)
    _instances(turn, theirs)
    for part in UNITED:
        part(mine, theirs)
    sequences.unite(mine, theirs, book)
    mine.told = 0  # he is no longer as the table has him
    if theirs.alarm:
        mine.arm(theirs.alarm)


def _instances(turn: Turn, theirs: Journey) -> None:
    """Who did on the other side what ends or delays an instance has done it.

    Who paid there is not rescued here.
    """
    mine = turn.journey
    fired = mine.fired.keys() | mine.ever.keys()
    kept = [one for one in mine.open if _goes_on(turn, one, theirs)]
    kept += [one for one in theirs.open if one.key not in fired and _goes_on(turn, one, mine)]
    mine.open = kept


def _goes_on(turn: Turn, instance: Instance, other: Journey) -> bool:
    """Let an instance hear what the other side did after it began; False when that ends it."""
    rule = going_by(turn.book, instance)
    if rule is None or instance.gift:
        return True
    for name, at, subjects in noted(other):
        if at < instance.started or not concerns(rule, instance.subject, subjects):
            continue
        if _ended_by(rule, name):
            return False
        wait = rule.steps[instance.step] if instance.step < len(rule.steps) else None
        if instance.again or not isinstance(wait, Wait):
            continue
        if name in wait.since_last and at > instance.anchor:
            turn.about(rule, instance.subject, instance)
            instance.anchor, instance.due = at, at + (duration(turn, wait, at) or 0)
    return True


def _ended_by(rule: Rule, name: str) -> bool:
    return any(stop.event == name and stop.condition is None for stop in rule.stop_on)


def _fired(mine: Journey, theirs: Journey) -> None:
    for ours, others in ((mine.fired, theirs.fired), (mine.ever, theirs.ever)):
        for key, bits in others.items():
            ours[key] = ours.get(key, 0) | bits


def _counts(mine: Journey, theirs: Journey) -> None:
    for rule, counted in theirs.counts.items():
        subjects = mine.counts.setdefault(rule, {})
        for subject, times in counted.items():
            subjects[subject] = sorted([*subjects.get(subject, ()), *times])


def _both(mine: dict[str, list[int]], theirs: Mapping[str, list[int]], most: int) -> None:
    for name, times in theirs.items():
        mine[name] = sorted([*mine.get(name, ()), *times])[-most:]


def _limits(mine: Journey, theirs: Journey) -> None:
    _both(mine.entries, theirs.entries, ENTRIES_MAX)
    _both(mine.reached, theirs.reached, REACHED_MAX)
    _both(mine.digests, theirs.digests, REACHED_MAX)


def _won(mine: Journey, theirs: Journey) -> None:
    mine.won = max(mine.won, theirs.won)


def _planned(mine: Journey, theirs: Journey) -> None:
    for rule, turns in theirs.planned.items():
        mine.planned[rule] = {**turns, **mine.planned.get(rule, {})}


def _watches(mine: Journey, theirs: Journey) -> None:
    """What either waits to see; of one model no more than one customer may have, the oldest."""
    kept: dict[str, list[Watch]] = {}
    for one in sorted((*mine.watches, *theirs.watches), key=lambda one: one.opened):
        kept.setdefault(one.model, []).append(one)
        mine.arm(one.deadline)
    mine.watches = [one for model in kept.values() for one in model[:OPEN_WATCHES_MAX]]


def _silences(mine: Journey, theirs: Journey) -> None:
    for rule, last in theirs.silent.items():
        mine.silent[rule] = max(last, mine.silent.get(rule, 0), key=abs)


def _recent(mine: Journey, theirs: Journey) -> None:
    for event, at, about in noted(theirs):
        note(mine, event, about, at)


def _pauses(mine: Journey, theirs: Journey) -> None:
    """A pause of either holds for both."""
    for purpose, until in theirs.paused.items():
        mine.paused[purpose] = max(until, mine.paused.get(purpose, 0))


def _dates(mine: Journey, theirs: Journey) -> None:
    for rule, dates in theirs.dues.items():
        mine.dues[rule] = {**dates, **mine.dues.get(rule, {})}


UNITED: Final[tuple[Callable[[Journey, Journey], None], ...]] = (
    _fired,
    _counts,
    _limits,
    _silences,
    _recent,
    _pauses,
    _dates,
    _planned,
    _won,
    _watches,
)
