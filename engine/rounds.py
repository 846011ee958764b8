"""Rounds: what is to reach many customers of a shard, a part at a time, in the order of an index.

Must live here: what the index lists a customer under, which rounds a record begins, what a round
does to one customer. Must not: IO; pipeline.py reads the index and commits a part. A round goes on
at ticks, a part a commit, and remembers in the shard's state how far it has come. To add one: a
function in ROUNDS, and what begins it.
"""

from collections.abc import Callable
from typing import Any, Final

from engine.decide import wake_up
from engine.dues import redate
from engine.items import HELD, ITEM, begin, come, listed
from engine.journal import memory
from engine.membership import meet
from engine.schedules import SCHEDULE, fire
from engine.sequences import forget
from engine.store import CUSTOMERS, Round
from engine.timers import silent_until
from engine.turn import Turn
from features.customer import Customer
from features.events import decode
from features.vocabulary import THINGS
from rules.book import Book
from rules.model import PAID, DueTrigger, InactiveTrigger, Rule

PART_MAX: Final = 500  # customers a commit
PARTS_MAX: Final = 4  # commits a tick in wall time, so that nobody waits long behind a round
ARM: Final = "arm"


def listing(customer: Customer, book: Book) -> list[str]:
    """What the index is to list a customer under; "" is himself."""
    identity = memory(customer).identity
    if not identity.birth or identity.moved_to or customer.cid.startswith(THINGS):
        return []
    return ["", *listed(customer, book.holders)] if book.holders else [""]


def member(cid: str, under: str) -> str:
    """The index's member for a customer under something."""
    return f"{CUSTOMERS}{cid}" if not under else f"{under}\0{cid}"


def cid_of(member_name: str) -> str:
    """The customer of a member."""
    return member_name.rpartition("\0")[2]


def begin_arming(rounds: list[Round], at: int) -> list[Round]:
    """New rules come to everybody, and first; a round for those before them has nothing to do."""
    return [Round(ARM, CUSTOMERS, at), *(one for one in rounds if one.kind != ARM)]


def begin_letter(book: Book, rounds: list[Round], letter: dict[str, Any]) -> int:
    """A letter to the shard begins its rounds; how many had to be let go."""
    if letter["kind"] != ITEM:
        raise ValueError(f"letter of kind {letter['kind']!r} to a shard: {ITEM}")
    return begin(book, rounds, letter["body"])


def reach(turn: Turn, one: Round) -> None:
    """The round comes to this customer, who may have moved away since he was listed."""
    identity = memory(turn.customer).identity
    if identity.birth and not identity.moved_to:
        ROUNDS[one.kind](turn, one)


def _arm(turn: Turn, one: Round) -> None:
    """Rules that wait for silence learn since when a customer they have not met is silent.

    Who has been silent for longer than a rule asks is silent long enough when it comes to him.
    """
    for rule in turn.book.inactive:
        if rule.name in turn.journey.silent:
            continue
        last = _last(turn.customer, rule)
        due = silent_until(turn, rule, last) if last else 0
        if due:
            turn.journey.silent[rule.name] = last
            if due < one.at:
                turn.journey.met[rule.name] = one.at
            turn.journey.arm(max(due, one.at))
    for rule in turn.book.of_kind(DueTrigger):
        redate(turn, rule, one.at)
    meet(turn, one.at)
    forget(turn)
    planned = turn.journey.planned
    for name in planned.keys() - turn.book.rules.keys():
        del planned[name]


def _last(customer: Customer, rule: Rule) -> int:
    """When he last did what the rule waits for (ms), as far as facets know it; else 0."""
    of = rule.trigger.of if isinstance(rule.trigger, InactiveTrigger) else None
    if of is None:
        return int(customer.state("seen").last)
    return int(customer.state("orders").last) if of <= PAID else 0


def _schedule(turn: Turn, one: Round) -> None:
    for at, name in one.body["firings"]:
        rule = turn.book.rules.get(name)
        if rule is not None:
            fire(turn, rule, at)
    wake_up(turn.customer, turn.moment, turn.effects)


def _item(turn: Turn, one: Round) -> None:
    event = decode(one.body["event"].encode())
    come(turn, event, by_holding=one.prefix.startswith(HELD))
    wake_up(turn.customer, turn.moment, turn.effects)


ROUNDS: Final[dict[str, Callable[[Turn, Round], None]]] = {
    ARM: _arm,
    SCHEDULE: _schedule,
    ITEM: _item,
}
