"""Good review or complaint, learned from stars one review at a time, each predicted before.

Must live here: the two learners, their figures, their state. Must not: reading for rules
(reviews.py). Two logistic regressions under AdaGrad (Duchi, Hazan, Singer 2011) see the same slots:
one the bare slots, the other each slot times its log-odds so far (naive Bayes features: Wang and
Manning, "Baselines and Bigrams", ACL 2012, here counted as the reviews come). Their mean logit is
the answer. Both are one weight a slot to a worker. In numpy, since River's logistic regression over
dicts of 140 features a review is more than twenty times slower.
"""

import base64
import math
import zlib
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from features.models.reviews import (
    BITS,
    MODEL,
    TEXT_MAX,
    Slots,
    run_of,
    sigmoid,
    slots,
)
from features.models.topics import units
from features.models.topics_learner import TopicWords

RATE: Final = np.float32(0.6)
START: Final = np.float32(0.01)  # of the sums of squared gradients
SMOOTH: Final = np.float32(1.0)  # reviews of both kinds that a slot is held to have been in
FIT_EXAMPLES: Final = 50  # of each kind, before it scores for rules
RECENT_MAX: Final = 2000
SIZE: Final = 1 << BITS

Vector = npt.NDArray[np.float32]
_ARRAYS: Final = ("plain", "plain_squares", "scaled", "scaled_squares", "good", "bad")


