"""Searches: the last 10 keywords, how often and how lately each was asked for.

Keywords are folded to lower case and single spaces; a count loses half its weight in 7 days.
"""

from typing import Final

import msgspec

from features.events import Event
from features.facet import Emit, Facet, Feature, number
from features.fold import DAY_MS, days, decayed, newest, short

KEYWORDS_MAX: Final = 10
HALF_LIFE_MS: Final = 7 * DAY_MS


class Keyword(msgspec.Struct, array_like=True, gc=False):
    """How often it was searched while remembered, and when last."""

    count: int = 0
    last: int = 0


class Searches(msgspec.Struct, array_like=True):
    """All searches counted; the latest keywords."""

    count: int = 0
    keywords: dict[str, Keyword] = {}


def fold(searches: Searches, event: Event, emit: Emit) -> None:  # noqa: ARG001 - a fold's shape
    """Count the keyword; the one not searched for longest makes room."""
    query = " ".join(str(event.properties.get("query", "")).split()).casefold()
    if not query:
        return
    searches.count += 1
    keyword = searches.keywords.setdefault(short(query), Keyword())
    keyword.count += 1
    keyword.last = max(keyword.last, event.at)
    _trim(searches)


def _trim(searches: Searches) -> None:
    if len(searches.keywords) > KEYWORDS_MAX:
        kept = newest(((k, v.last) for k, v in searches.keywords.items()), KEYWORDS_MAX)
        searches.keywords = {name: searches.keywords[name] for name in kept}


def merge(mine: Searches, theirs: Searches) -> Searches:
    """The keywords of both, counts summed."""
    united = Searches(mine.count + theirs.count)
    for side in (mine, theirs):
        for name, keyword in side.keywords.items():
            known = united.keywords.setdefault(name, Keyword())
            known.count += keyword.count
            known.last = max(known.last, keyword.last)
    _trim(united)
    return united


def recent(searches: Searches, now: int) -> list[str] | None:  # noqa: ARG001 - a reader's shape
    """Keywords, the latest first; None before the first."""
    found = newest(((k, v.last) for k, v in searches.keywords.items()), KEYWORDS_MAX)
    return found or None


def last(searches: Searches, now: int) -> str | None:
    """The latest keyword."""
    found = recent(searches, now)
    return found[0] if found else None


def top(searches: Searches, now: int) -> str | None:
    """The keyword with the most weight, after decay; ties by name."""
    weights = {
        name: decayed(keyword.count, keyword.last, now, HALF_LIFE_MS)
        for name, keyword in searches.keywords.items()
    }
    return min(weights, key=lambda name: (-weights[name], name)) if weights else None


def days_since_last(searches: Searches, now: int) -> float:
    """Since the latest search; nan before the first."""
    return days(max((keyword.last for keyword in searches.keywords.values()), default=0), now)


FACET: Final = Facet(
    name="searches",
    version=1,
    state=Searches,
    doc="The last 10 search keywords, with counts that decay.",
    events=frozenset({"Products Searched"}),
    fold=fold,
    merge=merge,
    features=(
        number("searches.count", "searches", "Searches, ever.", lambda s, _: s.count),
        Feature(
            name="searches.last",
            type="text",
            unit="keyword",
            doc="What he searched for last, in lower case; missing before the first search.",
            read=last,
        ),
        Feature(
            name="searches.top",
            type="text",
            unit="keyword",
            doc="What he searches for most; a search counts half after 7 days.",
            read=top,
        ),
        Feature(
            name="searches.recent",
            type="list",
            unit="keywords",
            doc="The last 10 keywords, the latest first.",
            read=recent,
        ),
        number(
            "searches.days_since_last",
            "days",
            "Since his last search; missing before the first.",
            days_since_last,
        ),
    ),
)
