"""What a customer's own words say: laid beside the text before anything reads the event.

Must live here: which properties a text is given, and the example that it is to learn from. Must
not: models (features/models), complaints at a merchant (complaints.py).

    sentiment   how likely it is a good one, 0 to 1; missing while no model can tell
    topics      what it is about; by the shop's seed words alone while there is no model

What the sender says of either himself, in that form, is kept. A contact that somebody wrote into
the text is blanked in it here, before rules, rows, examples and merchants see it.
"""

from typing import Any, Final

from msgspec.structs import replace

from engine.effects import Effects, Moment
from engine.telling import blanked
from features.events import Event
from features.models.reviews import MODEL, TEXT_MAX, label, topics_of
from features.vocabulary import REVIEWED, SAYING

__all__ = ["SAYING", "read", "teach"]
_BLANKED_MAX: Final = 4 * TEXT_MAX  # beyond it nothing is read


def read(event: Event, moment: Moment) -> Event:
    """The event with what its text says; one without a text is as it was."""
    text = event.properties.get("text")
    if not isinstance(text, str) or not text.strip():
        return event
    text = blanked(text[:_BLANKED_MAX])
    said: dict[str, Any] = {"text": text}
    scorer = moment.models.get(MODEL)
    if scorer is None:
        found = topics_of(text)
    else:
        sentiment, found = scorer.read(text)
        if not isinstance(event.properties.get("sentiment"), int | float):
            said["sentiment"] = sentiment
    if not isinstance(event.properties.get("topics"), list):
        said["topics"] = found
    return replace(event, properties={**event.properties, **said})


def teach(cid: str, event: Event, effects: Effects) -> None:
    """A review with stars that say good or bad is an example, with its text."""
    given = event.properties
    stars, text = given.get("rating"), given.get("text")
    if event.name != REVIEWED or stars is None or not text:
        return
    told = label(stars)
    if told is not None:
        effects.examples.append({
            "model": MODEL, "cid": cid, "at": event.at, "text": text[:TEXT_MAX], "label": told,
        })  # fmt: skip
