"""How good chances were that were given before their labels were known: progressive figures.

Must live here: log loss, Brier score, area under the curve, calibration. Must not: a model.
Log loss is over all examples, the last three over the last 2,000. Calibration error: how far, in
ten bins of the chance given, the mean chance is from the share of yeses, each bin by its examples.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Collection, Mapping
from typing import Any, Final, Self

from features.models.one_pass import log_loss

RECENT_MAX: Final = 2000
BINS: Final = 10


class Progress:
    """Sums over all examples, and the last 2,000."""

    def __init__(self) -> None:
        self.examples = 0
        self.positives = 0
        self._loss = self._base_loss = 0.0
        self._recent: deque[tuple[int, float]] = deque(maxlen=RECENT_MAX)

    def add(self, chance: float, label: int) -> float:
        """Note a chance that was given and its label; the log loss of it."""
        base = (self.positives + 0.5) / (self.examples + 1.0)
        loss = log_loss(chance, label)
        self._loss += loss
        self._base_loss += log_loss(base, label)
        self._recent.append((label, round(chance, 6)))
        self.examples += 1
        self.positives += label
        return loss

    def metrics(self) -> dict[str, float]:
        """base_log_loss is of always saying the rate so far; auc needs a yes and a no."""
        if not self.examples:
            return {}
        found = {
            "log_loss": self._loss / self.examples,
            "base_log_loss": self._base_loss / self.examples,
            "brier": sum((label - chance) ** 2 for label, chance in self._recent)
            / len(self._recent),
            "positive_rate": self.positives / self.examples,
            "calibration_error": calibration_error(self._recent),
        }
        if len({label for label, _ in self._recent}) == 2:
            found["auc"] = area_under_curve(self._recent)
        return found

    def state(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "examples": self.examples,
            "positives": self.positives,
            "loss": self._loss,
            "base_loss": self._base_loss,
            "recent": [list(pair) for pair in self._recent],
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """As it was."""
        found = cls()
        found.examples, found.positives = int(state["examples"]), int(state["positives"])
        found._loss, found._base_loss = float(state["loss"]), float(state["base_loss"])
        found._recent.extend((int(label), float(chance)) for label, chance in state["recent"])
        return found


def area_under_curve(pairs: Collection[tuple[int, float]]) -> float:
    """How often a yes was given a greater chance than a no, a draw counting half.

    >>> area_under_curve([(1, 0.9), (0, 0.1), (1, 0.1)])
    0.75
    """
    noes = sorted(chance for label, chance in pairs if not label)
    yeses = [chance for label, chance in pairs if label]
    ahead = sum(bisect_left(noes, one) + bisect_right(noes, one) for one in yeses)
    return ahead / 2 / (len(noes) * len(yeses))


def calibration_error(pairs: Collection[tuple[float, float]]) -> float:
    """See the module.

    >>> calibration_error([(1, 0.75), (0, 0.75), (0, 0.0), (0, 0.0)])
    0.125
    """
    bins: dict[int, float] = {}
    for label, chance in pairs:
        number = min(int(chance * BINS), BINS - 1)
        bins[number] = bins.get(number, 0.0) + chance - label
    return sum(map(abs, bins.values())) / len(pairs)
