"""What orders usually look like, learned by River's Half-Space Trees, one order at a time.

Must live here: learning, its state, its ranks. Must not: scoring customers (anomaly.py does,
without River). An order is ranked before it is learned from. The trees' cuts are drawn once from a
seed; only their masses change, a window at a time. So a learner's size is fixed: TREES of HEIGHT.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, Self

from river import anomaly
from river.tree.padded import PaddedBranch, PaddedLeaf

from features.models.anomaly import INPUTS, MODEL

TREES: Final = 15
HEIGHT: Final = 6
WINDOW: Final = 250
SEED: Final = 7
RANKED_MAX: Final = 500
QUANTILES: Final = 200
_BRANCH: Final[Any] = PaddedBranch  # River gives them no types
_LEAF: Final[Any] = PaddedLeaf


class Learner:
    """River's HalfSpaceTrees; restorable to the bit."""

    def __init__(self) -> None:
        self._model: Any = anomaly.HalfSpaceTrees(
            n_trees=TREES, height=HEIGHT, window_size=WINDOW, seed=SEED
        )
        self.examples = 0
        self._recent: deque[float] = deque(maxlen=RANKED_MAX)
        self._ranked: list[float] = []

    def learn(self, example: Mapping[str, Any]) -> None:
        """See `model.Learner`."""
        values = [float(one) for one in example["features"]]
        if len(values) != len(INPUTS) or not all(0.0 <= one <= 1.0 for one in values):
            raise ValueError(f"features: expected {len(INPUTS)} numbers from 0 to 1")
        named = dict(zip(INPUTS, values, strict=True))
        if self.examples >= WINDOW:
            strangeness = float(self._model.score_one(named))
            if len(self._recent) == RANKED_MAX:
                del self._ranked[bisect_left(self._ranked, self._recent[0])]
            self._recent.append(strangeness)
            insort(self._ranked, strangeness)
        self._model.learn_one(named)
        self.examples += 1

    def strangeness(self, values: list[float]) -> float:
        """As the trees stand now, 0 to 1."""
        return float(self._model.score_one(dict(zip(INPUTS, values, strict=True))))

    def metrics(self) -> dict[str, float]:
        """How strange the last orders were, in the middle and at the end."""
        ranked = self._ranked
        if not ranked:
            return {}
        return {
            "strangeness_p50": ranked[len(ranked) // 2],
            "strangeness_p99": ranked[len(ranked) * 99 // 100],
        }

    def weights(self) -> dict[str, Any]:
        """What Scorer reads; nothing before two windows: one to fill the trees, one to rank."""
        ranked = self._ranked
        if len(ranked) < WINDOW:
            return {}
        last = len(ranked) - 1
        quantiles = [ranked[round(last * at / QUANTILES)] for at in range(QUANTILES + 1)]
        trees = [
            [[INPUTS.index(node.feature) for node in inner], [node.threshold for node in inner],
             [node.r_mass for node in nodes]]
            for nodes, inner in map(_split, self._model.trees)
        ]  # fmt: skip
        return {
            "model": MODEL, "inputs": list(INPUTS), "height": HEIGHT, "window": WINDOW,
            "trees": trees, "ranks": quantiles,
        }  # fmt: skip

    def state(self) -> dict[str, Any]:
        """See `model.Learner`."""
        return {
            "model": MODEL, "inputs": list(INPUTS), "examples": self.examples,
            "counter": self._model.counter, "recent": list(self._recent),
            "trees": [
                [[node.feature for node in inner], [node.threshold for node in inner],
                 [node.l_mass for node in nodes], [node.r_mass for node in nodes]]
                for nodes, inner in map(_split, self._model.trees)
            ],
        }  # fmt: skip

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """The learner as it was."""
        if state.get("model") != MODEL or tuple(state["inputs"]) != INPUTS:
            raise ValueError(f"model: expected {MODEL!r} with its inputs")
        made, model = cls(), None
        made.examples, model = int(state["examples"]), made._model
        if made.examples and len(state["trees"]) != TREES:
            raise ValueError(f"trees: expected {TREES}, got {len(state['trees'])}")
        model.trees = [_tree(*tree) for tree in state["trees"]]
        model._tree_nodes = [list(tree.iter_dfs()) for tree in model.trees]  # noqa: SLF001
        model.counter = int(state["counter"])
        model._first_window = made.examples < WINDOW  # noqa: SLF001
        made._recent.extend(float(one) for one in state["recent"])
        made._ranked = sorted(made._recent)
        return made


def _split(tree: Any) -> tuple[list[Any], list[Any]]:
    """All nodes of a whole tree, a level after the other; and those that are no leaves."""
    nodes = [tree]
    for node in nodes:
        nodes.extend(getattr(node, "children", ()))
    return nodes, nodes[: len(nodes) // 2]


def _tree(features: list[str], thresholds: list[float], left: list[int], right: list[int]) -> Any:
    inner = 2**HEIGHT - 1
    if (len(features), len(left), len(right)) != (inner, 2 * inner + 1, 2 * inner + 1):
        raise ValueError(f"trees: expected {inner} inner nodes each")

    def node(at: int) -> Any:
        masses = {"l_mass": left[at], "r_mass": right[at]}
        if at >= inner:
            return _LEAF(**masses)
        return _BRANCH(node(2 * at + 1), node(2 * at + 2), features[at], thresholds[at], **masses)

    return node(0)
