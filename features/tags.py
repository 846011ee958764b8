"""Labels and audiences: what decisions put on him, and since when. No event changes them."""

from typing import Final

import msgspec

from features.events import Event
from features.facet import Emit, Facet, Feature
from features.fold import newest, short
from features.segment_moves import moved

NAMES_MAX: Final = 50


class Tags(msgspec.Struct, array_like=True):
    """Name -> since when, ms; the latest 50 of each."""

    labels: dict[str, int] = {}
    audiences: dict[str, int] = {}
    moves: int = 0


def change(
    tags: Tags, kind: str, add: tuple[str, ...], remove: tuple[str, ...], at: int, emit: Emit
) -> None:
    """Put on and take off, `kind` being tag or audience; the one on for longest makes room."""
    held = tags.labels if kind == "tag" else tags.audiences
    for name in map(short, remove):
        if held.pop(name, 0):
            tags.moves = moved(kind, name, "", at, tags.moves, emit)
    for name in map(short, add):
        if name not in held:
            held[name] = at
            tags.moves = moved(kind, "", name, at, tags.moves, emit)
    while len(held) > NAMES_MAX:
        oldest = min(held, key=lambda one: (held[one], one))
        del held[oldest]
        tags.moves = moved(kind, oldest, "", at, tags.moves, emit)


def fold(tags: Tags, event: Event, emit: Emit) -> None:
    """Decisions alone change them."""


def merge(mine: Tags, theirs: Tags) -> Tags:
    """What either has, since the earlier time."""
    united = Tags({}, {}, max(mine.moves, theirs.moves))
    for ours, one, other in (
        (united.labels, mine.labels, theirs.labels),
        (united.audiences, mine.audiences, theirs.audiences),
    ):
        for name in {**one, **other}:
            ours[name] = min(side[name] for side in (one, other) if name in side)
        for name in newest(ours.items(), len(ours))[NAMES_MAX:]:
            del ours[name]
    return united


FACET: Final = Facet(
    name="tags",
    version=1,
    state=Tags,
    doc="Labels and advertising audiences that decisions put on him.",
    events=frozenset(),
    fold=fold,
    merge=merge,
    features=(
        Feature(
            name="tags.labels",
            type="list",
            unit="labels",
            doc="His labels, the latest first; missing when he has none.",
            read=lambda s, _: newest(s.labels.items(), NAMES_MAX) or None,
        ),
        Feature(
            name="tags.audiences",
            type="list",
            unit="audiences",
            doc="The audiences he is in, the latest first; missing when he is in none.",
            read=lambda s, _: newest(s.audiences.items(), NAMES_MAX) or None,
        ),
    ),
)
