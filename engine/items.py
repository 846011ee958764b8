"""Items: an event about a product or a live room reaches the customers who hold it.

Must live here: who holds what, the letter to every shard, what the event does to one customer it
reaches. Must not: going through customers (rounds.py). An item's own shard says it to all shards
by a letter each; a shard's index lists who holds an item, for the holders that rules name: in the
cart, the favourites, viewed or bought lately. A live room is held by who joined it (viewed), put
something of it into his cart, or paid for something of it.
"""

from typing import Any, Final

from engine.effects import Effects, Letter, Moment
from engine.fields import THINGS, keep, tell
from engine.schedules import plan, within
from engine.store import CUSTOMERS, Round
from engine.subjects import subject_of
from engine.timers import wake
from engine.triggers import fail
from engine.turn import Turn
from features.customer import Customer
from features.events import Event, decode, encode
from features.fold import lines, short
from rules.book import Book
from rules.model import Holder, ItemTrigger, Rule

ITEM: Final = "item"
HELD: Final = "h\0"  # before an item's id, in what the index lists a customer under
WAITING_MAX: Final = 1_000  # rounds of a shard, most of them one commit's work with many others
HELD_MAX: Final = 40  # items a customer is listed under
_ROOMS: Final[dict[Holder, str]] = {"cart": "room:cart", "viewed": "room", "bought": "room:bought"}


def note_held(customer: Customer, event: Event, holders: frozenset[Holder]) -> None:
    """Keep of an event what no facet keeps and a holder asks for: what was bought, which room."""
    kinds, at = customer.touch(THINGS).kinds, event.at
    room = event.properties.get("live_id")
    for holder in sorted(holders):
        if holder == "bought":
            for line in lines(event):
                if name := short(line.get("product_id", "")):
                    keep(kinds, "bought", name, "at", at, at)
        if room and holder in _ROOMS:
            keep(kinds, _ROOMS[holder], short(room), "at", at, at)


def held(customer: Customer, holder: Holder) -> list[str]:
    """What the customer holds there: products, and live rooms."""
    kinds = customer.state(THINGS).kinds
    rooms = list(kinds.get(_ROOMS.get(holder, ""), ()))
    if holder == "cart":
        in_cart = list(customer.state("cart").lines)
        return [*in_cart, *rooms] if in_cart else []
    if holder == "favourites":
        return list(customer.state("favourites").products)
    if holder == "viewed":
        return [*customer.state("products").viewed, *rooms]
    return [*kinds.get("bought", ()), *rooms]


def listed(customer: Customer, holders: frozenset[Holder]) -> list[str]:
    """What the index is to list a customer under, by what he holds."""
    found = {name: None for holder in sorted(holders) for name in held(customer, holder)}
    return [HELD + name for name in list(found)[-HELD_MAX:]]


def tell_all(event: Event, moment: Moment, effects: Effects) -> None:
    """An event about an item: a letter to every shard, if a rule is to reach its holders."""
    ears = moment.book.ears(event.name)
    if ears is None or not ears.reached:
        return
    body = {"event": encode(event).decode()}
    for shard in range(moment.settings.shards):
        effects.letters.append(Letter("", ITEM, body, moment.offset, shard))


def begin(book: Book, rounds: list[Round], body: dict[str, Any]) -> int:
    """The letter has come: a round over who holds the item, and one over everybody.

    How many of them are not begun: with so many waiting that a commit would be all rounds, a later
    word about an item takes the place of an earlier one that waits, and others are let go.
    """
    event = decode(body["event"].encode())
    ears = book.ears(event.name)
    triggers = [rule.trigger for rule in ears.reached] if ears else []
    ways = {bool(one.held_in) for one in triggers if isinstance(one, ItemTrigger)}
    refused = 0
    for by_holding in sorted(ways):
        prefix = f"{HELD}{_item(event)}\0" if by_holding else CUSTOMERS
        one = Round(ITEM, prefix, event.at, body)
        if len(rounds) < WAITING_MAX:
            rounds.append(one)
        elif not _instead(rounds, one, event.name):
            refused += 1
    return refused


def _instead(rounds: list[Round], one: Round, name: str) -> bool:
    """Let a round take the place of one of the same item and event that nobody was reached by."""
    for at, other in enumerate(rounds):
        alike = (other.kind, other.prefix, other.after) == (ITEM, one.prefix, "")
        if alike and at and decode(other.body["event"].encode()).name == name:
            rounds[at] = one
            return True
    return False


def _item(event: Event) -> str:
    return short(event.properties.get("product_id") or event.properties.get("live_id") or "")


def come(turn: Turn, event: Event, *, by_holding: bool) -> None:
    """The item's event comes to this customer: to each rule that reaches him in this way."""
    ears = turn.book.ears(event.name)
    if ears is None:
        return
    wake(turn, min(event.at, turn.moment.log_time))  # what was due before it comes before it
    if ears.told:
        tell(turn.customer, event, ears.told, turn.zone)
    for rule in ears.reached:
        trigger = rule.trigger
        if isinstance(trigger, ItemTrigger) and bool(trigger.held_in) == by_holding:
            try:
                _reach(turn, rule, trigger, event)
            except Exception as error:  # noqa: BLE001 - a rule's fault is that rule's alone
                fail(turn, rule, "", event.at, error)


def _reach(turn: Turn, rule: Rule, trigger: ItemTrigger, event: Event) -> None:
    subject = subject_of(rule, turn.customer, event, turn.zone)
    if subject is None:
        return
    turn.about(rule, subject)
    if trigger.held_in:
        item = _item(event)
        reached = any(item in held(turn.customer, holder) for holder in trigger.held_in)
    else:
        reached = within(turn, trigger.audience, event.at)
    if reached and turn.holds(trigger.condition, event, event.at):
        plan(turn, rule, subject, event.at, trigger.spread_ms)
