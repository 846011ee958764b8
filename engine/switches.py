"""The kill switch: what is stopped at once, whatever the rule files say.

Must live here: what may be killed and whether something is, the text that says it. Must not: IO
(switching.py sets it), the gate (gates.py), the send (sinks/). What is wanted stands in Redis; each
shard's owner appends it to its log when it differs from what the shard knows, so a replay stops at
the same record. The send asks what stands in Redis itself: there it holds at once.

    laike:kill:wanted   a JSON list of "*", "rule:<name>", "purpose:<name>"; "[]" for nothing
"""

import json
from collections.abc import Collection, Iterable
from typing import Final

WANTED: Final = "laike:kill:wanted"
EVERYTHING: Final = "*"


def read(text: str | bytes | None) -> tuple[str, ...]:
    """What a text says is killed.

    >>> read('["rule:cart-rescue"]'), read(None)
    (('rule:cart-rescue',), ())
    """
    return tuple(json.loads(text)) if text else ()


def text_of(killed: Iterable[str]) -> str:
    """The one text for a set of things killed."""
    return json.dumps(sorted(set(killed)), ensure_ascii=False)


def is_killed(killed: Collection[str], rule: str, purpose: str) -> bool:
    """Whether what this rule decides must not be done.

    >>> is_killed(("purpose:marketing",), "win-back", "marketing")
    True
    """
    if not killed:
        return False
    return not {EVERYTHING, f"rule:{rule}", f"purpose:{purpose}"}.isdisjoint(killed)
