"""What a review says: how likely it is a good one (0 to 1), and which topics it is about.

Must live here: a text's features, and the scorer made of plain weights. Must not: learning
(reviews_learner.py). A text is runs of one to three units (topics.py: a Chinese character or a
word), hashed into 2^17 slots, each counted once; so one reader does for Chinese and English, and no
dictionary of words is loaded where decisions are made.
"""

import base64
import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from features.models.topics import TOPICS, Lexicon, units

MODEL: Final = "reviews"
BITS: Final = 17  # 2^18 foretell 2 in 1,000 better, and take twice the room everywhere
TEXT_MAX: Final = 500  # characters of a text that are read
GOOD: Final = 4.0  # stars of a good review, and of a complaint
BAD: Final = 2.0
RUNS: Final = 3
BIAS: Final = 0  # the slot that every text has
_SPREAD: Final = np.uint32(0x85EBCA6B)  # MurmurHash3's constants
_MIX: Final = np.uint32(0xC2B2AE35)
_UNKNOWN: Final = Lexicon()

Slots = npt.NDArray[np.intp]


def slots(found: Sequence[str]) -> Slots:
    """The slots of a text's units, sorted, each once."""
    named = _slots(np.concatenate(_runs(found)))
    return np.unique(np.append(named, BIAS))


def run_of(found: Sequence[str]) -> Slots:
    """The one slot of the run that these units are; of more than RUNS of them, of the last."""
    return _slots(_runs(found[-RUNS:])[-1])


def _runs(found: Sequence[str]) -> list[npt.NDArray[np.uint32]]:
    codes = np.array([zlib.crc32(unit.encode()) for unit in found], np.uint32) * _SPREAD
    run, runs = codes, [codes]
    for length in range(1, min(RUNS, len(codes))):
        run = (run[:-1] ^ (run[:-1] >> np.uint32(15))) * _MIX + codes[length:]
        runs.append(run)
    return runs


def _slots(codes: npt.NDArray[np.uint32]) -> Slots:
    mixed = (codes ^ (codes >> np.uint32(16))) * _MIX
    mixed ^= mixed >> np.uint32(13)
    return (mixed >> np.uint32(32 - BITS)).astype(np.intp)


def label(rating: float) -> int | None:
    """What the stars say: 1 good, 0 a complaint, None neither.

    >>> [label(stars) for stars in (1, 2, 3, 4, 5)]
    [0, 0, None, 1, 1]
    """
    return 1 if rating >= GOOD else 0 if rating <= BAD else None


def sigmoid(logit: float) -> float:
    """The probability of a logit."""
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, logit))))


class Scorer:
    """The weights as the learner published them; exact sums, so that every machine agrees."""

    def __init__(self, weights: Mapping[str, Any]) -> None:
        if weights.get("model") != MODEL or weights.get("bits") != BITS:
            raise ValueError(f"expected the weights of {MODEL!r} in 2^{BITS} slots")
        packed = zlib.decompress(base64.b64decode(weights["vector"]))
        vector = np.frombuffer(packed, np.float16)
        if vector.shape != (1 << BITS,) or not np.isfinite(vector).all():
            raise ValueError(f"vector: expected 2^{BITS} finite numbers")
        self._vector = vector.astype(np.float32)
        learned: Mapping[str, str] = weights["words"]
        if not set(learned.values()) <= set(TOPICS):
            raise ValueError(f"words: expected topics out of {', '.join(TOPICS)}")
        self._lexicon = Lexicon(learned)

    def read(self, text: str) -> tuple[float, list[str]]:
        """How likely it is a good one, to four places, and its topics."""
        found = units(text[:TEXT_MAX])
        own = slots(found)
        logit = float(self._vector[own].sum(dtype=np.float64)) / math.sqrt(len(own))
        return round(sigmoid(logit), 4), self._lexicon.topics(found)


def topics_of(text: str) -> list[str]:
    """The topics of a text by the seeds alone, while no model is there."""
    return _UNKNOWN.topics(units(text[:TEXT_MAX]))
