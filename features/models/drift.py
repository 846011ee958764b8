"""Whether a model has begun to err more than it did: ADWIN over its losses.

Must live here: the watch over one model's losses. Must not: what an alarm does (engine/learner.py).

ADWIN (Bifet and Gavaldà, 2007; River's) keeps a window of losses for as long as its older and its
newer part could have the same mean, and drops the older part when they cannot. It is fed the means
of blocks of 50 losses. A mean that grew is an alarm; one that shrank (the model learned) is none.
"""

from collections.abc import Mapping
from typing import Any, Final, Self

from river import drift

BLOCK: Final = 10  # losses: fewer means are kept, and looked at, than there are losses
DELTA: Final = 0.002  # at each look: that a window of one mean is cut nevertheless
RECENT: Final = 50  # blocks
_ADWIN: Final[Any] = drift.ADWIN  # River gives it no types
BLOCKS_MAX: Final = 2_000  # then the older half is let go


class Watch:
    """The losses of one model; restorable to the bit, as the blocks that stand are kept."""

    def __init__(self) -> None:
        self.alarms = 0
        self._blocks: list[float] = []
        self._sum, self._number = 0.0, 0
        self._adwin = _adwin()

    def add(self, loss: float) -> tuple[float, float] | None:
        """Note a loss; the mean before and after, if it has just been found to have grown.

        After is of the last 500 losses, before of those that stood in the window until then.
        """
        self._sum += loss
        self._number += 1
        if self._number < BLOCK:
            return None
        mean, self._sum, self._number = self._sum / BLOCK, 0.0, 0
        found = self._means() if self._feed(mean) else None
        if len(self._blocks) >= BLOCKS_MAX:
            self._begin(self._blocks[-BLOCKS_MAX // 2 :])
        self.alarms += found is not None
        return found

    def _means(self) -> tuple[float, float] | None:
        older, newer = self._blocks[:-RECENT], self._blocks[-RECENT:]
        return (sum(older) / len(older), sum(newer) / len(newer)) if older else None

    def metrics(self) -> dict[str, float]:
        """The mean loss of the window that stands, and how often it was found to have grown."""
        if not self._blocks:
            return {}
        return {"recent_loss": float(self._adwin.estimation), "drifts": float(self.alarms)}

    def state(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "alarms": self.alarms, "blocks": list(self._blocks), "sum": self._sum,
            "number": self._number,
        }  # fmt: skip

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """As it was."""
        watch = cls()
        watch.alarms = int(state["alarms"])
        watch._sum, watch._number = float(state["sum"]), int(state["number"])
        watch._begin([float(mean) for mean in state["blocks"]])
        return watch

    def _begin(self, blocks: list[float]) -> None:
        """Stand after these blocks, as if there had been no others."""
        self._blocks, self._adwin = [], _adwin()
        for mean in blocks:
            self._feed(mean)

    def _feed(self, mean: float) -> bool:
        """A block; whether ADWIN drops an older part for it whose mean was lower."""
        before = self._adwin.estimation
        self._adwin.update(mean)
        self._blocks.append(mean)
        return bool(self._adwin.drift_detected and self._adwin.estimation > before)


def _adwin() -> Any:
    return _ADWIN(delta=DELTA, clock=1)
