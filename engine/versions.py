"""What a version's bytes are: a book of rules, a model's scorer.

Must live here: reading them. Must not: where they are kept, when they come into force.
"""

import logging
from functools import lru_cache
from typing import Final

import orjson

from features.models.purchase import Scorer
from features.models.snapshot import unpack
from rules.book import Book
from rules.load import book_from_sources

# What a snapshot can be instead of a model: not signed by us (a ValueError), or none of its shape.
_NO_MODEL: Final = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)

log = logging.getLogger("engine.pipeline")


@lru_cache(maxsize=4)
def book_of(body: bytes) -> Book:
    """The rules of a version; the shards of a process share them, they are frozen."""
    return book_from_sources(orjson.loads(body))


def scorer_of(body: bytes, secret: bytes, shard: int, digest: str) -> Scorer | None:
    """The model of a snapshot; a forged or broken one is none, and said."""
    try:
        return Scorer(unpack(body, secret))
    except _NO_MODEL as error:
        log.error("shard %d: model %s refused: %s", shard, digest[:12], error)  # noqa: TRY400
        return None
