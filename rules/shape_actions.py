"""What a decision does: one frozen shape a kind of action.

Must live here: the shapes. Must not: reading them (actions.py), doing them (the engine, the sinks).

Every action has `name` (its `as`, else kind:thing), `condition` (its `if`), `optional`, and
`looked`: attributes of it that are looked up or computed, by their names here; the attribute
itself then holds a stand-in that is not to be used.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from rules.expressions import Expr
from rules.shape_triggers import DateFeature
from rules.values import Value

OffKind = Literal["percent", "money", "free_shipping", "gift"]
Recipient = Literal["customer", "referrer", "friend", "merchant"]
RECIPIENTS: Final[tuple[Recipient, ...]] = ("customer", "referrer", "friend", "merchant")
CHANNELS: Final = ("push", "wechat", "sms", "email")
PAGE: Final = "page"  # what `show` writes on; a template's last word, no channel of messages
Looked = Mapping[str, Value]


@dataclass(frozen=True)
class Coupon:
    """Issue a coupon: `off` in `off_kind`'s unit, `over` and `most` in major units of money.

    It lives `valid_ms` from the decision, or until `valid_until` (ms UTC, or a date) if given.
    """

    name: str
    offer: str
    off: Value
    off_kind: OffKind
    valid_ms: int
    over: Value | None = None
    most: Value | None = None
    condition: Expr | None = None
    optional: bool = False
    to: Recipient = "customer"
    valid_until: int | DateFeature | None = None
    looked: Looked = field(default_factory=dict)


@dataclass(frozen=True)
class Notify:
    """Send a message by the first channel of `via` with consent and address."""

    name: str
    via: tuple[str, ...]
    template: str
    with_: Mapping[str, Value] = field(default_factory=dict)
    condition: Expr | None = None
    optional: bool = False
    to: Recipient = "customer"
    looked: Looked = field(default_factory=dict)


@dataclass(frozen=True)
class Show:
    """Put a template on the page that asks."""

    name: str
    template: str
    with_: Mapping[str, Value] = field(default_factory=dict)
    condition: Expr | None = None
    optional: bool = False
    looked: Looked = field(default_factory=dict)


@dataclass(frozen=True)
class Points:
    """Give `add` points (negative: take), or multiply what is earned for `for_ms`."""

    name: str
    add: Value | None = None
    multiply: Value | None = None
    for_ms: int = 0
    expires_ms: int | None = None
    reason: str = ""
    condition: Expr | None = None
    optional: bool = False
    to: Recipient = "customer"
    looked: Looked = field(default_factory=dict)


@dataclass(frozen=True)
class Tag:
    """Put labels on the customer, or take them off."""

    name: str
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    condition: Expr | None = None
    optional: bool = False
    looked: Looked = field(default_factory=dict)


@dataclass(frozen=True)
class Audience:
    """Put the customer into audiences that are exported to ad platforms, or take him out."""

    name: str
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    condition: Expr | None = None
    optional: bool = False
    looked: Looked = field(default_factory=dict)


@dataclass(frozen=True)
class Recommend:
    """Choose `n` products for the customer; the same decision's templates see them as `items`.

    `bought` says whether who has a product is shown it: learned from how often it is bought again.
    """

    name: str
    kind: str
    n: int = 4
    bought: str = "learned"  # or never, always
    condition: Expr | None = None
    optional: bool = False
    looked: Looked = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """Something for a person of a team to do, due `due_ms` after the decision."""

    name: str
    team: str
    title: str
    priority: str = "normal"
    due_ms: int | None = None
    condition: Expr | None = None
    optional: bool = False
    looked: Looked = field(default_factory=dict)


@dataclass(frozen=True)
class Alert:
    """Tell the merchant (`to` is "merchant") or a team."""

    name: str
    to: str
    template: str
    with_: Mapping[str, Value] = field(default_factory=dict)
    condition: Expr | None = None
    optional: bool = False
    looked: Looked = field(default_factory=dict)


@dataclass(frozen=True)
class Pause:
    """Hold back everything of a purpose from this customer for `for_ms`."""

    name: str
    purpose: str
    for_ms: int
    condition: Expr | None = None
    optional: bool = False
    looked: Looked = field(default_factory=dict)


@dataclass(frozen=True)
class Webhook:
    """Call one of the configured hooks, by its name."""

    name: str
    hook: str
    body: Mapping[str, Value] = field(default_factory=dict)
    condition: Expr | None = None
    optional: bool = False
    looked: Looked = field(default_factory=dict)


@dataclass(frozen=True)
class Emit:
    """Put an event of our own into the log, keyed to `to`."""

    name: str
    event: str
    properties: Mapping[str, Value] = field(default_factory=dict)
    condition: Expr | None = None
    optional: bool = False
    to: Recipient = "customer"
    looked: Looked = field(default_factory=dict)


Action = (
    Coupon
    | Notify
    | Show
    | Points
    | Tag
    | Audience
    | Recommend
    | Task
    | Alert
    | Pause
    | Webhook
    | Emit
)
