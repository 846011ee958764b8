"""Words that come with a topic: in complaints, which words stand beside its seeds and seldom else.

Must live here: counting and taking words in. Must not: reading texts for rules (topics.py). A word
is taken in once SUPPORT complaints about the topic held it, each of which a seed had named; once it
is LIFT times as frequent there as in other complaints, and in so SURE a share of those that hold
it; and if it is so seldom in good reviews (`odds`). So a word can always be explained by counts.
Counts are kept by hash, never the words, so that no name or number of a person stays here; jieba
parts Chinese by its own dictionary, kept in memory alone.
"""

import base64
import functools
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from features.models.topics import SEEDS, TOPICS, Lexicon, shown

BITS: Final = 15
SUPPORT: Final = 20
LIFT: Final = 4.0
SURE: Final = 0.6
ODDS_MAX: Final = -1.4  # log-odds of a good review among those that hold the word: 1 in 5
WORDS_MAX: Final = 30  # learned for a topic
Odds = Callable[[str], float]
_SEEDED: Final = Lexicon()
_BOUNDS: Final = (2, 20)  # letters of a word, but one of English has three


@functools.cache
def _cutter() -> Any:
    """The parting of jieba, its dictionary read from its own file: no cache is read or written."""
    import jieba  # noqa: PLC0415 - 0.8 s and 100 MB: only where complaints are learned from

    tokenizer = jieba.Tokenizer()
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return tokenizer


def parts(text: str) -> list[str]:
    """The words of a text, in their order."""
    found: list[str] = _cutter().lcut(text.lower(), HMM=False)
    return found


def words(text: str) -> set[str]:
    """The words of a text that may come to stand for a topic, as runs."""
    return {shown(word) for word in parts(text) if _is_word(word)}


def _is_word(word: str) -> bool:
    least, most = _BOUNDS
    if not least <= len(word) <= most or not word.isalpha():
        return False
    return not word.isascii() or len(word) > least


class TopicWords:
    """Complaints by topic and word; `learned` is run -> topic."""

    def __init__(self) -> None:
        self.learned: dict[str, str] = {}
        self._counts: npt.NDArray[np.uint32] = np.zeros((1 << BITS, 1 + len(TOPICS)), np.uint32)
        self._totals: npt.NDArray[np.uint32] = np.zeros(1 + len(TOPICS), np.uint32)

    def learn(self, text: str, found: Sequence[str], odds: Odds) -> None:
        """Take in a complaint: its text, its units, and how good each word of it is."""
        seen = _SEEDED.topics(found)
        columns = [0, *(1 + TOPICS.index(topic) for topic in seen)]
        own = sorted(words(text))
        if not own:
            return
        self._totals[columns] += 1
        rows = np.array([zlib.crc32(word.encode()) & ((1 << BITS) - 1) for word in own])
        self._counts[np.unique(rows)[:, None], columns] += 1
        for topic, column in zip(seen, columns[1:], strict=True):
            self._take_in(topic, column, own, rows, odds)

    def _take_in(
        self,
        topic: str,
        column: int,
        own: Sequence[str],
        rows: npt.NDArray[np.int64],
        odds: Odds,
    ) -> None:
        beside, all_of = self._counts[rows, column], self._counts[rows, 0]
        about, total = int(self._totals[column]), int(self._totals[0])
        elsewhere = (all_of - beside + 0.5) / (total - about + 1.0)
        lifted = (beside + 0.5) / (about + 1.0) >= LIFT * elsewhere
        fits = lifted & (beside >= SUPPORT) & (beside >= SURE * all_of)
        for number in np.flatnonzero(fits).tolist():
            word = own[number]
            full = sum(held == topic for held in self.learned.values()) >= WORDS_MAX
            known = word in self.learned or any(seed in word for seed in SEEDS)
            if not full and not known and odds(word) <= ODDS_MAX:
                self.learned[word] = topic

    def state(self) -> dict[str, Any]:
        """Plain JSON, restorable."""
        packed = zlib.compress(self._counts.tobytes(), 1)
        return {
            "topics": list(TOPICS), "learned": self.learned, "totals": self._totals.tolist(),
            "counts": base64.b64encode(packed).decode(),
        }  # fmt: skip

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """As it was; of other topics, it begins anew."""
        made = cls()
        if state["topics"] != list(TOPICS):
            return made
        raw = zlib.decompress(base64.b64decode(state["counts"]))
        counts = np.frombuffer(raw, np.uint32)
        made._counts = counts.reshape(made._counts.shape).copy()
        made._totals = np.array(state["totals"], np.uint32)
        made.learned = dict(state["learned"])
        return made
