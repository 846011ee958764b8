"""`when`, `stop_on`, `once_per`, `limit`: what begins an instance, what ends it, and how often.

Must live here: their readers. Must not: the steps between.
"""

from typing import Final

from rules.document import Fields, Node, Text
from rules.events import both_names, event_name, event_names
from rules.model import ONCE_PER, EventTrigger, InactiveTrigger, StopOn, Trigger
from rules.reading import Keys, Reader
from rules.scope import Scope
from rules.values import Rate, duration, rate

WHEN: Final = Keys(
    "when",
    ("event", "if", "count", "within", "inactive", "of"),
    unbuilt=(
        *("sequence", "then_not", "enters", "leaves", "crosses", "above", "below", "back"),
        *("due", "offset", "at", "cron", "audience", "spread", "item", "held_in", "request"),
    ),
    meant={"events": "event", "times": "count", "on": "event", "condition": "if"},
)
STOP_ON: Final = Keys("stop_on", ("event", "if"), needed=("event",))
LIMIT: Final = Keys("limit", ("customer",), needed=("customer",), unbuilt=("referrer",))
ONCE_PER_UNBUILT: Final = ("tick", "coupon", "ticket", "review", "referral", "live")
WITHIN_MAX_DAYS: Final = 30
INACTIVE_MIN_MS: Final = 60_000


def trigger(reader: Reader, node: Node, scope: Scope) -> Trigger | None:
    """`when`: an event, or the absence of one."""
    if isinstance(node, Text):
        reader.error(node, "when is a mapping, such as `when: {event: Product Added}`")
        return None
    found = reader.fields(node, WHEN)
    if ("event" in found) == ("inactive" in found):
        if found or not reader.errors:
            reader.error(node, "when needs exactly one of event, inactive")
        return None
    if "inactive" in found:
        return _inactive(reader, found, scope)
    return _event(reader, node, found, scope)


def _inactive(reader: Reader, found: dict[str, Node], scope: Scope) -> InactiveTrigger:
    for name in ("if", "count", "within"):
        if name in found:
            hint = "; the customer's condition is the rule's own `if`" if name == "if" else ""
            reader.error(found[name], f"`{name}` goes with `event`, not with `inactive`{hint}")
    value = reader.value(
        found["inactive"], scope, "number", lambda text: duration(text, INACTIVE_MIN_MS)
    )
    if isinstance(found["inactive"], Text) and found["inactive"].value.startswith("="):
        reader.error(found["inactive"], "inactive is a duration or {by: FEATURE, ...}")
    return InactiveTrigger(value, event_names(reader, found["of"]) if "of" in found else None)


def _event(reader: Reader, node: Node, found: dict[str, Node], scope: Scope) -> EventTrigger:
    if "of" in found:
        reader.error(found["of"], "`of` goes with `inactive`, not with `event`")
    if ("count" in found) != ("within" in found):
        reader.error(node, "count and within go together, as in {count: 3, within: 24h}")
    within = reader.parse(found["within"], duration, 0) if "within" in found else 0
    if within > WITHIN_MAX_DAYS * 86_400_000:
        reader.error(found["within"], f"within is at most {WITHIN_MAX_DAYS}d")
    return EventTrigger(
        names=event_names(reader, found["event"]),
        condition=reader.condition(node, found["if"], scope.with_event())
        if "if" in found
        else None,
        count=reader.number(found["count"], "count", 2, 100) if "count" in found else 1,
        within_ms=within,
    )


def once_per(reader: Reader, node: Node, when: Trigger | None) -> str:
    """The subject or period of an instance, checked against the trigger."""
    found = reader.choice(node, "subject or period", ONCE_PER, ONCE_PER_UNBUILT)
    if isinstance(when, InactiveTrigger) and found != "lapse":
        reader.error(
            node,
            f"`{found}`: with `inactive`, once_per is lapse; to act less often write a limit, "
            "such as `limit: 1 per ever`",
        )
    if isinstance(when, EventTrigger) and found == "lapse":
        reader.error(node, "`lapse`: there is one with `inactive` only")
    return found


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


def limits(reader: Reader, node: Node) -> tuple[Rate, ...]:
    """`limit`: how often a customer may enter."""
    if isinstance(node, Fields):
        found = reader.fields(node, LIMIT)
        if "customer" not in found:
            return ()
        node = found["customer"]
    return (reader.parse(node, rate, Rate(1, 0, "ever")),)
