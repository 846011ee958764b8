"""Reviews: what he said in them and elsewhere, each as a row of `review_facts`.

A review is a complaint by its stars, else by its text, as far as a model has read it
(engine/said.py lays `sentiment` and `topics` beside the text). The merchants complained of are
kept, so that an erasure finds what they hold of him.
"""

import math
from typing import Final

import msgspec

from features.events import Event
from features.facet import Emit, Facet, number
from features.fold import COUNT_MAX, days, newest, short
from features.models.reviews import TEXT_MAX, label
from features.vocabulary import REVIEWED, SAYING

MERCHANTS_MAX: Final = 100
TOPICS_MAX: Final = 20
SENTIMENT_BAD: Final = 0.2  # below it a text without stars is a complaint


class Reviews(msgspec.Struct, array_like=True):
    """Counts and the latest by its own time (ms); merchant -> when he complained of it last."""

    count: int = 0
    complaints: int = 0
    stars: float = 0.0
    rated: int = 0
    at: int = 0
    rating: float | None = None
    sentiment: float | None = None
    merchants: dict[str, int] = {}


def is_complaint(event: Event) -> bool:
    """Whether it says that something was bad: by stars where there are some, else by the text."""
    given = event.properties
    stars = given.get("rating") if event.name == REVIEWED else None
    if stars is not None:
        return label(stars) == 0
    sentiment = _number(given.get("sentiment"))
    return sentiment is not None and sentiment < SENTIMENT_BAD


def topics(event: Event) -> list[str]:
    """What it is about, as was laid beside it."""
    given = event.properties.get("topics")
    listed = given if isinstance(given, list) else []
    return [one for one in listed if isinstance(one, str)][:TOPICS_MAX]


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    return None


def fold(reviews: Reviews, event: Event, emit: Emit) -> None:
    """Write down what was said; count it if it is a review."""
    given = event.properties
    stars, sentiment = given.get("rating"), _number(given.get("sentiment"))
    if event.name != REVIEWED and not given.get("text"):
        return
    emit("review_facts", {
        "review_id": event.message_id, "event": event.name, "at": event.at,
        "product_id": given.get("product_id", ""), "order_id": given.get("order_id", ""),
        "merchant_id": given.get("merchant_id", ""),
        "channel": given.get("channel") or event.channel,
        "rating": stars, "sentiment": sentiment, "topics": topics(event),
        "complaint": int(is_complaint(event)), "text": given.get("text", "")[:TEXT_MAX],
    })  # fmt: skip
    if is_complaint(event):
        if event.name == REVIEWED:
            reviews.complaints = min(reviews.complaints + 1, COUNT_MAX)
        if merchant := given.get("merchant_id"):
            _note(reviews.merchants, short(merchant), event.at)
    if event.name != REVIEWED:
        return
    reviews.count = min(reviews.count + 1, COUNT_MAX)
    if stars is not None:
        reviews.stars += min(max(stars, 0.0), 5.0)
        reviews.rated = min(reviews.rated + 1, COUNT_MAX)
    if event.at >= reviews.at:
        reviews.at, reviews.rating, reviews.sentiment = event.at, stars, sentiment


def _note(merchants: dict[str, int], name: str, at: int) -> None:
    merchants[name] = max(at, merchants.get(name, 0))
    while len(merchants) > MERCHANTS_MAX:
        del merchants[newest(merchants.items(), MERCHANTS_MAX + 1)[-1]]


def merge(mine: Reviews, theirs: Reviews) -> Reviews:
    """Both one's; the later of the two that were last."""
    last = theirs if theirs.at > mine.at else mine
    united = Reviews(
        min(mine.count + theirs.count, COUNT_MAX),
        min(mine.complaints + theirs.complaints, COUNT_MAX),
        mine.stars + theirs.stars,
        min(mine.rated + theirs.rated, COUNT_MAX),
        last.at,
        last.rating,
        last.sentiment,
        dict(mine.merchants),
    )
    for name, at in theirs.merchants.items():
        _note(united.merchants, name, at)
    return united


FACET: Final = Facet(
    name="reviews",
    version=1,
    state=Reviews,
    doc="What he wrote of products: reviews and complaints, the last one's stars and tone.",
    events=SAYING,
    fold=fold,
    merge=merge,
    features=(
        number("reviews.count", "reviews", "Reviews he wrote, ever.", lambda s, _: s.count),
        number(
            "reviews.complaints",
            "reviews",
            "Reviews of two stars or fewer, or without stars and with the tone of a complaint.",
            lambda s, _: s.complaints,
        ),
        number(
            "reviews.average_rating",
            "stars",
            "The mean of the stars he gave; missing when he gave none.",
            lambda s, _: s.stars / s.rated if s.rated else math.nan,
        ),
        number(
            "reviews.last_rating",
            "stars",
            "The stars of his last review; missing when it has none.",
            lambda s, _: math.nan if s.rating is None else s.rating,
        ),
        number(
            "reviews.last_sentiment",
            "0 to 1",
            "How likely his last review's text is a good one; missing until a model reads it.",
            lambda s, _: math.nan if s.sentiment is None else s.sentiment,
        ),
        number(
            "reviews.days_since_last",
            "days",
            "Since his last review; missing when he wrote none.",
            lambda s, now: days(s.at, now),
        ),
    ),
)
