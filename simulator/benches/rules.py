"""What an event costs under 4, 20 and 500 rules, and how long 500 take to be read.

Must live here: rules made up by a seed, of every kind, over the events that a shop really has; the
pairing. Must not: a store or a log: the real shards decide in memory, one after the other. The same
events go through each book in turn; a ratio is that of one round.
"""

import asyncio
import gc
import time
from collections.abc import Sequence
from random import Random
from typing import Any, Final

from rich.console import Console

from engine.records import Append
from rules.book import Book
from rules.load import book_from_sources
from simulator.backtest_engine import Engine
from simulator.benches.parts import SECRET, START, made_up, median

COUNTS: Final = (4, 20, 500)
EVENTS: Final = 24_000
WARM_UP: Final = 6_000  # events before the clock starts: everybody known, every index made
ROUNDS: Final = 5
STEP: Final = 3_600_000
# What a made-up shop's stream consists of, as often as it does: rules are written about that.
_NAMES: Final = (
    *("Product Viewed", "Product Added", "Cart Viewed", "Checkout Started", "Order Placed"),
    *("Order Paid", "Order Delivered", "Product Reviewed", "Order Refunded", "Signed Up"),
    *("Signed In", "Products Searched", "Product List Viewed", "Product Added to Wishlist"),
    *("Message Opened", "Message Clicked", "Consent Updated", "Payment Expired", "Live Started"),
    *("Ticket Opened", "Coupon Redeemed", "Referral Accepted", "Shipment Status Updated"),
)
_SUBJECTS: Final = ("customer", "day", "week", "month", "product", "cart")
_CONDITIONS: Final = (
    ("cart.value >= {}", 100, 3_000),
    ("orders.count >= {}", 1, 40),
    ("orders.net >= {}", 200, 20_000),
    ("windows.views_7d >= {}", 3, 60),
    ("windows.spend_30d >= {}", 100, 9_000),
    ("visits.count >= {}", 2, 60),
    ("orders.days_since_last >= {}", 3, 90),
    ("member.days_since_joined <= {}", 2, 60),
)
_WORDS: Final = ("phones", "books", "tea", "toys", "shoes", "lamps")
_TIERS: Final = ("silver", "gold", "platinum")


def text(number: int, random: Random) -> str:
    """One made-up rule: events for the most part, counts, silences, dates, segments among them."""
    kind = random.choices(("event", "count", "silence", "date", "segment"), (70, 8, 10, 6, 6))[0]
    name = random.choice(_NAMES)
    subject, when = random.choice(_SUBJECTS), f"{{event: {name}}}"
    conditions = [
        form.format(random.randint(low, high))
        for form, low, high in random.sample(_CONDITIONS, random.randint(1, 3))
    ]
    if random.random() < 0.3:
        conditions.append(f'affinity.category == "{random.choice(_WORDS)}"')
    if random.random() < 0.2:
        conditions.append(f'member.tier == "{random.choice(_TIERS)}"')
    if kind == "count":
        when = f"{{event: {name}, count: {random.randint(2, 5)}, within: 24h}}"
    elif kind == "silence":
        of = random.choice(("", ", of: Order Completed"))
        when = f"{{inactive: {random.randint(5, 90)}d{of}}}"
        subject = "lapse"
    elif kind == "date":
        when, subject = "{due: contact.birthday_md, offset: -3d}", "year"
    elif kind == "segment":
        when, subject = f"{{enters: made_{random.randrange(20)}}}", "month"
    waits = f"  - wait: {random.randint(10, 300)}m\n" if random.random() < 0.5 else ""
    return (
        f"rule: made-{number}\ntitle: made up\nowner: bench\nstatus: live\nwhen: {when}\nif:\n"
        + "".join(f"  - {condition}\n" for condition in conditions)
        + f"once_per: {subject}\nlimit: {random.randint(1, 3)} per week\n"
        + f"priority: {random.randint(10, 90)}\ndo:\n{waits}"
        + "  - notify: {via: [push, sms], template: hello}\n"
    )


def sources(count: int, seed: int = 7) -> dict[str, str]:
    """The files of a folder with so many rules; twenty segments once there are many."""
    random = Random(seed)
    made = {f"campaigns/made-{n}.yaml": text(n, random) for n in range(count)}
    for channel in ("push", "sms"):
        made |= {f"templates/hello.{spoken}.{channel}.j2": "Hello" for spoken in ("zh", "en")}
    for number in range(20):
        made[f"segments/made_{number}.yaml"] = (
            f"segment: made_{number}\ntitle: made up\nif: orders.net >= {300 * (number + 1)}\n"
        )
    made["shop.yaml"] = "timezone: Asia/Shanghai\ncurrency: CNY\nlanguages: [zh, en]\n"
    return made


def measure(console: Console) -> dict[str, Any]:
    """Microseconds an event, the median of the rounds' ratios, seconds to read the rules."""
    records = made_up(EVENTS)
    books: dict[int, Book] = {}
    load: dict[int, float] = {}
    for count in COUNTS:
        files = sources(count)
        began = time.perf_counter()
        books[count] = book_from_sources(files)
        load[count] = time.perf_counter() - began
    rounds: dict[int, list[float]] = {count: [] for count in COUNTS}
    acts: dict[int, int] = {}
    for number in range(ROUNDS):
        console.print(f"  round {number + 1} of {ROUNDS}")
        for count, book in books.items():
            cost, acts[count] = _cost(book, records)
            rounds[count].append(cost)
    first, middle, last = COUNTS
    return {
        **{f"us_an_event_{count}_rules": median(rounds[count]) for count in COUNTS},
        "ratio_500_to_20": median(
            [a / b for a, b in zip(rounds[last], rounds[middle], strict=True)]
        ),
        "ratio_20_to_4": median(
            [a / b for a, b in zip(rounds[middle], rounds[first], strict=True)]
        ),
        **{f"decisions_an_event_{n}_rules": round(acts[n] / EVENTS, 3) for n in COUNTS},
        "load_seconds_500_rules": round(load[last], 2),
        "events": EVENTS - WARM_UP,
        "rounds": ROUNDS,
    }


def _cost(book: Book, records: Sequence[Append]) -> tuple[float, int]:
    """Microseconds of this process an event, and how many decisions were written."""
    return asyncio.run(_decide(book, records))


async def _decide(book: Book, records: Sequence[Append]) -> tuple[float, int]:
    written = 0

    def took(effects: Any) -> None:
        nonlocal written
        written += len(effects.decisions)

    engine = Engine(book, 1, SECRET, took, [{}])
    await engine.begin(START)
    steps: list[list[Append]] = []
    for record in records:
        hour = (record.hint - START) // STEP
        while len(steps) <= hour:
            steps.append([])
        steps[hour].append(record._replace(shard=0))
    gc.collect()
    done, began, counted = 0, 0.0, 0
    for hour, appends in enumerate(steps):
        if done >= WARM_UP and not began:
            began, counted = time.process_time(), done
        await engine.step(START + (hour + 1) * STEP, appends)
        done += len(appends)
    return (time.process_time() - began) / (done - counted) * 1e6, written
