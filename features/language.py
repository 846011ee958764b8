"""Language: which one he reads, as his apps and his own profile tell it."""

from typing import Any, Final

import msgspec
import orjson

from features.events import Event
from features.facet import Emit, Facet, Feature
from features.fold import later

_NAMES: Final = ("language", "locale", "lang")
_LENGTH_MAX: Final = 8


class Language(msgspec.Struct, array_like=True):
    """The first part of the latest tag, such as zh of zh-CN, and when it was told (ms)."""

    code: str = ""
    at: int = 0


def fold(language: Language, event: Event, emit: Emit) -> None:  # noqa: ARG001 - a fold's shape
    """Take the latest: his own word in traits or properties, else his app's in context."""
    if event.at < language.at:
        return
    code = _told(event.traits) or _told(event.properties)
    raw = bytes(event.context)
    if not code and b'"locale"' in raw:
        code = _told(orjson.loads(raw))
    if code:
        language.code, language.at = code, event.at


def _told(fields: Any) -> str:
    """The language of the first field that tells one.

    >>> _told({"locale": "zh-CN"}), _told({"language": "EN_us"}), _told({"lang": "汉语"})
    ('zh', 'en', '')
    """
    for name in _NAMES if fields and isinstance(fields, dict) else ():
        value = fields.get(name)
        code = value.replace("_", "-").partition("-")[0].lower() if isinstance(value, str) else ""
        if code.isascii() and code.isalpha() and len(code) <= _LENGTH_MAX:
            return code
    return ""


FACET: Final = Facet(
    name="language",
    version=1,
    state=Language,
    doc="The language he reads, for the words of messages and pages.",
    events=frozenset(("Identified", "Signed Up", "Signed In", "Consent Updated")),
    fold=fold,
    merge=later,
    features=(
        Feature(
            name="language.code",
            type="text",
            unit="zh, en",
            doc="The language he reads, by its short name; missing when nobody told.",
            read=lambda language, now: language.code or None,  # noqa: ARG005 - a reader's shape
        ),
    ),
)
