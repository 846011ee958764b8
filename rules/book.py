"""The book: all rules of one version, indexed by what the engine asks for on every event.

Must live here: the indexes and the hash. Must not: parsing, files.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from features.catalog import REGISTRY
from features.vocabulary import NOT_BY_CUSTOMER
from rules.model import (
    PAID,
    Act,
    Coupon,
    CrossesTrigger,
    DueTrigger,
    Emit,
    EventTrigger,
    Holder,
    InactiveTrigger,
    ItemTrigger,
    Notify,
    Offer,
    Points,
    RequestTrigger,
    Rule,
    Segment,
    SequenceTrigger,
    Shop,
    Trigger,
    Wait,
)
from rules.reads import expressions
from rules.sieve import Sieve
from rules.standing import ages, touched, version
from rules.subjects import ALL_FIELDS, SUBJECTS, Ids, Source, ids_of
from rules.templates import Templates
from rules.values import Constant

NAMES_MAX = 4_096  # of events whose hearers are remembered: senders may invent any number


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


def _breaks(rule: Rule, names: frozenset[str]) -> bool:
    """Whether an event of these names is one whose absence the rule waits for."""
    trigger = rule.trigger
    if not isinstance(trigger, InactiveTrigger):
        return False
    if trigger.of is None:
        return names.isdisjoint(NOT_BY_CUSTOMER)
    return not trigger.of.isdisjoint(names)


def _silence(rule: Rule) -> int:
    """How long a silence the rule asks for (ms), where that is written; else 0."""
    silence = rule.trigger.for_ms if isinstance(rule.trigger, InactiveTrigger) else None
    return int(silence.value) if isinstance(silence, Constant) else 0


def _links(rule: Rule) -> frozenset[str]:
    """The events that a sequence hears: its links, and what must stay away."""
    trigger = rule.trigger
    if not isinstance(trigger, SequenceTrigger):
        return frozenset()
    away = trigger.then_not.names if trigger.then_not else frozenset()
    return away.union(*(link.names for link in trigger.steps))


def _reads(rule: Rule) -> tuple[frozenset[str], frozenset[str]]:
    """What the length of its silence is read from: features, and names laid over."""
    trigger = rule.trigger
    found = list(expressions(trigger.for_ms)) if isinstance(trigger, InactiveTrigger) else []
    features = frozenset[str]().union(*(one.features for one in found))
    return features, frozenset[str]().union(*(one.laid for one in found))


def _resizes(rule: Rule, names: frozenset[str]) -> bool:
    """Whether events of these names may change how long a silence the rule asks for."""
    features, laid = _reads(rule)
    facets = {feature.partition(".")[0] for feature in features}
    folds = (name for event in names for name, _ in REGISTRY.folds(event))
    return bool(laid) or not facets.isdisjoint(folds)


Told = tuple[str, str, Source]  # kind of thing, field, what tells it


@dataclass(frozen=True, slots=True)
class Ears:
    """Who hears an event: rules whose silence it breaks, open instances, what else it may move."""

    names: frozenset[str]  # the event's own, and the other name of the same fact
    silenced: tuple[Rule, ...]
    watchers: frozenset[str]  # rules whose open instances it may touch
    ids: Ids  # of what those are once per: the only ids of it that they ask for
    followed: tuple[Rule, ...] = ()  # rules with a sequence that it may be a link of, or break
    reached: tuple[Rule, ...] = ()  # rules about an item that it may reach the holders of
    told: tuple[Told, ...] = ()  # fields that rules read and this event may tell
    dated: tuple[Rule, ...] = ()  # rules whose date it may move
    sorts: tuple[Segment, ...] = ()  # segments it may move him into or out of
    crossing: tuple[Rule, ...] = ()  # rules whose number it may change
    held: frozenset[Holder] = frozenset()  # holders that it adds to what no facet keeps
    sieve: Sieve | None = None  # says which rules it may trigger
    broken: tuple[str, ...] = ()  # of `silenced`, the names of those whose silence is written
    broken_ms: int = 0  # the shortest of their silences
    resized: tuple[Rule, ...] = ()  # rules whose silence it may make longer or shorter


_HELD: Final[Mapping[Holder, frozenset[str]]] = {
    "bought": PAID,
    "cart": frozenset({"Product Added"}),
    "viewed": frozenset({"Live Stream Joined"}),
}


def _others(rule: Rule) -> frozenset[str]:
    """What tells who else the rule gives to: fields of a referral, the merchant of its subject."""
    given = {
        action.to
        for step in rule.steps
        if isinstance(step, Act)
        for action in step.actions
        if isinstance(action, Coupon | Notify | Points | Emit)
    } - {"customer"}
    return frozenset(
        f"{rule.once_per}.merchant_id" if to == "merchant" else f"referral.{to}" for to in given
    )


def _tells(read: frozenset[str]) -> tuple[Told, ...]:
    """What tells the fields among these names."""
    return tuple(
        (kind, field_name, source)
        for kind, subject in SUBJECTS.items()
        for field_name, known in subject.fields.items()
        if f"{kind}.{field_name}" in read
        for source in known.sources
    )


def _moves(rule: Rule, names: frozenset[str]) -> bool:
    """Whether events of these names may move the date that a rule is due at."""
    trigger = rule.trigger
    if not isinstance(trigger, DueTrigger):
        return False
    if trigger.date.subject:
        known = ALL_FIELDS[trigger.date.name]
        return any(not source.events.isdisjoint(names) for source in known.sources)
    facets = {feature.partition(".")[0] for feature in trigger.date.read.features}
    return any(name in facets for event in names for name, _ in REGISTRY.folds(event))


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
    segments: Mapping[str, Segment] = field(default_factory=dict)
    templates: Templates = field(default_factory=Templates, compare=False, repr=False)
    by_kind: Mapping[type[Trigger], tuple[Rule, ...]] = field(default_factory=dict)
    requests: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)  # by placement
    tells: tuple[Told, ...] = ()  # fields of things that its rules read
    holders: frozenset[Holder] = frozenset()  # where items are held that its rules are about
    standing: str = ""  # the version of its segments and crossed levels; "" when it has none
    ageing: tuple[Segment | Rule, ...] = ()  # those of them that time alone may change
    silences: Mapping[str, int] = field(
        default_factory=dict
    )  # of rules where they are written (ms)
    laid_silences: frozenset[str] = frozenset()  # rules whose silence is read from names laid over
    past: Mapping[tuple[str, str], Rule] = field(default_factory=dict)  # old editions in use
    _ears: dict[str, Ears | None] = field(default_factory=dict, compare=False, repr=False)

    def ears(self, name: str) -> Ears | None:
        """Who hears an event of this name; None when nobody does. Asked for every event."""
        try:
            return self._ears[name]
        except KeyError:
            if len(self._ears) >= NAMES_MAX:
                self._ears.clear()
            found = self._ears[name] = self._listen(name)
            return found

    def _listen(self, name: str) -> Ears | None:
        names = PAID if name in PAID else frozenset((name,))
        triggered = self.by_event.get(name, ())
        silenced = tuple(rule for rule in self.inactive if _breaks(rule, names))
        written = {rule.name: ms for rule in silenced if (ms := self.silences.get(rule.name))}
        watchers: tuple[Rule, ...] = ()
        if not self.watched.isdisjoint(names):
            waiting = (
                rule
                for rule in (*self.rules.values(), *self.past.values())
                if rule.status != "draft"
            )
            watchers = tuple(r for r in waiting if not watched_names(r).isdisjoint(names))
        followed = tuple(
            rule for rule in self.of_kind(SequenceTrigger) if not _links(rule).isdisjoint(names)
        )
        reached = tuple(
            rule
            for rule in self.of_kind(ItemTrigger)
            if isinstance(rule.trigger, ItemTrigger) and name in rule.trigger.names
        )
        told = tuple(one for one in self.tells if not one[2].events.isdisjoint(names))
        dated = tuple(rule for rule in self.of_kind(DueTrigger) if _moves(rule, names))
        sorts = tuple(one for one in self.segments.values() if touched(one, names))
        crossing = tuple(rule for rule in self.of_kind(CrossesTrigger) if touched(rule, names))
        held = frozenset(one for one in self.holders & _HELD.keys() if name in _HELD[one])
        looked = (rule for rule in self.inactive if rule.name not in self.silences)
        resized = tuple(rule for rule in looked if _resizes(rule, names))
        heard = (
            *(triggered, silenced, watchers, followed, reached, told, dated, sorts, crossing),
            *(held, resized),
        )
        if not any(heard):
            return None
        return Ears(
            names, silenced,
            frozenset(rule.name for rule in watchers),
            ids_of(frozenset(rule.once_per for rule in watchers)),
            followed, reached, told, dated, sorts, crossing, held,
            Sieve(triggered) if triggered else None,
            tuple(written), min(written.values(), default=0), resized,
        )  # fmt: skip

    def of_kind(self, kind: type[Trigger]) -> tuple[Rule, ...]:
        """The rules that can fire whose trigger is of this kind; higher priority first."""
        return self.by_kind.get(kind, ())

    @classmethod
    def of(
        cls,
        rules: Mapping[str, Rule],
        shop: Shop,
        offers: Mapping[str, Offer],
        sources: Mapping[str, str],
        segments: Mapping[str, Segment] | None = None,
        templates: Templates | None = None,
    ) -> "Book":
        """Index the rules. Paused rules start nothing, but what waits may still be stopped."""
        firing = sorted(
            (rule for rule in rules.values() if rule.status in {"live", "shadow"}),
            key=lambda rule: (-rule.priority, rule.name),
        )
        by_event: dict[str, list[Rule]] = {}
        by_kind: dict[type[Trigger], list[Rule]] = {}
        requests: dict[str, list[Rule]] = {}
        for rule in firing:
            if isinstance(rule.trigger, EventTrigger):
                for name in rule.trigger.names:
                    by_event.setdefault(name, []).append(rule)
            by_kind.setdefault(type(rule.trigger), []).append(rule)
            if isinstance(rule.trigger, RequestTrigger):
                requests.setdefault(rule.trigger.placement, []).append(rule)
        waiting = [rule for rule in rules.values() if rule.status != "draft"]
        segments = segments or {}
        crossing = by_kind.get(CrossesTrigger, [])
        standings: list[Segment | Rule] = [*segments.values(), *crossing]
        return cls(
            rules=dict(sorted(rules.items())),
            by_event={name: tuple(found) for name, found in sorted(by_event.items())},
            inactive=tuple(rule for rule in firing if isinstance(rule.trigger, InactiveTrigger)),
            watched=frozenset().union(*(watched_names(rule) for rule in waiting)),
            hash=sources_hash(sources),
            laid_silences=frozenset(rule.name for rule in firing if _reads(rule)[1]),
            silences={rule.name: ms for rule in firing if (ms := _silence(rule))},
            shop=shop,
            offers=offers,
            sources=sources,
            segments=segments,
            templates=templates or Templates(shop),
            by_kind={kind: tuple(found) for kind, found in by_kind.items()},
            requests={name: tuple(found) for name, found in requests.items()},
            tells=_tells(frozenset().union(*(rule.laid | _others(rule) for rule in waiting))),
            holders=frozenset().union(
                *(rule.trigger.held_in for rule in firing if isinstance(rule.trigger, ItemTrigger))
            ),
            standing=version(segments, crossing, sources, shop.timezone),
            ageing=tuple(one for one in standings if ages(one)),
        )

    def beside(self, past: Mapping[tuple[str, str], Rule]) -> "Book":
        """The same with old editions of its rules, by name and version: open instances hear."""
        waiting = past.values()
        tells = _tells(frozenset().union(*(rule.laid | _others(rule) for rule in waiting)))
        return replace(
            self,
            past=past,
            watched=self.watched.union(*(watched_names(rule) for rule in waiting)),
            tells=(*self.tells, *(one for one in tells if one not in self.tells)),
            _ears={},
        )

    def only(self, name: str) -> "Book":
        """A book of one rule, live: what an example is tried with."""
        rule = replace(self.rules[name], status="live")
        return Book.of(
            {name: rule}, self.shop, self.offers, self.sources, self.segments, self.templates
        )
