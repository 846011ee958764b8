"""What a loaded rule is: frozen values, times in ms, every text already typed.

Must live here: the shapes the engine reads. Must not: YAML, parsing, the engine's state.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from rules.expressions import Expr
from rules.values import Rate, Value

Purpose = Literal["marketing", "service", "transactional", "consent"]
Status = Literal["draft", "shadow", "live", "paused"]
OffKind = Literal["percent", "money", "free_shipping", "gift"]

STATUSES: Final = ("draft", "shadow", "live", "paused")
PURPOSES: Final = ("marketing", "service", "transactional", "consent")
CHANNELS: Final = ("push", "wechat", "sms", "email")
ONCE_PER: Final = (
    *("customer", "year", "month", "week", "day"),
    *("cart", "product", "order", "session", "lapse", "visit", "event"),
)
# 下单 is not 付款: these two names are one fact, and a rule that names either gets the first.
PAID: Final = frozenset({"Order Completed", "Order Paid"})


@dataclass(frozen=True)
class EventTrigger:
    """Fires on one of `names`; with `count`, on the count-th within `within_ms` per subject."""

    names: frozenset[str]
    condition: Expr | None = None
    count: int = 1
    within_ms: int = 0


@dataclass(frozen=True)
class InactiveTrigger:
    """Fires when no event of `of` (None: any the customer made himself) came for `for_ms`."""

    for_ms: Value
    of: frozenset[str] | None = None


Trigger = EventTrigger | InactiveTrigger


@dataclass(frozen=True)
class StopOn:
    """An event that ends a waiting instance."""

    event: str
    condition: Expr | None = None


@dataclass(frozen=True)
class Coupon:
    """Issue a coupon: `off` in `off_kind`'s unit, `over` and `most` in major units of money."""

    name: str
    offer: str
    off: Value
    off_kind: OffKind
    valid_ms: int
    over: Value | None = None
    most: Value | None = None
    condition: Expr | None = None
    optional: bool = False


@dataclass(frozen=True)
class Notify:
    """Send a message by the first channel of `via` with consent and address."""

    name: str
    via: tuple[str, ...]
    template: str
    with_: Mapping[str, Value] = field(default_factory=dict)
    condition: Expr | None = None
    optional: bool = False


Action = Coupon | Notify


@dataclass(frozen=True)
class Wait:
    """Wait `for_ms`, from the last of `since_last` if given, or until one of `events` arrives.

    `event` is the awaited event as written; `events` also holds its other name, if it has one.
    """

    for_ms: int
    since_last: frozenset[str] = frozenset()
    event: str = ""
    events: frozenset[str] = frozenset()
    condition: Expr | None = None


@dataclass(frozen=True)
class Act:
    """The actions between two waits: one decision, all or none. `step` counts acts from "1"."""

    actions: tuple[Action, ...]
    step: str = "1"


@dataclass(frozen=True)
class Stop:
    """Ends the instance, if its condition holds."""

    condition: Expr | None = None


Step = Wait | Act | Stop


@dataclass(frozen=True)
class Expectation:
    """What an example expects `at_ms` after its start: actions by kind and name, or a hold.

    `fields` are further fields some action of that decision must have (off: 40).
    """

    at_ms: int
    actions: tuple[tuple[str, str], ...] = ()
    held: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Example:
    """A rule's own test: events in, decisions expected. Times are ms after `start` (ms UTC)."""

    name: str
    start: int
    customer: Mapping[str, Any]
    given: tuple[tuple[int, Mapping[str, Any]], ...]
    expect: tuple[Expectation, ...]
    until: int | None = None
    arm: Literal["treated", "holdout"] = "treated"
    line: int = 0


@dataclass(frozen=True)
class Rule:
    """One rule, whole."""

    name: str
    trigger: Trigger
    steps: tuple[Step, ...]
    once_per: str
    title: str = ""
    owner: str = ""
    status: Status = "draft"
    run: str = "1"
    purpose: Purpose = "marketing"
    priority: int = 50
    active_from: int | None = None
    active_until: int | None = None
    condition: Expr | None = None
    stop_on: tuple[StopOn, ...] = ()
    limits: tuple[Rate, ...] = ()
    holdout: float = 0.0
    late_ms: int = 3_600_000
    examples: tuple[Example, ...] = ()
    file: str = ""
    line: int = 0
    body: str = ""


@dataclass(frozen=True)
class Offer:
    """A kind of coupon, with defaults for what a rule leaves out."""

    name: str
    title: str = ""
    off: Value | None = None
    off_kind: OffKind = "money"
    over: Value | None = None
    most: Value | None = None
    valid_ms: int | None = None


@dataclass(frozen=True)
class Shop:
    """shop.yaml: the shop's zone, money and defaults. Holdouts are shares from 0 to 1."""

    timezone: str = "Asia/Shanghai"
    currency: str = "CNY"
    languages: tuple[str, ...] = ("zh", "en")
    holdout_marketing: float = 0.1
    holdout_everything: float = 0.0
    consent: Literal["opt-out", "opt-in"] = "opt-out"

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which days, weeks and written moments count."""
        return ZoneInfo(self.timezone)
