"""Surveys: how he answered, each answer as a row of `survey_facts`; NPS and CSAT.

NPS asks from 0 to 10 whether he would recommend the shop (9 and 10 promote, 0 to 6 detract); CSAT
asks from 1 to 5 how content he is (4 and 5 are). The shop's figures are the views v_nps and v_csat.
"""

import math
from typing import Final

import msgspec

from features.events import Event
from features.facet import Emit, Facet, Feature, number
from features.fold import COUNT_MAX, days

NPS: Final = "nps"
CSAT: Final = "csat"
PROMOTER: Final = 9.0
PASSIVE: Final = 7.0
HIGHEST: Final = {NPS: 10.0, CSAT: 5.0}


class Surveys(msgspec.Struct, array_like=True):
    """The latest answers by their own time (ms), and the sum of contentments."""

    nps: float | None = None
    nps_at: int = 0
    csat: float | None = None
    csat_at: int = 0
    csat_sum: float = 0.0
    csat_count: int = 0


def fold(surveys: Surveys, event: Event, emit: Emit) -> None:
    """Note the answer; a score that the scale does not have is no answer."""
    given = event.properties
    kind, score = given.get("kind", CSAT).lower(), given.get("score")
    if kind not in HIGHEST or score is None or not 0 <= score <= HIGHEST[kind]:
        return
    emit("survey_facts", {
        "message_id": event.message_id, "at": event.at, "kind": kind, "score": score,
        "ticket_id": given.get("ticket_id", ""), "order_id": given.get("order_id", ""),
        "merchant_id": given.get("merchant_id", ""), "staff_id": given.get("staff_id", ""),
        "channel": given.get("channel") or event.channel,
    })  # fmt: skip
    if kind == NPS:
        if event.at >= surveys.nps_at:
            surveys.nps, surveys.nps_at = score, event.at
        return
    surveys.csat_sum += score
    surveys.csat_count = min(surveys.csat_count + 1, COUNT_MAX)
    if event.at >= surveys.csat_at:
        surveys.csat, surveys.csat_at = score, event.at


def merge(mine: Surveys, theirs: Surveys) -> Surveys:
    """Both one's; of each kind the later answer."""
    nps = theirs if theirs.nps_at > mine.nps_at else mine
    csat = theirs if theirs.csat_at > mine.csat_at else mine
    return Surveys(
        nps.nps,
        nps.nps_at,
        csat.csat,
        csat.csat_at,
        mine.csat_sum + theirs.csat_sum,
        min(mine.csat_count + theirs.csat_count, COUNT_MAX),
    )


def _standing(surveys: Surveys, _now: int) -> str | None:
    if surveys.nps is None:
        return None
    if surveys.nps >= PROMOTER:
        return "promoter"
    return "passive" if surveys.nps >= PASSIVE else "detractor"


FACET: Final = Facet(
    name="surveys",
    version=1,
    state=Surveys,
    doc="His answers to surveys: would he recommend the shop (NPS), is he content (CSAT).",
    events=frozenset({"Survey Answered"}),
    fold=fold,
    merge=merge,
    features=(
        number(
            "surveys.nps",
            "0 to 10",
            "His last answer whether he would recommend the shop; missing when he gave none.",
            lambda s, _: math.nan if s.nps is None else s.nps,
        ),
        Feature(
            name="surveys.nps_standing",
            type="text",
            unit="promoter, passive or detractor",
            doc="What that answer makes him: 9 and 10 promote, 7 and 8 are passive, below detract.",
            read=_standing,
        ),
        number(
            "surveys.nps_days", "days", "Since that answer.", lambda s, now: days(s.nps_at, now)
        ),
        number(
            "surveys.csat",
            "1 to 5",
            "His last answer how content he is; missing when he gave none.",
            lambda s, _: math.nan if s.csat is None else s.csat,
        ),
        number(
            "surveys.csat_average",
            "1 to 5",
            "The mean of those answers; missing when he gave none.",
            lambda s, _: s.csat_sum / s.csat_count if s.csat_count else math.nan,
        ),
    ),
)
