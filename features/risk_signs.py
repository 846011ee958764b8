"""What speaks for abuse, and how strongly: a table of signs, and their sum.

Must live here: the weights. Must not: counting (risk.py). A sign is 0 up to what honest people do
and 1 from what none does, times the weight that it has alone; signs add up as chances do, so that
one that is weak alone needs others beside it.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

Facts = Mapping[str, float]
SHOWN_FROM: Final = 0.1


class Sign(NamedTuple):
    """One sign: its weight alone, and how clear it is (0..1)."""

    weight: float
    clear: Callable[[Facts], float]


def rising(value: float, honest: float, surely: float) -> float:
    """0 up to `honest`, 1 from `surely` on; missing (nan) is 0.

    >>> rising(3, 1, 5), rising(0, 1, 5), rising(9, 1, 5)
    (0.5, 0.0, 1.0)
    """
    if not value > honest:
        return 0.0
    return min(1.0, (value - honest) / (surely - honest))


def _share(f: Facts, name: str) -> float:
    return f[name] / f["orders"] if f["orders"] else 0.0


SIGNS: Final[dict[str, Sign]] = {
    # coupon abuse
    "coupon_returns": Sign(
        0.8,
        lambda f: rising(f["coupon_returns"], 0, 3) * rising(_share(f, "coupon_returns"), 0.1, 0.5),
    ),
    "coupons_only": Sign(
        0.3, lambda f: rising(f["orders"], 2, 8) * rising(f["coupon_share"], 0.7, 0.95)
    ),
    "many_accounts": Sign(0.8, lambda f: rising(f["neighbours"], 0, 4)),
    "many_payments": Sign(0.6, lambda f: rising(f["payments"], 3, 8)),
    "many_addresses": Sign(0.4, lambda f: rising(f["addresses"], 4, 12)),
    "many_devices": Sign(0.3, lambda f: rising(f["devices"], 4, 10)),
    "burst": Sign(0.6, lambda f: rising(f["burst"], 3, 8)),
    # made-up orders
    "received_at_once": Sign(
        0.7, lambda f: rising(f["fast"], 1, 3) * rising(_share(f, "fast"), 0.2, 0.6)
    ),
    "not_looked_at": Sign(
        0.5, lambda f: rising(f["blind"], 2, 6) * rising(_share(f, "blind"), 0.4, 0.8)
    ),
    "one_merchant": Sign(
        0.3,
        lambda f: (
            rising(f["merchant_orders"], 4, 10) * rising(_share(f, "merchant_orders"), 0.7, 0.95)
        ),
    ),
    "back_after_review": Sign(0.8, lambda f: rising(f["after_review"], 1, 3)),
    # referral rings
    "referred_each_other": Sign(0.8, lambda f: rising(f["ring"], 0, 1)),
    "referred_himself": Sign(0.9, lambda f: rising(f["own_referrals"], 0, 2)),
}


def strengths(facts: Facts) -> dict[str, float]:
    """Weight times clearness of each sign that is there."""
    found = {name: sign.weight * sign.clear(facts) for name, sign in SIGNS.items()}
    return {name: strength for name, strength in found.items() if strength > 0}


def abuse(facts: Facts) -> float:
    """All signs together, 0 to 1."""
    innocent = 1.0
    for sign in SIGNS.values():
        innocent *= 1.0 - sign.weight * sign.clear(facts)
    return 1.0 - innocent


def signs(facts: Facts) -> list[str]:
    """Those worth naming, the strongest first."""
    found = strengths(facts)
    return sorted(
        (name for name in found if found[name] >= SHOWN_FROM), key=lambda name: (-found[name], name)
    )
