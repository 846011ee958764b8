"""What is not one rule's: the shop's defaults and caps, kinds of coupon, segments.

Must live here: the shapes. Must not: reading them, keeping them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal
from zoneinfo import ZoneInfo

from rules.expressions import Expr
from rules.shape_actions import OffKind
from rules.values import Rate, Value


@dataclass(frozen=True)
class Quiet:
    """Hours in which nothing is sent, as minutes after midnight in the shop's zone.

    `ends` before `begins` goes over midnight; equal: never quiet. `defer`: decided anew at the
    end; `drop`: held.
    """

    begins: int
    ends: int
    then: Literal["defer", "drop"] = "defer"

    def holds(self, minute: int) -> bool:
        """Whether this minute of the day is quiet.

        >>> Quiet(22 * 60, 8 * 60).holds(7 * 60), Quiet(22 * 60, 8 * 60).holds(12 * 60)
        (True, False)
        """
        if self.begins <= self.ends:
            return self.begins <= minute < self.ends
        return minute >= self.begins or minute < self.ends


@dataclass(frozen=True)
class Budget:
    """What may be spent: coupons by number, money in minor units (fen), each per period."""

    coupons: Rate | None = None
    money: Rate | None = None


@dataclass(frozen=True)
class Cap:
    """How often a customer may be reached, over all rules; "" for any purpose, any channel."""

    limit: Rate
    purpose: str = ""
    via: str = ""


@dataclass(frozen=True)
class Offer:
    """A kind of coupon, with defaults for what a rule leaves out.

    `stacks` are the offers it may be used with ("*" for any). `returns` says for `cancel` and
    `refund` whether the coupon comes back. `cost` are the shares of who pays, which add up to 1.
    `limit` is per customer, over all rules; `pool` names a list of imported codes, else HMAC.
    """

    name: str
    title: str = ""
    off: Value | None = None
    off_kind: OffKind = "money"
    over: Value | None = None
    most: Value | None = None
    valid_ms: int | None = None
    pool: str = ""
    stacks: frozenset[str] = frozenset()
    returns: Mapping[str, bool] = field(default_factory=lambda: {"cancel": True, "refund": False})
    cost: Mapping[str, float] = field(default_factory=lambda: {"shop": 1.0})
    limits: tuple[Rate, ...] = ()
    budget: Budget | None = None


@dataclass(frozen=True)
class Tier:
    """One rung of a tiered segment: who is in, and who may stay (None: who may come in)."""

    name: str
    condition: Expr
    stay: Expr | None = None
    title: str = ""


@dataclass(frozen=True)
class Segment:
    """A named condition over the catalog; with tiers, the first that holds is the customer's.

    A plain segment is one tier with the segment's own name. Who is in stays while `stay` holds,
    so that a number around the edge does not make him come and go. Rules read a plain segment as
    `segment.NAME` (yes or no), a tiered one as `segment.NAME == "tier"`.
    """

    name: str
    tiers: tuple[Tier, ...]
    title: str = ""
    owner: str = ""
    tiered: bool = False
    file: str = ""
    line: int = 0

    @property
    def said(self) -> str:
        """As an expression says it: `segment.brand_fans` of brand-fans."""
        return f"segment.{self.name.replace('-', '_')}"

    @cached_property
    def laid(self) -> frozenset[str]:
        """The names its conditions read that are no features: models' scores."""
        read = (one.laid for tier in self.tiers for one in (tier.condition, tier.stay) if one)
        return frozenset[str]().union(*read)

    def names(self) -> tuple[str, ...]:
        """What `enters`, `leaves` and `audience` may say."""
        inner = tuple(f"{self.name}.{tier.name}" for tier in self.tiers) if self.tiered else ()
        return (self.name, *inner)


@dataclass(frozen=True)
class Risk:
    """Whom risk holds while a condition of `hold` is true (None: the default), and from what."""

    hold: tuple[Expr, ...] | None = None
    purposes: frozenset[str] = frozenset({"marketing"})
    kept_from: Literal["gifts", "everything"] = "gifts"


@dataclass(frozen=True)
class Shop:
    """shop.yaml: the shop's zone, money and defaults. Holdouts are shares from 0 to 1."""

    timezone: str = "Asia/Shanghai"
    currency: str = "CNY"
    languages: tuple[str, ...] = ("zh", "en")
    holdout_marketing: float = 0.1
    holdout_everything: float = 0.0
    consent: Literal["opt-out", "opt-in"] = "opt-out"
    quiet: Quiet | None = None
    caps: tuple[Cap, ...] = ()
    budget: Budget | None = None
    pauses: tuple[Expr, ...] = ()
    risk: Risk = Risk()
    closing_days: frozenset[str] = frozenset()  # 2026-02-17
    approval: Literal["none", "second"] = "none"
    exchange: Mapping[str, float] = field(default_factory=dict)
    name: str = ""

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which days, weeks and written moments count."""
        return ZoneInfo(self.timezone)
