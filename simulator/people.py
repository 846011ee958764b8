"""Who the made-up customers are: their lives, devices, tastes and the truth that nobody tells.

Must live here: what is fixed for a person's whole life, drawn from the seed and his number alone.
Must not: what he does on a day (habits.py), the population (world.py).
"""

from enum import Enum
from random import Random
from typing import NamedTuple

SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
GIVEN = ("伟", "芳", "娜", "敏", "静", "磊", "洋", "艳", "勇", "杰", "婷", "欣怡", "子涵")
CITIES = ("上海", "北京", "广州", "深圳", "杭州", "成都", "武汉", "西安", "南京", "重庆")
CHANNELS = ("push", "wechat", "sms")
_DEVICES = (("app", "android"), ("app", "ios"), ("web", "desktop"), ("wechat", "android"))


class Kind(Enum):
    """What a message does to a person's next purchase: the truth that lift has to find."""

    SURE = "sure"  # buys anyway
    PERSUADABLE = "persuadable"  # buys because of it
    LOST = "lost"  # does not buy either way
    SLEEPING = "sleeping"  # is driven away by it


class Device(NamedTuple):
    """One browser or app; `context` goes into every event that it sends."""

    anonymous_id: str
    context: dict[str, object]


class Person(NamedTuple):
    """A life. Days count from the world's first day; spells are half-open ranges of days."""

    number: int
    user_id: str
    arrives: int
    signs_up: int | None  # None: a visitor for ever
    spells: tuple[tuple[int, int], ...]  # when he comes to the shop at all
    gone: int  # from this day on his place is another's
    second_from: int | None  # the day he first signs in on his second device
    devices: tuple[Device, ...]  # first, second
    tablet: Device | None  # shared with the neighbour
    kind: Kind
    visits_per_day: float
    intent: float  # 0..1, how ready he is to buy
    night_owl: bool
    tastes: tuple[str, ...]  # categories, dearest first
    brand: str
    refunds: float  # share of his orders that come back
    consent: tuple[str, ...] | None  # None: never told
    traits: dict[str, object]

    def active(self, day: int) -> bool:
        """Whether he comes to the shop at all in these days."""
        return any(start <= day < end for start, end in self.spells)

    def known(self, day: int) -> bool:
        """Whether he has signed up before `day`."""
        return self.signs_up is not None and day > self.signs_up


def born(seed: int, slot: int, generation: int, slots: int, arrives: int,
         categories: tuple[str, ...], brands: tuple[str, ...]) -> Person:  # fmt: skip
    """The person number `generation` that holds place `slot` of `slots`, from day `arrives` on."""
    number = generation * slots + slot
    rng = Random(f"person {seed} {number}")
    spells, day = [], arrives
    while True:
        end = day + max(2, round(rng.expovariate(1 / 40)))
        spells.append((day, end))
        if rng.random() > 0.35 or len(spells) == 6:
            break
        day = end + 10 + round(rng.expovariate(1 / 65))
    gone = end + rng.randrange(1, 10)
    signs_up = None
    if rng.random() < 0.85:
        signs_up = min(end - 1, arrives + (0 if rng.random() < 0.45 else rng.randrange(1, 7)))
    second_from = None
    if signs_up is not None and rng.random() < 0.3 and signs_up + 2 < end:
        second_from = rng.randrange(signs_up + 1, end)
    first, second = rng.sample(_DEVICES, 2)
    told = tuple(channel for channel in CHANNELS if rng.random() < 0.75)
    (kind,) = rng.choices(tuple(Kind), (35, 30, 30, 5))
    intent = min(0.95, rng.betavariate(2, 4) * (1.3 if kind is Kind.SURE else 1.0))
    return Person(
        number=number,
        user_id=f"u{100_000 + number}",
        arrives=arrives,
        signs_up=signs_up,
        spells=tuple(spells),
        gone=gone,
        second_from=second_from,
        devices=(_device(f"d{number}-1", *first), _device(f"d{number}-2", *second)),
        tablet=_tablet(seed, number),
        kind=kind,
        visits_per_day=min(1.6, 0.28 + rng.expovariate(1 / 0.28)),
        intent=intent,
        night_owl=rng.random() < 0.3,
        tastes=tuple(rng.sample(categories, 3)),
        brand=rng.choice(brands),
        refunds=min(0.6, rng.expovariate(1 / 0.05)),
        consent=told if rng.random() < 0.7 else None,
        traits=_traits(rng, number),
    )


def _device(anonymous_id: str, channel: str, kind: str) -> Device:
    device: dict[str, object] = {"id": anonymous_id, "type": kind}
    if channel == "app":
        device["token"] = f"token-{anonymous_id}"
    return Device(anonymous_id, {"channel": channel, "device": device, "locale": "zh-CN"})


def _tablet(seed: int, number: int) -> Device | None:
    """One pair of neighbours in twenty shares a tablet: two customers behind one anonymous id."""
    pair = number // 2
    if Random(f"tablet {seed} {pair}").random() < 0.05:
        return _device(f"t{pair}", "app", "tablet")
    return None


def _traits(rng: Random, number: int) -> dict[str, object]:
    return {
        "name": rng.choice(SURNAMES) + rng.choice(GIVEN),
        "city": rng.choice(CITIES),
        "gender": rng.choice(("f", "m")),
        "email": f"u{100_000 + number}@example.com",
        "phone": f"199{number % 100_000_000:08d}",
    }
