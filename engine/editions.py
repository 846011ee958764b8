"""A rule that was edited while customers are inside: by which edition each of them goes on.

Must live here: which editions a shard keeps, the one that an instance goes by, how it moves to
another. Must not: IO, reading them (versions.py). A rule's `version` is a hash of what it does.
With `in_flight: finish` who is inside goes on by the edition he entered: the shard remembers which
book that was in, and reads it again whenever it is opened. With `move`, or where the old one cannot
be had, he goes on by the new one from the wait of the same place; its place is gone: he is out,
`held: edited`. What the file says now decides, and its status holds for all editions.
"""

from collections.abc import Mapping
from typing import Final

from engine.journal import Instance
from rules.book import Book
from rules.model import Rule, Wait

HELD: Final = "edited"
FINISH: Final = "finish"
EDITIONS_MAX: Final = 64  # old ones that a shard keeps; the one left longest ago goes


def going_by(book: Book, instance: Instance) -> Rule | None:
    """The rule as this instance goes by it, which may move it; None when there is none any more."""
    rule = book.rules.get(instance.rule)
    if rule is None or instance.version in {"", rule.version}:
        return rule
    if rule.in_flight == FINISH:
        old = book.past.get((instance.rule, instance.version))
        if old is not None:
            return old
    instance.left, instance.version = instance.version, rule.version
    if not instance.gift:
        instance.step = _step(rule, instance.place)
    return rule


def _step(rule: Rule, place: str) -> int:
    """The index of the wait at a place; past the end when there is none now."""
    if not place:
        return -1
    places = (
        at for at, one in enumerate(rule.steps) if isinstance(one, Wait) and one.step == place
    )
    return next(places, len(rule.steps))


def is_out(rule: Rule, instance: Instance) -> bool:
    """Whether the place it waited at is no more."""
    return bool(instance.left) and not instance.gift and instance.step >= len(rule.steps)


def kept(before: Book, after: Book, past: Mapping[str, str]) -> dict[str, str]:
    """The old editions to keep from a new book on: `rule@version` -> the book each is in."""
    found = {key: digest for key, digest in past.items() if _is_past(after, *parts(key))}
    for rule in before.rules.values():
        if _is_past(after, rule.name, rule.version):
            key = f"{rule.name}@{rule.version}"
            found.pop(key, None)
            found[key] = before.hash
    while len(found) > EDITIONS_MAX:
        del found[next(iter(found))]
    return found


def parts(key: str) -> tuple[str, str]:
    """A rule's name and version."""
    name, _, version = key.rpartition("@")
    return name, version


def _is_past(book: Book, name: str, version: str) -> bool:
    rule = book.rules.get(name)
    return rule is not None and rule.version != version and rule.in_flight == FINISH
