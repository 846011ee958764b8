"""Heavy hitters: the names with the most weight lately, in a bounded table.

Must live here: the table. Must not: what is counted. Space-saving (Metwally et al., 2005) with
forward decay (Cormode et al., 2009): a newcomer takes the place of the lightest name and its weight
with it, else it could never grow; a name whose true weight is over total / size is always in it.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

LEAD_MAX: Final = 32.0  # half-lives a landmark may lie behind before it moves up


class Decay:
    """What one unit of weight at a moment is as of a landmark."""

    def __init__(self, half_life_ms: int, landmark: int = 0) -> None:
        self.half_life_ms = half_life_ms
        self.landmark = landmark

    def lead(self, at: int) -> float:
        """The factor of a weight given at `at` (ms); the first moment asked is the landmark."""
        self.landmark = self.landmark or at
        return float(2.0 ** ((at - self.landmark) / self.half_life_ms))

    def move(self, at: int) -> float:
        """If `at` is far ahead it becomes the landmark: what all weights are multiplied by then."""
        if not self.landmark or at - self.landmark <= LEAD_MAX * self.half_life_ms:
            return 1.0
        factor = 2.0 ** ((self.landmark - at) / self.half_life_ms)
        self.landmark = at
        return float(factor)


class Heavy:
    """The heaviest names, at most `size`."""

    def __init__(self, size: int, weights: Mapping[str, float] | None = None) -> None:
        self.size = size
        self.weights: dict[str, float] = dict(weights or {})

    def add(self, name: str, weight: float) -> str:
        """Add weight to a name; the name that made room for it, "" for none."""
        weights, gone = self.weights, ""
        held = weights.get(name)
        if held is None:
            held = 0.0
            if len(weights) >= self.size:
                gone = min(weights, key=lambda other: (weights[other], other))
                held = weights.pop(gone)
        weights[name] = held + weight
        return gone

    def scale(self, factor: float) -> None:
        """Multiply all weights."""
        for name in self.weights:
            self.weights[name] *= factor

    def ranked(self) -> list[str]:
        """The names, the heaviest first, ties by name."""
        return sorted(self.weights, key=lambda name: (-self.weights[name], name))

    def state(self) -> list[Any]:
        """As plain JSON, in order."""
        return [[name, weight] for name, weight in self.weights.items()]

    @classmethod
    def restore(cls, size: int, state: Iterable[Any]) -> Self:
        """As it was; ValueError or TypeError on what is no table of that size."""
        weights = {str(name): float(weight) for name, weight in state}
        if len(weights) > size or not all(map(math.isfinite, weights.values())):
            raise ValueError(f"heavy hitters: expected at most {size} finite weights")
        return cls(size, weights)
