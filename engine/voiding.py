"""A coupon that is void: nothing reminds him of it, and a code that nobody knows goes back.

Must live here: what follows where a coupon's row says `voided`. Must not: what voids one
(features/coupons.py), the pool (pools.py). A code goes back to its pool in the commit that voids it
if the relay says `unsent` (sinks/tries.py: no receiver can have it) and it was reserved nowhere;
its customer forgets it altogether, as the next one has it.
"""

from collections.abc import Sequence
from typing import Final

from engine import pools
from engine.budgets import UNSPENT
from engine.dues import redate
from engine.effects import Effects, Letter, Moment, Row
from engine.fields import forget
from engine.turn import Turn
from features.coupon_ledger import VOIDED, Coupon, Coupons
from features.customer import Customer
from features.events import Event

VOIDING: Final = frozenset(("Coupon Voided", "Message Failed"))
RELAY: Final = "laike"
_KIND: Final = "coupon"


def voided(
    customer: Customer, event: Event, rows: Sequence[Row], moment: Moment, effects: Effects
) -> None:
    """Forget the ends of those that are void now; all of one that goes back."""
    held: Coupons = customer.state("coupons")
    void = [row["coupon_id"] for row in rows if row["fact"] == VOIDED]
    for code in map(held.code_of, void):
        forget(customer, _KIND, code, "expires_at")
        if (one := held.coupons.get(code)) and _is_untold(one, event):
            sealed = pools.returned(moment.settings.secret, one.pool, code, one.life)
            body = {"number": 0, "left": 1, "codes": [sealed]}
            effects.letters.append(Letter(f"{pools.POOL}{one.pool}", UNSPENT, body, moment.offset))
            del customer.touch("coupons").coupons[code]
            forget(customer, _KIND, code)
    ears = moment.book.ears("Coupon Issued") if void else None
    if ears is not None and ears.dated:
        turn = Turn(customer, moment, effects)
        for rule in ears.dated:
            redate(turn, rule, event.at)


def _is_untold(one: Coupon, event: Event) -> bool:
    unsent = event.source == RELAY and event.properties.get("unsent") is True
    return unsent and bool(one.pool) and one.seq == 1  # who reserved it once knows it
