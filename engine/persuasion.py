"""Who is persuaded: what came of those whose arm was drawn, treated and held out alike.

Must live here: which decision is an example of the uplift models, and what it is judged by. Must
not: what came of it (rewards.py waits for that), learning (features/models/uplift_learner.py).
An example begins where the arm is drawn, before anything that only treatment meets (quiet hours, a
budget), so both arms are counted alike; a rule without a holdout tells nothing. A coupon counts
for a rule that has one for the customer in any of its acts, whether or not this one got it.
"""

from typing import Final

from engine.case import Case
from engine.rewards import watch
from features.fold import DAY_MS
from features.models.uplift import COUPON, VISIT, vector
from rules.model import PAID, Act, Coupon, Rule

WITHIN_MS: Final = 7 * DAY_MS
DRAWN: Final = frozenset(("treated", "holdout", "global_holdout"))
VISITS: Final = frozenset((
    *("Page Viewed", "Screen Viewed", "Products Searched", "Product List Viewed"),
    *("Product Viewed", "Cart Viewed"),
))  # fmt: skip
PRECISION: Final = 10_000  # one part of so many; by hand, as `round` to digits goes by text


def judge(case: Case) -> None:
    """Wait for what comes of it, if this act is where his arm was drawn."""
    rule, moment = case.rule, case.turn.moment
    if not case.first or case.arm not in DRAWN or moment.arm or rule.status != "live":
        return
    chance = 1.0 - rule.holdout
    if rule.purpose == "marketing":
        chance *= 1.0 - moment.book.shop.holdout_everything
    if not 0.0 < chance < 1.0:
        return
    asked = {COUPON: PAID} if _gives(rule) else {}
    if any(case.messages()):
        asked[VISIT] = VISITS
    open_ones = {one.model for one in case.turn.journey.watches}
    if not (wanted := asked.keys() - open_ones):
        return
    customer = case.turn.customer
    example = {
        "features": [round(value * PRECISION) / PRECISION for value in vector(customer, case.at)],
        "treated": int(case.arm == "treated"), "propensity": chance, "rule": rule.name,
    }  # fmt: skip
    for model in sorted(wanted):
        watch(customer, model, case.at, WITHIN_MS, asked[model], example)


def _gives(rule: Rule) -> bool:
    """Whether it has a coupon for the customer himself."""
    return any(
        isinstance(action, Coupon) and action.to == "customer"
        for step in rule.steps
        if isinstance(step, Act)
        for action in step.actions
    )
