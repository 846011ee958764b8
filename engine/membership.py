"""Who is in which segment, and which levels his numbers have crossed: kept, told of, acted on.

Must live here: when it is asked anew (an event that touches what a segment reads; the shop's
midnight, for what time alone changes), the moves, their rows, the rules they begin. A customer
whom a version of the segments has not met is sorted first, and no rule hears of that.
Must not: what is read (rules/standing.py), whom a schedule reaches (schedules.py).
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from engine.crossings import cross, stands_beyond
from engine.effects import Effects, Moment
from engine.journal import Journey, memory
from engine.scores import scores_read
from engine.triggers import pull
from engine.turn import Turn
from features.customer import Customer
from features.events import Event
from features.fold import DAY_MS
from rules.book import Ears
from rules.model import CrossesTrigger, Rule, Segment, SegmentTrigger

# How many midnights one looks ahead for the next that changes something: a few, as most come again
# before long and it was for nothing; twice as many as he has stayed away; a month at most.
AHEAD_DAYS, AHEAD_DAYS_MAX = 4, 31
Move = tuple[str, bool]  # the name of a segment or tier; whether he came in
STAYED: Final[AbstractSet[Move]] = frozenset()


def meet(turn: Turn, at: int) -> None:
    """Sort a customer who has not been met by the book's segments, as of `at` (ms), in silence.

    What an example lays over the catalog has not come about then: its first event brings it.
    """
    book, journey = turn.book, turn.journey
    if journey.settled == book.standing:
        return
    journey.settled = book.standing
    for name in journey.inside.keys() - book.segments.keys():
        _leave(turn, name, at)
    _sort(turn, book.segments.values(), at, {})
    cross(turn, book.of_kind(CrossesTrigger), at, {})
    _look_again(turn, max(at, turn.moment.log_time))


def hear(turn: Turn, ears: Ears, event: Event) -> tuple[AbstractSet[Move], list[Rule]] | None:
    """What an event that has been folded moves: read as of it, or of his last one if it is late."""
    at, segments, rules = _latest(turn.customer, event.at), ears.sorts, ears.crossing
    if presets := turn.moment.presets:  # of an example: they may be of any facet
        segments = tuple(turn.book.segments.values())
        rules = turn.book.of_kind(CrossesTrigger)
    log_time = turn.moment.log_time
    if turn.journey.asked - log_time > DAY_MS:
        _look_again(turn, log_time)
    moves = _sort(turn, segments, at, presets)
    crossed = cross(turn, rules, at, None) if rules else []
    return (moves, crossed) if moves or crossed else None


def announce(
    turn: Turn, moves: AbstractSet[Move], crossed: list[Rule], at: int, event: Event | None = None
) -> None:
    """Let the rules hear of it."""
    if moves:
        for rule in turn.book.of_kind(SegmentTrigger):
            trigger = rule.trigger
            if isinstance(trigger, SegmentTrigger) and (trigger.segment, trigger.enters) in moves:
                pull(turn, rule, at, event)
    for rule in crossed:
        pull(turn, rule, at, event)


def look(turn: Turn, at: int) -> None:
    """At the shop's midnight `at` (ms): what time alone has changed; then when to look again."""
    book, journey = turn.book, turn.journey
    if journey.settled != book.standing:
        meet(turn, at)
        return
    segments = [one for one in book.ageing if isinstance(one, Segment)]
    rules = [one for one in book.ageing if isinstance(one, Rule)]
    moves = _sort(turn, segments, at, turn.moment.presets)
    crossed = cross(turn, rules, at, None)
    silent_days = (at - _latest(turn.customer, 0)) // DAY_MS
    ahead = min(max(AHEAD_DAYS, 2 * silent_days), AHEAD_DAYS_MAX)
    for _ in range(ahead):  # nothing but time changes until his next event
        journey.asked = midnight_after(journey.asked, turn.zone)
        if _will_move(turn, segments, journey.asked) or any(
            stands_beyond(turn, rule, journey.asked) != (rule.name in journey.crossed)
            for rule in rules
        ):
            break
    announce(turn, moves, crossed, at)


def leave(customer: Customer, at: int, moment: Moment, effects: Effects) -> None:
    """He goes into an account at `at` (ms): this id is in nothing any more."""
    if memory(customer).journey.inside:
        turn = Turn(customer, moment, effects)
        for name in sorted(turn.journey.inside):
            _leave(turn, name, _latest(customer, at))


