"""What an example says of an action beside its name, in the words of the rule file.

Must live here: one such field of one action, `off: free shipping` or `valid: 48h`. Must not: which
actions are expected (rule_tests.py).
"""

from collections.abc import Mapping
from typing import Any, Final

from rules.values import duration

ENDS: Final = {"valid": "expires_at", "expires": "expires_at", "due": "due_at", "for": "until"}
OFF: Final = {"percent": "{}%", "gift": "gift {}", "free_shipping": "free shipping"}
UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000))
Action = Mapping[str, Any]


def fits(action: Action, name: str, wanted: str, at: int) -> bool:
    """Whether an action decided at `at` (ms) has this."""
    if name in ENDS:
        return bool(action.get(ENDS[name]) == at + duration(wanted))
    has = written(action, name, at)
    return bool(has) and (has == wanted or _number(has) == _number(wanted) is not None)


def written(action: Action, name: str, at: int) -> str:
    """What the action has, as a rule file writes it; "" if it has no such thing.

    >>> written({"off": 10, "off_kind": "percent"}, "off", 0)
    '10%'
    """
    if name == "off" and "off" in action:
        return OFF.get(action.get("off_kind", ""), "{}").format(action["off"])
    if end := action.get(ENDS.get(name, "")):
        return offset(end - at)
    value = action.get("channel" if name == "via" else name)
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def offset(milliseconds: int) -> str:
    """A time after the start as an example writes it.

    >>> offset(89_400_000), offset(3_600_000)
    ('1490m', '1h')
    """
    for unit, size in UNITS:
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds / 1_000:g}s"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
