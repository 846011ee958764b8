"""The row of `customers`: a customer as he stands, written at most once a day of log time.

Must live here: when it is written and what is in it. Must not: a contact, ever. It is written at an
event that says more of him than a look at a page: who only browses has none.
"""

from typing import Any, Final

from engine.effects import Effects, Moment
from engine.ids import share
from engine.journal import memory, write
from engine.scores import scores_of
from features import catalog
from features.customer import Customer
from features.fold import DAY_MS
from features.vocabulary import PAID

TELLING: Final = frozenset(
    (*PAID, "Order Refunded", "Identified", "Signed Up", "Signed In", "Consent Updated")
)


def tell_profile(customer: Customer, moment: Moment, effects: Effects) -> None:
    """Write his row, unless that was done within a day."""
    journey = memory(customer).journey
    if journey.told and moment.log_time - journey.told < DAY_MS:
        return
    write(customer).journey.told = moment.log_time
    effects.fact("customers", _row(customer, moment))


def _risk(customer: Customer, now: int) -> dict[str, float]:
    """Whoever shows a sign of abuse; most customers show none."""
    abuse = float(catalog.value(customer, "risk.abuse", now))
    return {"risk.abuse": abuse} if abuse else {}


def _row(customer: Customer, moment: Moment) -> dict[str, Any]:
    now, mine, seen = moment.log_time, memory(customer), customer.state("seen")
    told = customer.state("consent").purposes
    everything = moment.book.shop.holdout_everything
    return {
        "cid": customer.cid, "version": now, "updated_at": now,
        "first_seen": seen.first or None, "last_seen": seen.last or None,
        "birthday_md": customer.state("contact").birthday_md,
        "city": customer.state("city").name,
        "segments": [
            name if tier == name else f"{name}.{tier}"
            for name, tier in sorted(mine.journey.inside.items())
        ],
        "tier": catalog.value(customer, "member.tier", now) or "",
        "consent": {purpose: word.channels for purpose, word in told.items()},
        "scores": {**scores_of(customer, moment, now), **_risk(customer, now)},
        "points": int(catalog.value(customer, "points.balance", now)),
        "everything_holdout": int(share("everything", mine.identity.birth) < everything),
    }  # fmt: skip
