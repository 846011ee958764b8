"""What a loaded rule is: frozen values, times in ms, every text already typed.

Must live here: the rule and its program, and the names of all shapes (those of triggers, actions
and the shop are in shape_*.py). Must not: YAML, parsing, the engine's state.

A rule's `steps` are a flat program. An instance keeps one index into it: `Act` and `Wait` go on to
the next, `Choose`, `Split`, `Bandit` and `Jump` name the index they go to, always a later one; past
the end the instance is over. rules/program.py makes it and walks it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from rules.expressions import Expr
from rules.shape_actions import (
    CHANNELS,
    PAGE,
    RECIPIENTS,
    Action,
    Alert,
    Audience,
    Coupon,
    Emit,
    Looked,
    Notify,
    OffKind,
    Pause,
    Points,
    Recipient,
    Recommend,
    Show,
    Tag,
    Task,
    Webhook,
)
from rules.shape_shop import Budget, Cap, Offer, Quiet, Risk, Segment, Shop, Tier
from rules.shape_triggers import (
    EVERYONE,
    HOLDERS,
    CrossesTrigger,
    DateFeature,
    DueTrigger,
    EventTrigger,
    Holder,
    InactiveTrigger,
    ItemTrigger,
    RequestTrigger,
    ScheduleTrigger,
    SegmentTrigger,
    SequenceStep,
    SequenceTrigger,
    ThenNot,
    Trigger,
)
from rules.values import Rate

__all__ = [
    "CHANNELS", "EVERYONE", "HOLDERS", "IN_FLIGHT", "ONCE_PER", "PAGE", "PAID", "PERIODS",
    "PURPOSES", "RECIPIENTS", "STATUSES", "Act", "Action", "Alert", "Audience", "Bandit",
    "Budget", "Cap", "Choose", "Coupon", "CrossesTrigger", "DateFeature", "DueTrigger", "Emit",
    "EventTrigger", "Example", "Expectation", "Holder", "InFlight", "InactiveTrigger",
    "ItemTrigger", "Jump", "Looked", "Notify", "OffKind", "Offer", "Pause", "Points", "Purpose",
    "Quiet", "Rate", "Recipient", "Recommend", "RequestTrigger", "Risk", "Rule",
    "ScheduleTrigger", "Segment", "SegmentTrigger", "SequenceStep", "SequenceTrigger", "Shop",
    "Show", "Split", "SplitBranch", "Status", "Step", "Stop", "StopOn", "Tag", "Task", "ThenNot",
    "Tier", "Trigger", "Wait", "Webhook",
]  # fmt: skip

Purpose = Literal["marketing", "service", "transactional", "consent"]
Status = Literal["draft", "shadow", "live", "paused"]

InFlight = Literal["finish", "move"]

STATUSES: Final = ("draft", "shadow", "live", "paused")
PURPOSES: Final = ("marketing", "service", "transactional", "consent")
IN_FLIGHT: Final = ("finish", "move")
PERIODS: Final = ("year", "month", "week", "day")
ONCE_PER: Final = (
    *("customer", *PERIODS, "tick"),
    *("session", "visit", "cart", "order", "product", "coupon", "ticket", "review", "complaint"),
    *("drift", "referral", "live", "lapse", "event"),
)
# 下单 is not 付款: these two names are one fact, and a rule that names either gets the first.
PAID: Final = frozenset({"Order Completed", "Order Paid"})


@dataclass(frozen=True)
class StopOn:
    """An event that ends a waiting instance."""

    event: str
    condition: Expr | None = None


@dataclass(frozen=True)
class Wait:
    """Wait `for_ms`, from the last of `since_last` if given, or until one of `events` arrives.

    `event` is the awaited event as written; `events` also holds its other name, if it has one.
    With `until` (ms UTC, or a date) `for_ms` is 0: it ends then, at once when that is past.
    After a wait for an event, `arrived` says whether it came. `looked["for_ms"]`, if there,
    gives the duration in ms. `step` says where it stands: "2+1" is the first wait after act 2.
    """

    for_ms: int
    since_last: frozenset[str] = frozenset()
    event: str = ""
    events: frozenset[str] = frozenset()
    condition: Expr | None = None
    until: int | DateFeature | None = None
    looked: Looked = field(default_factory=dict)
    step: str = field(default="", compare=False)


@dataclass(frozen=True)
class Act:
    """Actions that stand together.

    `step` counts acts and branchings from "1"; "2.1.1" is the first of branch 1 of the branching
    2, "2.big.1" that of its branch named big.
    """

    actions: tuple[Action, ...]
    step: str = "1"


@dataclass(frozen=True)
class Stop:
    """Ends the instance, if its condition holds."""

    condition: Expr | None = None


@dataclass(frozen=True)
class Choose:
    """Goes to the index beside the first condition that holds, else to `otherwise`; None holds."""

    branches: tuple[tuple[Expr | None, int], ...]
    otherwise: int
    step: str = "1"


@dataclass(frozen=True)
class SplitBranch:
    """One arm of a split: its share of customers from 0 to 1, and the index it begins at."""

    name: str
    share: float
    target: int


@dataclass(frozen=True)
class Split:
    """Goes to one of its branches by lot, the same one for a customer always; shares add up to 1.

    The lot is a hash of rule, run, `step` and the customer's birth id.
    """

    branches: tuple[SplitBranch, ...]
    step: str = "1"

    def drawn(self, share: float) -> SplitBranch:
        """The branch that a share from 0 to below 1 falls into."""
        for branch in self.branches:
            if share < branch.share:
                return branch
            share -= branch.share
        return self.branches[-1]


@dataclass(frozen=True)
class Bandit:
    """Goes to one of its branches by lot, at the odds that what came of earlier ones gives.

    The shares are those without a model: even. `offers` are the actions of each branch up to its
    first wait: whom one of them may not reach gets none.
    """

    branches: tuple[SplitBranch, ...]
    step: str
    reward: frozenset[str]
    within_ms: int
    money: bool
    explore: float
    offers: tuple[tuple[Action, ...], ...]


@dataclass(frozen=True)
class Jump:
    """Goes on at `target`: the end of a branch."""

    target: int


Step = Wait | Act | Stop | Choose | Split | Bandit | Jump


@dataclass(frozen=True)
class Expectation:
    """What an example expects `at_ms` after its start: actions by kind and name, or a hold.

    `fields` are further fields some action of that decision must have (off: 40), as written.
    """

    at_ms: int
    actions: tuple[tuple[str, str], ...] = ()
    held: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


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
    draws: frozenset[str] = frozenset()  # the branches that he draws, where one has such a name
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
    referrer_limits: tuple[Rate, ...] = ()
    quiet: Quiet | None = None  # None: the shop's
    risk: tuple[Expr, ...] | None = None  # None: the shop's
    digest: Rate | None = None
    budget: Budget | None = None
    laid: frozenset[str] = frozenset()  # names its expressions read that the engine lays over
    hears: frozenset[str] = frozenset()  # properties of the event that begins it, that its do reads
    examples: tuple[Example, ...] = ()
    file: str = ""
    line: int = 0
    in_flight: InFlight = "finish"
    version: str = ""  # a hash of what it does
    book: str = ""  # of an old edition: the version of the book that it is from
