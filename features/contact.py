"""Contact: how he can be reached. The addresses themselves are sealed before the log sees them.

Must live here: which fields are contact fields, where they stand in a call, what is kept of them.
Must not: keys, ciphers; whoever seals is handed in. The closed list, beside it where it is looked
for: traits, context.traits and properties (CONTACTS; in traits a `name` too, which elsewhere is a
product's or a page's), context (CONTEXT) and context.device (DEVICE). A user agent, a place and a
screen's size are no contact. Of a birthday the month and the day stay readable: `birthday_md`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import orjson

from features.events import Event
from features.facet import Emit, Facet, Feature, number

TOKEN: Final = re.compile(r"enc:v1:([0-9a-f]{16}):([A-Za-z0-9_=-]{20,})")
TOKEN_MAX: Final = 1_024  # a longer one is no address
REMOVED: Final = "removed"  # what stands for a contact of nobody in particular
BIRTHDAY_MD: Final = "birthday_md"
_BIRTHDAY: Final = re.compile(r"(?:\d{4}-|--)?(\d\d)-(\d\d)(?:[T ].*)?")

# The kinds that a message can be sent to, and the names they go by; SDKs write both ways.
KINDS: Final = {
    "email": ("email", "email_address", "emailAddress"),
    "phone": ("phone", "mobile", "phone_number", "phoneNumber"),
    "push": ("push_token", "pushToken", "device_token", "deviceToken"),
    "openid": ("openid", "openId", "open_id"),
}
CONTACTS: Final = frozenset(
    (
        *(name for names in KINDS.values() for name in names),
        *("unionid", "unionId", "union_id", "wechat", "ip"),
        *("first_name", "firstName", "last_name", "lastName", "full_name", "fullName"),
        *("address", "shipping_address", "shippingAddress", "billing_address", "billingAddress"),
        *("recipient", "birthday", "birthdate", "id_number"),
    )
)
TRAITS: Final = CONTACTS | {"name", "username", "avatar"}
CONTEXT: Final = frozenset(("ip",))
DEVICE: Final = frozenset(("token", "advertisingId", "advertising_id", "idfa"))
_KIND_OF: Final = {name: kind for kind, names in KINDS.items() for name in names}

Seal = Callable[[Any], str]


def carries(item: Mapping[str, Any]) -> bool:
    """Whether a call holds any contact field: asked of every event, so it only looks."""
    traits = item.get("traits")
    if traits and isinstance(traits, dict) and not TRAITS.isdisjoint(traits):
        return True
    given = item.get("properties")
    if given and isinstance(given, dict) and not CONTACTS.isdisjoint(given):
        return True
    context = item.get("context")
    return bool(context) and isinstance(context, dict) and in_context(context)


def in_context(context: Mapping[str, Any]) -> bool:
    """Whether a context holds any."""
    if not CONTEXT.isdisjoint(context):
        return True
    traits, device = context.get("traits"), context.get("device")
    return (isinstance(traits, dict) and not TRAITS.isdisjoint(traits)) or (
        isinstance(device, dict) and not DEVICE.isdisjoint(device)
    )


def sealed(item: Mapping[str, Any], seal: Seal) -> dict[str, Any]:
    """The call with every contact field sealed; what it shares with other calls is left alone."""
    found = dict(item)
    for part, names in (("traits", TRAITS), ("properties", CONTACTS)):
        if isinstance(found.get(part), dict):
            found[part] = _sealed(found[part], names, seal)
    if isinstance(found.get("context"), dict):
        context = _sealed(found["context"], CONTEXT, seal)
        for part, names in (("traits", TRAITS), ("device", DEVICE)):
            if isinstance(context.get(part), dict):
                context[part] = _sealed(context[part], names, seal)
        found["context"] = context
    return found


def _sealed(fields: Mapping[str, Any], names: frozenset[str], seal: Seal) -> dict[str, Any]:
    if names.isdisjoint(fields):
        return dict(fields)
    found = {
        name: seal(value) if name in names and value not in (None, "") else value
        for name, value in fields.items()
    }
    for name in ("birthday", "birthdate"):
        if day := _month_day(fields.get(name)):
            found[BIRTHDAY_MD] = day
    return found


def _month_day(value: Any) -> int:
    """MMDD of an ISO date, 0 when it is none.

    >>> _month_day("1990-05-04"), _month_day("--12-31"), _month_day("soon")
    (504, 1231, 0)
    """
    found = _BIRTHDAY.fullmatch(value) if isinstance(value, str) else None
    month, day = (int(found[1]), int(found[2])) if found else (0, 0)
    return month * 100 + day if 1 <= month <= 12 and 1 <= day <= 31 else 0


class Address(msgspec.Struct, array_like=True):
    """A sealed address, and when it was told (ms)."""

    at: int = 0
    token: str = ""


class Contact(msgspec.Struct, array_like=True):
    """Kind -> the latest address, at most one of each of KINDS; the birthday as MMDD, 0 unknown."""

    addresses: dict[str, Address] = {}
    birthday_md: int = 0


def fold(contact: Contact, event: Event, emit: Emit) -> None:  # noqa: ARG001 - a fold's shape
    """Keep the latest of each kind; a value that is not sealed is none."""
    _take(contact, event.traits, event.at)
    _take(contact, event.properties, event.at)
    raw = bytes(event.context)
    if b"enc:v1:" in raw:
        context = orjson.loads(raw)
        _take(contact, context.get("traits"), event.at)
        device = context.get("device")
        if isinstance(device, dict) and "token" in device:
            _take(contact, {"device_token": device["token"]}, event.at)
    day = event.traits.get(BIRTHDAY_MD)
    if isinstance(day, int) and 101 <= day <= 1231:
        contact.birthday_md = day


def _take(contact: Contact, fields: Any, at: int) -> None:
    if not isinstance(fields, dict) or _KIND_OF.keys().isdisjoint(fields):
        return
    for name, kind in _KIND_OF.items():
        token = fields.get(name)
        if isinstance(token, str) and TOKEN.fullmatch(token) and len(token) <= TOKEN_MAX:
            known = contact.addresses.get(kind)
            if known is None or at >= known.at:
                contact.addresses[kind] = Address(at, token)


def merge(mine: Contact, theirs: Contact) -> Contact:
    """The later address of each kind; the known user's where both were told at once."""
    united = Contact(dict(mine.addresses), mine.birthday_md or theirs.birthday_md)
    for kind, address in theirs.addresses.items():
        known = united.addresses.get(kind)
        if known is None or address.at > known.at:
            united.addresses[kind] = address
    return united


def _has(kind: str, what: str) -> Feature:
    return Feature(
        name=f"contact.{kind}",
        type="flag",
        unit="yes or no",
        doc=f"Whether {what} of his is known; the {kind} itself is sealed.",
        read=lambda contact, now: kind in contact.addresses,  # noqa: ARG005 - a reader's shape
    )


FACET: Final = Facet(
    name="contact",
    version=1,
    state=Contact,
    doc="Whether and how he can be reached; addresses are sealed under a key of his own.",
    events=frozenset(
        (
            *("Identified", "Signed Up", "Signed In", "Application Opened"),
            *("Order Placed", "Order Completed", "Order Paid"),
        )
    ),
    fold=fold,
    merge=merge,
    features=(
        _has("email", "an e-mail address"),
        _has("phone", "a phone number"),
        _has("push", "a push token"),
        _has("openid", "a WeChat openid"),
        number(
            "contact.birthday_md",
            "month x 100 + day",
            "His birthday's month and day, 504 for 4 May; missing when it is not known.",
            lambda contact, _: contact.birthday_md or float("nan"),
        ),
    ),
)
