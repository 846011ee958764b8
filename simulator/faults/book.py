"""The rules of the simulated shop: the shipped campaigns, and tight ones that can be modelled.

Must live here: the two books that edits go between. Must not: what these rules must do
(model.py and limits.py say that from the input alone).
"""

from functools import lru_cache
from pathlib import Path

import orjson

import rules.load
from rules.load import book_from_sources

SHIPPED = ("browse-nudge", "cart-rescue", "first-order-welcome", "win-back")
OFFERS = ("SAVE", "BACK", "WELCOME")
POOL = "theirs"
HEAD = "title: t\nowner: o\nstatus: live\nholdout: 0%\n"
CHECKED = {
    "check-views": "when: {event: Product Viewed, count: 3, within: 24h}\nonce_per: product\n"
    "do:\n  - notify: {via: [push], template: still_looking}\n",
    "check-first": "when: {event: Order Completed}\nif: orders.count == 1\nonce_per: customer\n"
    "do:\n  - coupon: {offer: WELCOME, off: 20, over: 150, valid: 30d}\n"
    "  - notify: {via: [push], template: first_order}\n",
    "check-cart": "when: {event: Product Added}\nonce_per: cart\n"
    "stop_on: [Order Paid, Order Completed, Cart Emptied]\n"
    "do:\n  - wait: {for: 30m, since_last: [Product Added]}\n"
    "  - notify: {via: [push], template: cart_waiting}\n  - wait: 2h\n"
    "  - coupon: {offer: SAVE, off: 10%, most: 50, valid: 48h}\n",
    "check-lapse": "when: {inactive: 2h, of: Order Completed}\nonce_per: lapse\n"
    "do:\n  - notify: {via: [push], template: miss_you}\n",
    "spend-looks": "when: {event: Product Viewed}\nonce_per: event\n"
    "budget: {coupons: 7 per day, money: 130 per 12h}\n"
    "do:\n  - coupon: {offer: SAVE, off: 20, over: 100, valid: 48h}\n",
    "tell-carts": "when: {event: Product Added}\npurpose: transactional\nonce_per: event\n"
    'quiet_hours: {from: "12:00", to: "14:00"}\n'
    "do:\n  - wait: 20m\n  - notify: {via: [push], template: cart_waiting}\n",
    "give-codes": "when: {event: [Order Completed, Order Paid]}\nonce_per: order\n"
    "do:\n  - coupon: {offer: POOLED, off: 5, over: 50, valid: 48h}\n"
    "  - notify: {via: [push], template: hello}\n",
    "digest-orders": "when: {event: [Order Completed, Order Paid]}\nonce_per: order\n"
    "digest: 1 per 3h\n"
    "do:\n  - notify: {via: [push], template: still_looking}\n",
    "reach-holders": "when:\n  item: Product Price Changed\n  held_in: [cart, viewed, bought]\n"
    "  spread: 10m\n  if: event.price < 60\nonce_per: event\n"
    "do:\n  - notify: {via: [push], template: miss_you}\n",
    "reach-everybody": "when:\n  at: [2026-01-05 08:40, 2026-01-05 10:00, 2026-01-05 12:00]\n"
    "  audience: everyone\n  spread: 20m\nonce_per: tick\n"
    "do:\n  - notify: {via: [push], template: miss_you}\n",
    "give-referrer": "when: {event: Referral Accepted}\nonce_per: referral\n"
    "limit: {customer: 1 per ever, referrer: 2 per day}\n"
    "do:\n  - coupon: {offer: SAVE, off: 20, over: 100, valid: 48h, to: referrer}\n"
    "  - emit: {event: Referral Rewarded, to: referrer}\n",
    "tell-merchants": "when: {event: Complaint Spiked}\npurpose: service\nonce_per: complaint\n"
    "do:\n  - tag: {add: [watched]}\n",
}

STANDING = {
    "segments/keen.yaml": "segment: keen\ntiers:\n"
    "  - tier: hot\n    if: windows.views_1h >= 6\n    stay: windows.views_1h >= 3\n"
    "  - tier: warm\n    if: windows.views_24h >= 3\n",
    "segments/paying.yaml": "segment: paying\nif: orders.net >= 300\n",
    "campaigns/stand-chain.yaml": f"rule: stand-chain\n{HEAD}"
    "when:\n  sequence: [Product Viewed, Product Viewed, Product Added]\n  within: 2h\n"
    "  then_not: {event: Order Completed, for: 30m}\nonce_per: event\n"
    "do:\n  - notify: {via: [push], template: still_looking}\n",
    "campaigns/stand-keen.yaml": f"rule: stand-keen\n{HEAD}"
    'when: {enters: keen.hot}\nif: segment.paying or segment.keen != "warm"\nonce_per: tick\n'
    "do:\n  - notify: {via: [push], template: hello}\n",
    "campaigns/stand-cool.yaml": f"rule: stand-cool\n{HEAD}"
    "when: {leaves: keen}\nonce_per: tick\n"
    "do:\n  - notify: {via: [push], template: hello}\n",
    "campaigns/draw-offers.yaml": f"rule: draw-offers\n{HEAD}"
    "when: {event: Product Added}\nonce_per: cart\npurpose: service\n"
    "do:\n  - bandit:\n      within: 3h\n      arms:\n"
    "        - {name: words, do: [{notify: {via: [push], template: hello}}]}\n"
    "        - {name: nothing, do: []}\n",
    "campaigns/read-scores.yaml": f"rule: read-scores\n{HEAD}"
    "when: {event: Product Added}\nonce_per: event\npurpose: service\n"
    "if: purchase.chance_24h >= 0 or not has(purchase.chance_24h)\n"
    "do:\n  - tag: {add: [scored]}\n",
    "campaigns/stand-level.yaml": f"rule: stand-level\n{HEAD}"
    "when:\n  crosses: cart.value\n  above: 200\n  back: 100\nonce_per: tick\n"
    "do:\n  - notify: {via: [push], template: hello}\n",
}


@lru_cache(maxsize=1)
def books() -> tuple[dict[str, str], dict[str, str]]:
    """Two versions of the sources: the second has edits in the shipped campaigns only."""
    folder = Path(rules.load.__file__).parent
    first = {
        f"campaigns/{name}.yaml": (folder / "campaigns" / f"{name}.yaml").read_text()
        for name in SHIPPED
    }
    first["shop.yaml"] = (
        "holdout: {marketing: 10%, everything: 0%}\n"
        "caps:\n  - {purpose: transactional, via: push, limit: 2 per 24h}\n"
    )
    for name, text in CHECKED.items():
        first[f"campaigns/{name}.yaml"] = f"rule: {name}\n{HEAD}{text}"
    first |= STANDING
    first |= {f"offers/{name}.yaml": f"offer: {name}\n" for name in OFFERS}
    first["offers/POOLED.yaml"] = f"offer: POOLED\ncodes: {{pool: {POOL}}}\n"
    second = dict(first)
    keen = "segments/keen.yaml"
    second[keen] = second[keen].replace("views_24h >= 3", "views_24h >= 2")
    rescue, nudge = "campaigns/cart-rescue.yaml", "campaigns/browse-nudge.yaml"
    second[rescue] = second[rescue].replace("cart.value >= 200", "cart.value >= 50", 1)
    second[nudge] = second[nudge].replace("status: live", "status: paused", 1)
    return first, second


@lru_cache(maxsize=1)
def bodies() -> dict[str, bytes]:
    """Hash -> body of both versions, as a publisher stores them, the first one first."""
    return {book_from_sources(one).hash: orjson.dumps(one) for one in books()}
