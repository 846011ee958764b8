"""Membership: his tier as the shop says it (the trait `tier`), since when, which before.

A browser's key cannot say it. Each change is a move in `segment_moves`, `member.gold`.
"""

from typing import Final

import msgspec

from features.events import Event
from features.facet import Emit, Facet, Feature, number
from features.fold import days, earlier, short
from features.segment_moves import moved
from features.vocabulary import SERVER_ONLY_TRAITS


class Member(msgspec.Struct, array_like=True):
    """Times in ms: since when he is in the tier, of the last word on it, when he joined."""

    tier: str = ""
    since: int = 0
    before: str = ""
    told: int = 0
    joined: int = 0
    moves: int = 0


def fold(member: Member, event: Event, emit: Emit) -> None:
    """Take the latest word on his tier; "" or none says that he has none."""
    if event.name == "Signed Up":
        member.joined = earlier(member.joined, event.at)
    said = next((name for name in sorted(SERVER_ONLY_TRAITS) if name in event.traits), None)
    if said is None or event.at < member.told:
        return
    tier = event.traits[said]
    if tier is not None and not isinstance(tier, str):
        return
    tier, member.told = short((tier or "").strip().lower()), event.at
    if tier != member.tier:
        member.moves = moved("member", member.tier, tier, event.at, member.moves, emit)
        member.before, member.tier, member.since = member.tier, tier, event.at


def merge(mine: Member, theirs: Member) -> Member:
    """The later word; he joined when he joined first."""
    later = theirs if theirs.told > mine.told else mine
    united = msgspec.structs.replace(later)
    united.joined = earlier(mine.joined, theirs.joined)
    united.moves = max(mine.moves, theirs.moves)
    return united


FACET: Final = Facet(
    name="member",
    version=1,
    state=Member,
    doc="His membership: the tier the shop gave him, since when, and when he signed up.",
    events=frozenset({"Identified", "Signed Up", "Signed In"}),
    fold=fold,
    merge=merge,
    features=(
        Feature(
            name="member.tier",
            type="text",
            unit="tier",
            doc="His tier, in small letters, as the shop's own programs told it; missing for none.",
            read=lambda s, _: s.tier or None,
        ),
        Feature(
            name="member.tier_before",
            type="text",
            unit="tier",
            doc="The tier he was in before; missing when he was in none.",
            read=lambda s, _: s.before or None,
        ),
        number(
            "member.tier_since_days",
            "days",
            "Since he is in his tier; missing when he is in none.",
            lambda s, now: days(s.since if s.tier else 0, now),
        ),
        number(
            "member.days_since_joined",
            "days",
            "Since he signed up; missing when that is not known.",
            lambda s, now: days(s.joined, now),
        ),
    ),
)