def unite(customer: Customer, theirs: Journey, at: int, moment: Moment, effects: Effects) -> None:
    """Of two who are one: where either was he may stay; rules hear of what is new for both."""
    if not moment.book.standing:
        return
    turn = Turn(customer, moment, effects)
    journey, at = turn.journey, _latest(customer, at)
    meet(turn, at)
    before = {
        move for name in theirs.inside for move in _moves(turn, name, "", theirs.inside[name])
    }
    for name, tier in theirs.inside.items():
        if name in turn.book.segments and name not in journey.inside:
            _set(turn, name, tier, at)
    journey.crossed = {**theirs.crossed, **journey.crossed}
    moves = _sort(turn, turn.book.segments.values(), at, moment.presets)
    crossed = cross(turn, turn.book.of_kind(CrossesTrigger), at, None)
    _look_again(turn, max(at, moment.log_time))
    announce(turn, moves - before, crossed, at)


@lru_cache(maxsize=8_192)
def midnight_after(at: int, timezone: str) -> int:
    """When the day after that of `at` (ms) begins in the shop's zone, in ms.

    >>> midnight_after(0, "UTC")
    86400000
    """
    zone = ZoneInfo(timezone)
    day = dt.datetime.fromtimestamp(at / 1_000, zone).date() + dt.timedelta(days=1)
    return int(dt.datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1_000)


def _latest(customer: Customer, at: int) -> int:
    """The time of his last event, if `at` (ms) is before it: what is known is known of then."""
    last: int = customer.states["seen"].last
    return max(last, at)


def _look_again(turn: Turn, at: int) -> None:
    journey = turn.journey
    journey.asked = midnight_after(at, turn.zone) if turn.book.ageing else 0
    if journey.asked:
        journey.arm(journey.asked)


def _sort(
    turn: Turn, segments: Iterable[Segment], at: int, extra: Mapping[str, Any]
) -> AbstractSet[Move]:
    """Set anew in which tier of each he is; how he moved."""
    inside = turn.journey.inside
    moves: AbstractSet[Move] = STAYED
    for segment in segments:
        held = inside.get(segment.name, "")
        found = tier_of(turn, segment, held, at, extra)
        if found != held:
            moves |= _set(turn, segment.name, found, at)
    return moves


def tier_of(turn: Turn, segment: Segment, held: str, at: int, extra: Mapping[str, Any]) -> str:
    """The first tier that holds, or that he is in and may stay in; "" for none."""
    customer = turn.customer
    if segment.laid:
        extra = {**scores_read(segment.laid, customer, turn.moment), **extra}
    for tier in segment.tiers:
        if tier.condition.test(customer, None, at, extra):
            return tier.name
        if tier.name == held and tier.stay and tier.stay.test(customer, None, at, extra):
            return tier.name
    return ""


def _will_move(turn: Turn, segments: Iterable[Segment], at: int) -> bool:
    inside, presets = turn.journey.inside, turn.moment.presets
    return any(
        tier_of(turn, one, held := inside.get(one.name, ""), at, presets) != held
        for one in segments
    )


def _leave(turn: Turn, name: str, at: int) -> None:
    _set(turn, name, "", at)


def _set(turn: Turn, name: str, tier: str, at: int) -> set[Move]:
    """He is in this tier of the segment from now on: a row for each name he left or came under."""
    journey = turn.journey
    held = journey.inside.pop(name, "")
    if tier:
        journey.inside[name] = tier
    moves = _moves(turn, name, held, tier)
    for under, came in sorted(moves, key=lambda move: (move[1], move[0])):
        journey.moves += 1
        turn.effects.fact("segment_moves", {
            "segment": under, "at": at, "cid": turn.customer.cid, "seq": journey.moves,
            "move": 1 if came else -1, "came_from": held, "went_to": tier,
            "version": turn.moment.offset,
        })  # fmt: skip
    return moves


def _moves(turn: Turn, name: str, held: str, tier: str) -> set[Move]:
    before, after = names_in(turn.book.segments.get(name), name, held), set[str]()
    after = names_in(turn.book.segments.get(name), name, tier)
    return {(one, False) for one in before - after} | {(one, True) for one in after - before}


def names_in(segment: Segment | None, name: str, tier: str) -> set[str]:
    """All the names under which he is in, by his tier: the segment's own, and the tier's."""
    if not tier:
        return set()
    tiered = segment.tiered if segment else tier != name
    return {name, f"{name}.{tier}"} if tiered else {name}
