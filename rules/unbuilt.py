"""What the language has and the engine does not execute yet. The one place that says so.

Law: what is loaded but not executed is refused by name, never ignored. Take a name out when the
engine does it; nothing else needs to change.

    PLACE.KEY      a key of the form of that place: when.sequence, do.choose, wait.until
    once_per.X     a subject; held.X a reason in an example; name.X a name of expressions
    X.looked       looked-up or computed values where the engine takes a written one: wait.looked
    guard.wait     an `if` beside a wait; KIND.if an `if` with a kind of trigger; schedule.at
"""

from collections.abc import Mapping
from typing import Final

from rules.scope import Kind

UNBUILT: Final = frozenset((
    "rule.digest",
    *("inactive.if", "inactive.looked"),
    *("recommend.similar", "recommend.together", "recommend.trending"),
    "offer.codes",
    *("shop.approval",),
    *("held.risk", "held.priority"),
    *("name.risk.abuse", "name.uplift.coupon", "name.uplift.visit", "name.churn.risk"),
))  # fmt: skip

# Features that rules may already name; a feature of the catalog takes the place of its namesake.
TO_COME: Final[Mapping[str, tuple[Kind, str]]] = {
    "risk.abuse": ("number", "how likely he abuses coupons, 0 to 1"),
    "uplift.coupon": ("number", "how much a coupon raises his chance to buy"),
    "uplift.visit": ("number", "how much a message raises his chance to visit"),
    "churn.risk": ("number", "how likely he has left, 0 to 1"),
}
