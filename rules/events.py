"""Event names in a rule: checked for slips, and the two names of a payment made one.

Must live here: names. Must not: what a rule does with them.
"""

from collections.abc import Iterable
from difflib import get_close_matches

from features.vocabulary import NAMES
from rules.document import Node, Text
from rules.errors import BadText, full_width
from rules.model import PAID
from rules.reading import Reader

_FOLDED = {"".join(name.lower().split()): name for name in NAMES}


def event_name(reader: Reader, node: Node) -> str:
    """An event's name. Any name is legal; a slip of a known one is not, unless quoted."""
    quoted = isinstance(node, Text) and node.quoted

    def check(text: str) -> str:
        if text in NAMES:
            return text
        if not text.strip() or len(text) > 100:
            raise BadText("an event's name is a text of 1 to 100 characters")
        meant = _slip(text)
        if meant and not quoted:
            raise BadText(
                f"`{text}` is not an event of the vocabulary: did you mean `{meant}`? "
                "(an event of your own with such a name is written in quotes)"
            )
        if full_width(text) and not quoted:
            raise BadText(f"`{text}`: {full_width(text)}")
        return text

    return reader.parse(node, check, "")


def event_names(reader: Reader, node: Node) -> frozenset[str]:
    """One name or a list of them; a payment under both its names."""
    return both_names(event_name(reader, item) for item in reader.some(node))


def both_names(names: Iterable[str]) -> frozenset[str]:
    """The names, and the other name of a payment if one of them is one."""
    found = frozenset(names)
    return found | PAID if found & PAID else found


def _slip(text: str) -> str:
    folded = "".join(text.lower().replace("_", " ").split())
    if folded in _FOLDED:
        return _FOLDED[folded]
    close = get_close_matches(text, NAMES, n=1, cutoff=0.9)
    return close[0] if close else ""
