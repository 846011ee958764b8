"""What stands beside `when`: how often, until what, and what a rule may spend.

Must live here: once_per, stop_on, limit, budget, quiet hours, digest. Must not: triggers, steps.
"""

from collections.abc import Mapping
from typing import Final, Literal

from rules.document import Fields, Node, Text
from rules.events import both_names, event_name
from rules.forms import Form, Key
from rules.model import (
    ONCE_PER,
    PERIODS,
    Budget,
    DueTrigger,
    EventTrigger,
    InactiveTrigger,
    Quiet,
    Rate,
    RequestTrigger,
    ScheduleTrigger,
    SequenceTrigger,
    StopOn,
    Trigger,
)
from rules.reading import Reader
from rules.scope import Scope
from rules.values import clock, money_rate, rate

STOP_ON: Final = Form(
    "stop_on",
    "stop_on",
    {
        "event": Key("event", "the event that ends what waits", needed=True),
        "if": Key("condition", "asked of that event"),
    },
)
LIMIT: Final = Form(
    "limit",
    "limit",
    {
        "customer": Key("[rate]", "how often a customer may enter"),
        "referrer": Key("[rate]", "how often a referrer may get something by it"),
    },
)
QUIET: Final = Form(
    "quiet",
    "quiet_hours",
    {
        "from": Key("time", "when they begin, in the shop's zone", needed=True),
        "to": Key("time", "when they end; the next day if earlier", needed=True),
        "then": Key("defer*/drop", "defer: decided anew at the end; drop: held: quiet"),
    },
    meant={"until": "to", "start": "from", "end": "to"},
)
BUDGET: Final = Form(
    "budget",
    "budget",
    {
        "coupons": Key("rate", "so many coupons a period"),
        "money": Key("money rate", "so much money a period, counted at a coupon's face"),
    },
)
DIGEST_MAX: Final = 100
NO_TICK: Final = (EventTrigger, SequenceTrigger, RequestTrigger)


def once_per(reader: Reader, node: Node) -> str:
    """The subject or period of an instance."""
    if isinstance(node, Text) and node.value == "ever":
        reader.error(node, "`ever`: once for ever is `once_per: customer`")
        return "customer"
    return reader.choice(node, "subject or period", ONCE_PER, "once_per")


def check_once_per(reader: Reader, node: Node, found: str, when: Trigger) -> None:
    """Whether the trigger can say which subject an instance is about."""
    if isinstance(when, InactiveTrigger) and found not in {"lapse", "customer", *PERIODS}:
        reader.error(
            node, f"`{found}`: a silence is about no {found}; write lapse, customer or a period"
        )
    elif found == "lapse" and not isinstance(when, InactiveTrigger):
        reader.error(node, "`lapse`: there is one with `inactive` only")
    elif found == "tick" and isinstance(when, NO_TICK):
        reader.error(node, "`tick`: an event has none; each time is `once_per: event`")
    elif isinstance(when, ScheduleTrigger) and found not in {"tick", "customer", *PERIODS}:
        reader.error(
            node, f"`{found}`: a schedule is about no {found}; write tick, customer or a period"
        )
    elif isinstance(when, DueTrigger) and found not in {
        when.date.subject, "tick", "customer", *PERIODS,
    }:  # fmt: skip
        own = f"{when.date.subject}, " if when.date.subject else ""
        reader.error(
            node, f"`{found}`: {when.date.name} is about no {found}; write {own}tick, or a period"
        )


def stop_on(reader: Reader, node: Node, scope: Scope) -> tuple[StopOn, ...]:
    """Events that end a waiting instance."""
    stops: dict[tuple[str, str], StopOn] = {}
    for item in reader.items(node):
        condition = None
        if isinstance(item, Fields):
            found = reader.fields(item, STOP_ON)
            name = event_name(reader, found["event"]) if "event" in found else ""
            if "if" in found:
                condition = reader.condition(item, found["if"], scope.with_event())
        else:
            name = event_name(reader, item)
        for one in sorted(both_names((name,))):
            source = condition.source if condition else ""
            stops[one, source] = StopOn(one, condition)
    return tuple(stops.values())


def limits(reader: Reader, node: Node) -> tuple[tuple[Rate, ...], tuple[Rate, ...]]:
    """`limit`: how often a customer may enter, and a referrer get something."""
    none = Rate(1, 0, "ever")
    if not isinstance(node, Fields):
        return tuple(reader.parse(item, rate, none) for item in reader.some(node)), ()
    found = reader.fields(node, LIMIT)
    customer, referrer = (
        tuple(reader.parse(item, rate, none) for item in reader.items(found[key]))
        if key in found
        else ()
        for key in ("customer", "referrer")
    )
    return customer, referrer


def digest(reader: Reader, node: Node, when: Trigger | None) -> Rate | None:
    """So many decisions a period, however many are due."""
    found = reader.parse(node, rate, None)
    if found is not None and (found.calendar in {"run", "ever"} or found.count > DIGEST_MAX):
        reader.error(node, f"a digest is at most {DIGEST_MAX} per a time, such as 1 per day")
    if isinstance(when, RequestTrigger):
        reader.error(node, "a page does not wait: with `request` there is no digest")
    return found


def quiet(reader: Reader, node: Node) -> Quiet | None:
    """`quiet_hours`; `none` in a rule: it has none, whatever the shop says."""
    if isinstance(node, Text) and node.value == "none":
        return Quiet(0, 0)
    found = reader.fields(node, QUIET)
    begins, ends = (
        reader.parse(found[key], clock, 0) if key in found else 0 for key in ("from", "to")
    )
    told = (
        reader.choice(found["then"], "answer to quiet hours", ("defer", "drop"))
        if ("then" in found)
        else "defer"
    )
    then: Literal["defer", "drop"] = "drop" if told == "drop" else "defer"
    return Quiet(begins, ends, then)


def budget(reader: Reader, node: Node, currency: str, exchange: Mapping[str, float]) -> Budget:
    """`budget: {coupons: N per P, money: N per P}`."""
    found = reader.fields(node, BUDGET)
    if not found:
        reader.error(
            node, "budget is {coupons: 5000 per day, money: 20000 per day}, or one of them"
        )
    return Budget(
        reader.parse(found["coupons"], rate, None) if "coupons" in found else None,
        reader.parse(found["money"], lambda text: money_rate(text, currency, exchange), None)
        if "money" in found
        else None,
    )
