"""Whether every coupon that a budget of money counts has an amount that can be reserved.

Must live here: that check over a whole book. Must not: spending (the engine does).
A budget of money reserves a coupon's face when it is issued. A percentage has none until an order
is there, so it needs `most`; else a budget could be exceeded by one large order.
"""

from collections.abc import Iterator, Mapping

from rules.errors import RuleError
from rules.model import Act, Coupon, Offer, Rule, Shop


def without_ceiling(
    rules: Mapping[str, Rule], offers: Mapping[str, Offer], shop: Shop
) -> Iterator[RuleError]:
    """An error for each rule that gives a percentage without `most` out of a budget of money."""
    for rule in rules.values():
        for coupon in _percentages(rule):
            known = offers.get(coupon.offer)
            whose = {
                "the rule's": rule.budget,
                f"the offer {coupon.offer}'s": known.budget if known else None,
                "the shop's": shop.budget,
            }
            for name, budget in whose.items():
                if budget and budget.money:
                    message = (
                        f"coupon {coupon.offer} of {rule.name} is a percentage without `most`: "
                        f"{name} budget of money cannot say what it may cost; write `most: 50`"
                    )
                    yield RuleError(rule.file, rule.line, 1, message)
                    break


def _percentages(rule: Rule) -> Iterator[Coupon]:
    for step in rule.steps:
        for action in step.actions if isinstance(step, Act) else ():
            if not isinstance(action, Coupon) or action.most is not None:
                continue
            if action.off_kind == "percent":
                yield action
