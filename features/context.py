"""Where an event came from: channel, device and session, read from what SDKs send beside it.

Must live here: the guesses. Must not: refusals; a strange context never costs an event.
"""

from collections.abc import Mapping
from typing import Any, Final

from features.vocabulary import OTHER_CHANNEL_PREFIXES

WORD_LENGTH_MAX: Final = 32

# Parts of `context.library.name`, in the order they are looked for.
_LIBRARIES: Final = (
    ("wechat", "wechat"),
    ("miniprogram", "wechat"),
    ("mini-program", "wechat"),
    ("ios", "app"),
    ("android", "app"),
    ("swift", "app"),
    ("kotlin", "app"),
    ("flutter", "app"),
    ("react-native", "app"),
    ("unity", "app"),
    ("analytics.js", "web"),
    ("analytics-next", "web"),
    ("javascript", "web"),
    ("browser", "web"),
    ("amp", "web"),
    ("python", "server"),
    ("node", "server"),
    ("ruby", "server"),
    ("java", "server"),
    ("-go", "server"),
    ("php", "server"),
    (".net", "server"),
    ("rust", "server"),
    ("http", "server"),
)
_SAME: Final = {"mobile": "app", "wx": "wechat", "weixin": "wechat", "sources": "server"}


def _word(value: object) -> str:
    """A short lower-case word, or nothing."""
    if not isinstance(value, str) or len(value) > WORD_LENGTH_MAX or not value.isprintable():
        return ""
    return value.strip().lower()


def _inner(context: Mapping[str, Any], name: str, field: str) -> str:
    part = context.get(name)
    return _word(part.get(field)) if isinstance(part, Mapping) else ""


def channel(
    item: Mapping[str, Any], context: Mapping[str, Any], properties: Mapping[str, Any], name: str
) -> str:
    """`web`, `app`, `wechat`, `server` or the word the sender gave; empty when nothing tells.

    >>> channel({}, {"library": {"name": "analytics-python"}}, {}, "Product Viewed")
    'server'
    """
    said = _word(context.get("channel"))
    if not said and not name.startswith(OTHER_CHANNEL_PREFIXES):
        said = _word(properties.get("channel"))
    said = said or _word(item.get("channel"))
    if said:
        return _SAME.get(said, said)
    agent = context.get("userAgent")
    agent = agent if isinstance(agent, str) else ""
    if "MicroMessenger" in agent:
        return "wechat"
    library = _inner(context, "library", "name")
    for part, where in _LIBRARIES:
        if part in library:
            return where
    if context.get("app") or _inner(context, "device", "type") in {"ios", "android"}:
        return "app"
    return "web" if agent or context.get("page") else ""


def device(context: Mapping[str, Any]) -> str:
    """`ios`, `android`, `tablet`, `mobile`, `desktop` or the sender's word; empty if unknown."""
    said = _inner(context, "device", "type")
    if said:
        return said
    agent = context.get("userAgent")
    if not isinstance(agent, str) or not agent:
        return ""
    for part, kind in (
        ("iPad", "tablet"),
        ("Tablet", "tablet"),
        ("iPhone", "ios"),
        ("Android", "android"),
        ("Mobi", "mobile"),
        ("Mozilla", "desktop"),
    ):
        if part in agent:
            return kind
    return ""


def session(context: Mapping[str, Any], properties: Mapping[str, Any]) -> str:
    """The sender's session id; empty when it keeps none."""
    said = properties.get("session_id") or context.get("sessionId")
    if isinstance(said, bool) or not isinstance(said, str | int):
        return ""
    return str(said)[:200]
