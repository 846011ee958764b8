"""The book: all rules of one version, indexed by what the engine asks for on every event.

Must live here: the indexes and the hash. Must not: parsing, files.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rules.model import EventTrigger, InactiveTrigger, Offer, Rule, Shop, Wait


def sources_hash(sources: Mapping[str, str]) -> str:
    """The version of a book: sha256 over its files' names and bytes, in the order of names."""
    digest = hashlib.sha256()
    for name in sorted(sources):
        for part in (name.encode(), sources[name].encode()):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()


def watched_names(rule: Rule) -> frozenset[str]:
    """The events that touch a waiting instance of this rule."""
    names = {stop.event for stop in rule.stop_on}
    for step in rule.steps:
        if isinstance(step, Wait):
            names |= step.since_last | step.events
    return frozenset(names)


@dataclass(frozen=True)
class Book:
    """Rules by name; those that can fire (live or shadow) by event; higher priority first."""

    rules: Mapping[str, Rule]
    by_event: Mapping[str, tuple[Rule, ...]]
    inactive: tuple[Rule, ...]
    watched: frozenset[str]
    hash: str
    shop: Shop
    offers: Mapping[str, Offer] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        rules: Mapping[str, Rule],
        shop: Shop,
        offers: Mapping[str, Offer],
        sources: Mapping[str, str],
    ) -> "Book":
        """Index the rules. Paused rules start nothing, but what waits may still be stopped."""
        firing = sorted(
            (rule for rule in rules.values() if rule.status in {"live", "shadow"}),
            key=lambda rule: (-rule.priority, rule.name),
        )
        by_event: dict[str, list[Rule]] = {}
        for rule in firing:
            if isinstance(rule.trigger, EventTrigger):
                for name in rule.trigger.names:
                    by_event.setdefault(name, []).append(rule)
        waiting = [rule for rule in rules.values() if rule.status != "draft"]
        return cls(
            rules=dict(sorted(rules.items())),
            by_event={name: tuple(found) for name, found in sorted(by_event.items())},
            inactive=tuple(rule for rule in firing if isinstance(rule.trigger, InactiveTrigger)),
            watched=frozenset().union(*(watched_names(rule) for rule in waiting)),
            hash=sources_hash(sources),
            shop=shop,
            offers=offers,
            sources=sources,
        )

    def only(self, name: str) -> "Book":
        """A book of one rule, live: what an example is tried with."""
        rule = replace(self.rules[name], status="live")
        return Book.of({name: rule}, self.shop, self.offers, self.sources)
