"""What is known of the things that rules name: an order's total, a coupon's end, a ticket's team.

Must live here: keeping and reading the fields that rules/subjects.py describes, of the last things
of each kind. Must not: which event tells what. Only fields that a rule of the book reads are kept:
a rule that is new knows what it is told from then on.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from engine.subjects import id_of_thing
from features.customer import Customer
from features.events import Event
from features.facet import unfolded
from rules.book import Told
from rules.subjects import MOMENT, SUBJECTS, Source

THINGS: Final = "things"
KEPT_MAX: Final = 20  # of a kind, those told of last
TEXT_MAX: Final = 200

Fields = dict[str, list[Any]]  # field -> [when it was told (ms), value]


class Things(msgspec.Struct, array_like=True):
    """Kind -> id -> fields; the thing told of last is the last one of its kind."""

    kinds: dict[str, dict[str, Fields]] = {}


def tell(customer: Customer, event: Event, told: tuple[Told, ...], zone: str) -> None:
    """Keep what the event tells of things; the latest word holds, of some fields the first."""
    kinds: dict[str, dict[str, Fields]] = customer.touch(THINGS).kinds
    about: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for kind, field, source in told:
        if kind not in about:
            about[kind] = list(_about(kind, event))
        for name, line in about[kind]:
            value = _value(event, line, source)
            if value is None:
                continue
            if SUBJECTS[kind].fields[field].unit == MOMENT:
                value = moment(value, zone)
            keep(kinds, kind, name, field, event.at, value, first=source.first)


def keep(
    kinds: dict[str, dict[str, Fields]],
    kind: str,
    name: str,
    field: str,
    at: int,
    value: Any,
    *,
    first: bool = False,
) -> None:
    """Keep one field of one thing, told at `at` (ms), unless a better word is known."""
    known = kinds.setdefault(kind, {})
    fields = known.pop(name, {})
    known[name] = fields
    held = fields.get(field)
    if held is None or (at < held[0] if first else at >= held[0]):
        fields[field] = [at, value[:TEXT_MAX] if isinstance(value, str) else value]
    while len(known) > KEPT_MAX:
        del known[next(iter(known))]


def forget(customer: Customer, kind: str, name: str, *fields: str) -> None:
    """Know these fields of a thing no more; without any named, nothing of it."""
    known: dict[str, Fields] = customer.state(THINGS).kinds.get(kind, {})
    if name not in known:
        return
    for field in fields or tuple(known[name]):
        known[name].pop(field, None)
    if not known[name]:
        del known[name]
    kinds = customer.touch(THINGS).kinds
    if not known:
        del kinds[kind]


def fields_of(customer: Customer, kind: str, name: str) -> dict[str, Any]:
    """All fields of a thing as rules read them, by their full names: `order.total`."""
    subject = SUBJECTS.get(kind)
    if subject is None or not subject.fields:
        return {}
    known: Fields = customer.state(THINGS).kinds.get(kind, {}).get(name, {})
    return {
        f"{kind}.{field}": known[field][1] if field in known else _initial(kind, field)
        for field in subject.fields
    }


def _initial(kind: str, field: str) -> Any:
    told = SUBJECTS[kind].fields[field]
    return float("nan") if told.initial is None and told.kind == "number" else told.initial


def names_of(customer: Customer, kind: str) -> list[str]:
    """The things of a kind that something is known of, the one told of last being last."""
    return list(customer.state(THINGS).kinds.get(kind, ()))


def _about(kind: str, event: Event) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The things of this kind that an event is about, each with its own properties."""
    lines = event.properties.get("products") if kind == "product" else None
    for line in lines or (event.properties,):
        if isinstance(line, Mapping) and (name := id_of_thing(kind, event, line)):
            yield name, line


def _value(event: Event, line: Mapping[str, Any], source: Source) -> Any:
    properties = event.properties
    for name, allowed in source.only.items():
        if line.get(name, properties.get(name)) not in allowed:
            return None
    if source.at:
        return event.at
    if source.property:
        found = line.get(source.property, properties.get(source.property))
        if isinstance(found, list):  # of texts: topics, examples
            return [one[:TEXT_MAX] for one in found[:KEPT_MAX] if isinstance(one, str)]
        return found if isinstance(found, str | int | float | bool) else None
    return source.value


def moment(value: Any, zone: str) -> int | None:
    """A moment in ms UTC: as it is, or of an ISO text, in the shop's zone unless it names one.

    >>> moment("1970-01-01T00:00:01Z", "UTC"), moment(5, "UTC"), moment("soon", "UTC")
    (1000, 5, None)
    """
    if isinstance(value, str):
        try:
            found = dt.datetime.fromisoformat(value)
        except ValueError:
            return None
        found = found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))
        return int(found.timestamp() * 1_000)
    return int(value) if isinstance(value, int | float) and value == value else None  # noqa: PLR0124


def _merge(mine: Things, theirs: Things) -> Things:
    """The later word of either side, the known user's where both were told at once."""
    united = {
        kind: {name: dict(one) for name, one in of.items()} for kind, of in mine.kinds.items()
    }
    for kind, of in theirs.kinds.items():
        for name, fields in of.items():
            ours = united.setdefault(kind, {}).setdefault(name, {})
            for field, (at, value) in fields.items():
                first = _is_first(kind, field)
                held = ours.get(field)
                if held is None or (at < held[0] if first else at > held[0]):
                    ours[field] = [at, value]
        latest = sorted(
            united[kind], key=lambda name: max(at for at, _ in united[kind][name].values())
        )
        united[kind] = {name: united[kind][name] for name in latest[-KEPT_MAX:]}
    return Things(united)


def _is_first(kind: str, field: str) -> bool:
    known = SUBJECTS[kind].fields.get(field) if kind in SUBJECTS else None
    return bool(known and known.sources and known.sources[0].first)


FACET: Final = unfolded(THINGS, Things, _merge)
