"""What begins an instance of a rule: one frozen shape a kind of trigger; times in ms.

Must live here: the shapes. Must not: reading them (triggers.py), hearing them (the engine).
`condition` is the trigger's own `if`: it may read the event at hand, and is asked only then.
"""

from dataclasses import dataclass
from typing import Final, Literal

from rules.expressions import Expr
from rules.values import Value

Holder = Literal["cart", "favourites", "viewed", "bought"]
HOLDERS: Final[tuple[Holder, ...]] = ("cart", "favourites", "viewed", "bought")
EVERYONE: Final = "everyone"  # the audience that needs no file


@dataclass(frozen=True)
class DateFeature:
    """A date of the customer or of one of his subjects (`subject` is "" for the customer).

    `read` gives a moment in ms UTC; `yearly`: month x 100 + day, a day of every year.
    """

    name: str
    subject: str
    yearly: bool
    read: Expr


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
    condition: Expr | None = None


@dataclass(frozen=True)
class SequenceStep:
    """One link: `count` events of `names` whose condition holds."""

    names: frozenset[str]
    condition: Expr | None = None
    count: int = 1


@dataclass(frozen=True)
class ThenNot:
    """What must stay away for `for_ms` after the last link."""

    names: frozenset[str]
    for_ms: int
    condition: Expr | None = None


@dataclass(frozen=True)
class SequenceTrigger:
    """Fires when the links came in this order, first to last within `within_ms`, per subject.

    With `then_not` it fires `then_not.for_ms` after the last link, unless that came.
    """

    steps: tuple[SequenceStep, ...]
    within_ms: int
    then_not: ThenNot | None = None
    condition: Expr | None = None


@dataclass(frozen=True)
class SegmentTrigger:
    """Fires when the customer enters (or leaves) a segment, or a tier: `rfm.champions`."""

    segment: str
    enters: bool
    condition: Expr | None = None


@dataclass(frozen=True)
class CrossesTrigger:
    """Fires when a number rises to `level` or above (`above`), or falls to it or below.

    Once it fired, it must first come back beyond `back` before it can fire again.
    """

    feature: str
    read: Expr
    above: bool
    level: Value
    back: Value
    condition: Expr | None = None


@dataclass(frozen=True)
class DueTrigger:
    """Fires at a date, `offset` ms later (a sign: before), at `at_minute` of that day if given."""

    date: DateFeature
    offset: Value
    at_minute: int | None = None
    condition: Expr | None = None


@dataclass(frozen=True)
class ScheduleTrigger:
    """Fires at written `moments` (ms UTC) or by `cron` in the shop's zone, for an audience.

    Each customer's turn comes within `spread_ms` of it, fixed by a hash.
    """

    audience: str
    moments: tuple[int, ...] = ()
    cron: str = ""
    spread_ms: int = 0
    condition: Expr | None = None


@dataclass(frozen=True)
class ItemTrigger:
    """An event about a product, room or merchant, reaching who holds it, or an audience."""

    names: frozenset[str]
    held_in: frozenset[Holder] = frozenset()
    audience: str = ""
    spread_ms: int = 0
    condition: Expr | None = None


@dataclass(frozen=True)
class RequestTrigger:
    """A page asks, at one of its placements, and waits for the answer."""

    placement: str
    condition: Expr | None = None


Trigger = (
    EventTrigger
    | InactiveTrigger
    | SequenceTrigger
    | SegmentTrigger
    | CrossesTrigger
    | DueTrigger
    | ScheduleTrigger
    | ItemTrigger
    | RequestTrigger
)
