"""What is no customer: an item, whose events reach its holders; an entity, where rules hear.

Must live here: how an event about such a thing is applied. Must not: which events those are
(features/vocabulary.ENTITY_EVENTS). An entity (a merchant `m:`, a model `model:`) has a state under
its own key, as a customer has: instances, once per, limits and timers hold for it. No facet of a
customer folds its events, no model scores it, no segment or schedule counts it. To add one: a line
in ENTITIES, and its events.
"""

from engine import baskets, pools
from engine.budgets import LEDGERS
from engine.effects import Effects, Moment
from engine.items import tell_all
from engine.journal import write
from engine.journey import listen
from features.customer import Customer
from features.events import BadEvent, Event
from features.vocabulary import ENTITIES
from rules.model import InactiveTrigger


def apply(customer: Customer, event: Event, moment: Moment, effects: Effects) -> None:
    """An item's event goes to its holders; an entity's is heard by rules as well."""
    if customer.cid.startswith(LEDGERS):
        _import(customer, event, moment, effects)
        return
    tell_all(event, moment, effects)
    baskets.observe_item(customer.cid, event, effects)
    if customer.cid.startswith(ENTITIES):
        listen(customer, event, moment, effects)
        _forget_silences(customer, moment)


def _import(customer: Customer, event: Event, moment: Moment, effects: Effects) -> None:
    """Codes for a pool; they are no event in the tables."""
    name = customer.cid.removeprefix(pools.POOL)
    if name == customer.cid:
        raise BadEvent("bad_codes", "a budget's ledger hears of letters alone")
    pools.take_in(customer.touch(pools.STATE), event, name, moment.settings.secret)
    effects.skipped.append((moment.offset, pools.STATE))


def _forget_silences(customer: Customer, moment: Moment) -> None:
    """A silence of just anything is a customer's; one of a named event may be an entity's too."""
    silent = write(customer).journey.silent
    for name in list(silent):
        rule = moment.book.rules.get(name)
        if rule and isinstance(rule.trigger, InactiveTrigger) and rule.trigger.of is None:
            del silent[name]