class Learner:
    """Sentiment and topic words; restorable to the bit."""

    def __init__(self) -> None:
        self.examples = 0
        self.last_loss = 0.0
        self.topic_words = TopicWords()
        zeros = {name: np.zeros(SIZE, np.float32) for name in _ARRAYS}
        self._held: dict[str, Vector] = zeros
        zeros["plain_squares"] += START
        zeros["scaled_squares"] += START
        self._slots = [0.0, 0.0]  # in complaints, in good ones
        self._labels = [0, 0]
        self._right = 0
        self._base_right = 0
        self._loss = 0.0
        self._recent: deque[int] = deque(maxlen=RECENT_MAX)

    def learn(self, example: Mapping[str, Any]) -> None:
        """{"text": ..., "label": 1 good | 0 complaint}: predict, then learn."""
        text, told = example["text"], example["label"]
        if not isinstance(text, str) or told not in (0, 1):
            raise ValueError(f"expected a text and a label 0 or 1, got label {told!r}")
        found = self.learn_tone(text, int(told))
        if not told:
            self.topic_words.learn(text[:TEXT_MAX], found, self._odds_of)

    def learn_tone(self, text: str, told: int) -> list[str]:
        """The same without topics; the text's units."""
        found = units(text[:TEXT_MAX])
        self._learn(slots(found), told)
        return found

    def predict(self, text: str) -> float:
        """How likely it is a good one, as of now."""
        own = slots(units(text[:TEXT_MAX]))
        scale = np.float32(1.0 / math.sqrt(len(own)))
        return sigmoid(sum(self._logits(own, self._odds(own) * scale, scale)) / 2)

    def _odds(self, own: Slots) -> Vector:
        """A slot's log-odds beside those of all slots; 0 for one never seen."""
        bad, good = self._slots
        share = np.float32((good + 1.0) / (good + bad + 2.0))
        held_good = self._held["good"][own] + SMOOTH * share
        held_bad = self._held["bad"][own] + SMOOTH * (1 - share)
        odds: Vector = np.log(held_good / held_bad) - np.log(share / (1 - share))
        return odds

    def _odds_of(self, word: str) -> float:
        """The log-odds of a word as it stands in a good review or a complaint."""
        return float(self._odds(run_of(units(word)))[0])

    def _logits(self, own: Slots, scaled: Vector, scale: np.float32) -> tuple[float, float]:
        held = self._held
        plain = float(held["plain"][own].sum() * scale)
        return plain, float(((held["scaled"][own] + np.float32(1)) * scaled).sum())

    def _learn(self, own: Slots, told: int) -> None:
        scale = np.float32(1.0 / math.sqrt(len(own)))
        scaled = self._odds(own) * scale
        plain_logit, scaled_logit = self._logits(own, scaled, scale)
        self._judge(sigmoid((plain_logit + scaled_logit) / 2), told)
        self._step("plain", own, np.float32(sigmoid(plain_logit) - told) * scale)
        self._step("scaled", own, np.float32(sigmoid(scaled_logit) - told) * scaled)
        self._held["good" if told else "bad"][own] += 1
        self._slots[told] += len(own)
        self._labels[told] += 1
        self.examples += 1

    def _step(self, name: str, own: Slots, gradient: Any) -> None:
        weights, squares = self._held[name], self._held[f"{name}_squares"]
        squared = squares[own] + gradient * gradient
        squares[own] = squared
        weights[own] -= RATE * gradient / np.sqrt(squared)

    def _judge(self, chance: float, told: int) -> None:
        right = int((chance > 0.5) == bool(told))
        self._right += right
        self._base_right += int((self._labels[1] >= self._labels[0]) == bool(told))
        self._recent.append(right)
        self.last_loss = -math.log(max(chance if told else 1.0 - chance, 1e-12))
        self._loss += self.last_loss

    def metrics(self) -> dict[str, float]:
        """Progressive figures; `base_accuracy` is what the more frequent kind so far would have."""
        if not self.examples:
            return {}
        return {
            "accuracy": self._right / self.examples,
            "accuracy_recent": sum(self._recent) / len(self._recent),
            "base_accuracy": self._base_right / self.examples,
            "log_loss": self._loss / self.examples,
            "complaint_rate": self._labels[0] / self.examples,
            "topic_words": float(len(self.topic_words.learned)),
        }

    def weights(self) -> dict[str, Any]:
        """Both regressions as one weight a slot, in half precision."""
        if min(self._labels) < FIT_EXAMPLES:
            return {}
        everything = np.arange(SIZE, dtype=np.intp)
        odds = self._odds(everything)
        both = (self._held["plain"] + (self._held["scaled"] + np.float32(1)) * odds) / 2
        packed = zlib.compress(np.clip(both, -6e4, 6e4).astype(np.float16).tobytes(), 1)
        return {
            "model": MODEL, "bits": BITS, "vector": base64.b64encode(packed).decode(),
            "words": dict(self.topic_words.learned),
        }  # fmt: skip

    def state(self) -> dict[str, Any]:
        """Everything, as plain JSON."""
        return {
            "model": MODEL, "bits": BITS, "examples": self.examples,
            "arrays": {
                name: base64.b64encode(zlib.compress(self._held[name].tobytes(), 1)).decode()
                for name in _ARRAYS
            },
            "slots": self._slots, "labels": self._labels, "right": self._right,
            "base_right": self._base_right, "loss": self._loss, "last_loss": self.last_loss,
            "recent": "".join(map(str, self._recent)), "topics": self.topic_words.state(),
        }  # fmt: skip

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """The learner as it was."""
        if state["model"] != MODEL or state["bits"] != BITS:
            raise ValueError(f"expected a state of {MODEL!r} in 2^{BITS} slots")
        made = cls()
        for name in _ARRAYS:
            raw = zlib.decompress(base64.b64decode(state["arrays"][name]))
            array = np.frombuffer(raw, np.float32)
            if array.shape != (SIZE,):
                raise ValueError(f"{name}: expected {SIZE} numbers, got {array.shape}")
            made._held[name] = array.copy()
        made.examples, made._loss = int(state["examples"]), float(state["loss"])
        made.last_loss = float(state["last_loss"])
        made._slots, made._labels = list(state["slots"]), list(state["labels"])
        made._right, made._base_right = int(state["right"]), int(state["base_right"])
        made._recent.extend(map(int, state["recent"]))
        made.topic_words = TopicWords.restore(state["topics"])
        return made
