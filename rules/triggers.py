"""`when`: what begins an instance of a rule.

Must live here: the readers of every kind of trigger, a table of them. Must not: the steps,
what stands beside `when` (entering.py).
"""

from collections.abc import Callable
from typing import Final

from features.vocabulary import ITEM_EVENTS, NAMES
from rules.document import Fields, Items, Node, Text
from rules.errors import BadText, near, one_of
from rules.events import event_names
from rules.expressions import Expr, expression
from rules.looking import date_feature, duration_value
from rules.model import (
    EVERYONE,
    HOLDERS,
    CrossesTrigger,
    DueTrigger,
    EventTrigger,
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
from rules.reading import Reader
from rules.schedules import cron
from rules.surroundings import Surroundings
from rules.trigger_forms import COMPANIONS, SEQUENCE, THEN_NOT, WHEN, WITH_EVENT
from rules.values import Constant, clock, duration, moment, offset

WITHIN_MAX_DAYS: Final = 30
INACTIVE_MIN_MS: Final = 60_000
SPREAD_MAX_DAYS: Final = 7
LINKS_MAX: Final = 10
MOMENTS_MAX: Final = 200

Found = dict[str, Node]
Parts = tuple[Reader, Node, Found, Surroundings]


def trigger(reader: Reader, node: Node, near_by: Surroundings) -> Trigger | None:
    """`when`, of exactly one kind."""
    if isinstance(node, Text):
        reader.error(node, "when is a mapping, such as `when: {event: Product Added}`")
        return None
    before = len(reader.errors)
    found = reader.fields(node, WHEN)
    dated = isinstance(node, Fields) and any(key.value == "due" for key, _ in node.pairs)
    kinds = [name for name in COMPANIONS if name in found and not (name == "at" and dated)]
    if len(kinds) != 1:
        if kinds or len(reader.errors) == before:
            known = [name for name in COMPANIONS if f"when.{name}" not in reader.unbuilt]
            reader.error(node, f"when needs exactly one of {one_of(known)}")
        return None
    kind = kinds[0]
    for name in found:
        if name != kind and name not in COMPANIONS[kind]:
            with_ = [other for other, words in COMPANIONS.items() if name in words]
            reader.error(found[name], f"`{name}` goes with `{one_of(with_)}`, not with `{kind}`")
    return READERS[kind](reader, node, found, near_by)


def _if(parts: Parts, kind: str) -> Expr | None:
    reader, node, found, near_by = parts
    if "if" not in found or reader.refused(found["if"], f"{kind}.if", f"{kind} with `if`"):
        return None
    return reader.condition(node, found["if"], near_by.scope.with_event(kind in WITH_EVENT))


def _event(*parts: *Parts) -> EventTrigger:
    reader, node, found, _ = parts
    if ("count" in found) != ("within" in found):
        reader.error(node, "count and within go together, as in {count: 3, within: 24h}")
    return EventTrigger(
        names=event_names(reader, found["event"]),
        condition=_if(parts, "event"),
        count=reader.number(found["count"], "count", 2, 100) if "count" in found else 1,
        within_ms=_within(reader, found),
    )


def _within(reader: Reader, found: Found) -> int:
    within = reader.parse(found["within"], duration, 0) if "within" in found else 0
    if within > WITHIN_MAX_DAYS * 86_400_000:
        reader.error(found["within"], f"within is at most {WITHIN_MAX_DAYS}d")
    return within


def _inactive(*parts: *Parts) -> InactiveTrigger:
    reader, _, found, near_by = parts
    return InactiveTrigger(
        duration_value(
            reader, found["inactive"], near_by.scope, lambda text: duration(text, INACTIVE_MIN_MS)
        ),
        event_names(reader, found["of"]) if "of" in found else None,
        _if(parts, "inactive"),
    )


def _sequence(*parts: *Parts) -> SequenceTrigger:
    reader, node, found, near_by = parts
    scope = near_by.scope.with_event()
    links: list[SequenceStep] = []
    for item in reader.items(found["sequence"]):
        if isinstance(item, Text):
            links.append(SequenceStep(event_names(reader, item)))
            continue
        link = reader.fields(item, SEQUENCE)
        links.append(
            SequenceStep(
                event_names(reader, link["event"]) if "event" in link else frozenset(),
                reader.condition(item, link["if"], scope) if "if" in link else None,
                reader.number(link["count"], "count", 1, 100) if "count" in link else 1,
            )
        )
    if not 1 <= len(links) <= LINKS_MAX or (len(links) == 1 and "then_not" not in found):
        reader.error(found["sequence"], f"a sequence has 2 to {LINKS_MAX} links, or a then_not")
    if "within" not in found:
        reader.error(node, "a sequence needs `within`, such as 10m")
    then_not = None
    if "then_not" in found:
        inner = reader.fields(found["then_not"], THEN_NOT)
        condition = None
        if "if" in inner:
            condition = reader.condition(found["then_not"], inner["if"], scope)
        then_not = ThenNot(
            event_names(reader, inner["event"]) if "event" in inner else frozenset(),
            reader.parse(inner["for"], lambda text: duration(text, 1_000), 0)
            if "for" in inner
            else 0,
            condition,
        )
    return SequenceTrigger(tuple(links), _within(reader, found), then_not, _if(parts, "sequence"))


def segment_name(reader: Reader, node: Node, near_by: Surroundings, *, everyone: bool) -> str:
    """A segment or a tier of one, that there is."""

    def check(text: str) -> str:
        if everyone and text == EVERYONE:
            return text
        if near_by.segments is None:
            return text
        names = [name for one in near_by.segments.values() for name in one.names()]
        if text not in names:
            names += [EVERYONE] * everyone
            hint = near(text, names) or f": there are {one_of(sorted(names))}"
            raise BadText(f"there is no segment `{text}` in segments/{hint}")
        return text

    return reader.parse(node, check, "")


def _moves(*parts: *Parts) -> SegmentTrigger:
    reader, _, found, near_by = parts
    kind = "enters" if "enters" in found else "leaves"
    name = segment_name(reader, found[kind], near_by, everyone=False)
    return SegmentTrigger(name, kind == "enters", _if(parts, kind))


def _crosses(*parts: *Parts) -> CrossesTrigger | None:
    reader, node, found, near_by = parts
    read = reader.parse(found["crosses"], lambda text: expression(text, near_by.scope), None)
    if read is not None and (read.kind != "number" or read.features | read.laid != {read.source}):
        reader.error(
            found["crosses"], f"crosses takes a feature that is a number, not `{read.source}`"
        )
    if ("above" in found) == ("below" in found):
        reader.error(node, "crosses needs `above` or `below`, one of them")
        return None
    above = "above" in found
    levels = {
        key: reader.value(found[key], near_by.scope, "number", _number)
        for key in ("above", "below", "back")
        if key in found
    }
    level = levels["above" if above else "below"]
    back = levels.get("back", level)
    if isinstance(level, Constant) and isinstance(back, Constant):
        beyond = (back.value or 0) > (level.value or 0)
        if back.value != level.value and beyond == above:
            side = "below" if above else "above"
            reader.error(found["back"], f"`back` is {side} the level: there it counts anew")
    if read is None:
        return None
    return CrossesTrigger(read.source, read, above, level, back, _if(parts, "crosses"))


def _number(text: str) -> float:
    try:
        if text.strip("-").replace(".", "", 1).isdigit() and text.isascii():
            return float(text)
    except ValueError:
        pass
    raise BadText(f"`{text}` is not a number like 0.8")


def _due(*parts: *Parts) -> DueTrigger | None:
    reader, _, found, near_by = parts
    date = date_feature(reader, found["due"], near_by.scope)
    away = Constant(0)
    shift = (
        duration_value(reader, found["offset"], near_by.scope, offset)
        if "offset" in found
        else away
    )
    minute = reader.parse(found["at"], clock, None) if "at" in found else None
    condition = _if(parts, "due")
    return None if date is None else DueTrigger(date, shift, minute, condition)


def _spread(reader: Reader, found: Found) -> int:
    spread = reader.parse(found["spread"], duration, 0) if "spread" in found else 0
    if spread > SPREAD_MAX_DAYS * 86_400_000:
        reader.error(found["spread"], f"spread is at most {SPREAD_MAX_DAYS}d")
    return spread


def _audience(reader: Reader, found: Found, near_by: Surroundings) -> str:
    if "audience" not in found:
        return ""
    return segment_name(reader, found["audience"], near_by, everyone=True)


def _schedule(*parts: *Parts) -> ScheduleTrigger:
    reader, node, found, near_by = parts
    if "audience" not in found:
        reader.error(node, f"a schedule needs `audience`: a segment, or {EVERYONE}")
    moments: list[int] = []
    if "at" in found and not reader.refused(found["at"], "schedule.at", "at: a schedule"):
        items = reader.items(found["at"])
        if not 1 <= len(items) <= MOMENTS_MAX:
            reader.error(found["at"], f"a schedule has 1 to {MOMENTS_MAX} moments")
        zone = near_by.scope.zone
        moments = [reader.parse(item, lambda text: moment(text, zone), 0) for item in items]
        if len(set(moments)) < len(moments) and 0 not in moments:
            reader.error(found["at"], "a moment is there twice")
    return ScheduleTrigger(
        _audience(reader, found, near_by),
        tuple(sorted(moments)),
        reader.parse(found["cron"], cron, "") if "cron" in found else "",
        _spread(reader, found),
        _if(parts, "schedule"),
    )


def _item(*parts: *Parts) -> ItemTrigger:
    reader, node, found, near_by = parts
    if ("held_in" in found) == ("audience" in found):
        reader.error(node, "item needs `held_in` or `audience`, one of them")
    names = event_names(reader, found["item"])
    for name in sorted(names):
        if name in NAMES - ITEM_EVENTS.keys():
            told = one_of(sorted(ITEM_EVENTS))
            reader.error(
                found["item"], f"`{name}` is about a customer, not an item: these are {told}"
            )
    chosen = {
        reader.choice(one, "place where an item is held", HOLDERS)
        for one in (reader.items(found["held_in"]) if "held_in" in found else ())
    }
    holders = frozenset(holder for holder in HOLDERS if holder in chosen)
    if isinstance(found.get("held_in"), Items) and not chosen:
        reader.error(found["held_in"], f"held_in is a list of {one_of(HOLDERS)}")
    return ItemTrigger(
        names,
        holders,
        _audience(reader, found, near_by),
        _spread(reader, found),
        _if(parts, "item"),
    )


def _request(*parts: *Parts) -> RequestTrigger:
    reader, _, found, _ = parts
    return RequestTrigger(
        reader.text(found["request"], "a placement's name", 64), _if(parts, "request")
    )


TriggerReader = Callable[[Reader, Node, Found, Surroundings], Trigger | None]
READERS: Final[dict[str, TriggerReader]] = {
    "event": _event,
    "inactive": _inactive,
    "sequence": _sequence,
    "enters": _moves,
    "leaves": _moves,
    "crosses": _crosses,
    "due": _due,
    "at": _schedule,
    "cron": _schedule,
    "item": _item,
    "request": _request,
}
