"""What every model is to the engine: something that learns by examples and says what it knows.

Must live here: the protocol. Must not: a model. Two modules a model: NAME.py has the inputs and a
scorer made from plain weights (what workers need; no River, no IO), NAME_learner.py learns.
"""

from collections.abc import Mapping
from typing import Any, Protocol, Self, runtime_checkable

Example = Mapping[str, Any]  # {"model": its name, "cid": whose, "at": ms, ...}
Weights = dict[str, Any]
State = dict[str, Any]


class Learner(Protocol):
    """Learns one example at a time. A bad one raises ValueError, LookupError or TypeError first."""

    @property
    def examples(self) -> int:
        """How many it learned from."""

    def learn(self, example: Example) -> None:
        """Take one example in: predict it, keep the figures of that, and only then learn."""

    def metrics(self) -> dict[str, float]:
        """Plain figures from before each example was learned from; {} if there are none yet."""

    def weights(self) -> Weights:
        """What its scorer is made from: small, plain JSON; {} while it is not fit to score."""

    def state(self) -> State:
        """Everything, as plain JSON: what `restore` goes on from, to the bit."""

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """The learner as it was; ValueError, LookupError or TypeError on what is not one."""


@runtime_checkable
class Judged(Protocol):
    """A learner that tells how far off its last prediction was: it is watched for drift."""

    @property
    def last_loss(self) -> float:
        """Of the example learned last."""
