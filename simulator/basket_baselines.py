"""What recommendations are held against: batch lists made anew at a cut day from all orders so far.

Must live here: the baselines, each a matrix of customers by products. Must not: ours, judging
(learning_recommendations.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from features.fold import DAY_MS

NEAREST: Final = 50
HALF_LIFE_DAYS: Final = 7.0
Scores = npt.NDArray[np.float32]


class Order(NamedTuple):
    """Who bought which different products when (ms); "" for a customer who is not known."""

    at: int
    who: str
    products: Sequence[str]


class Past(NamedTuple):
    """All orders before a cut day, as numbers: products, and the customers that are asked for."""

    cut: int
    orders: Sequence[Order]
    place: Mapping[str, int]  # product -> its column
    asked: Sequence[str]  # customers, a row each

    def had(self) -> Scores:
        """How many orders of each customer each product was in."""
        row = {who: number for number, who in enumerate(self.asked)}
        found = np.zeros((len(self.asked), len(self.place)), np.float32)
        for order in self.orders:
            if order.who in row:
                found[row[order.who], [self.place[name] for name in order.products]] += 1
        return found


def baselines(past: Past) -> Iterator[tuple[str, Scores]]:
    """Name and scores of each."""
    had = past.had()
    yield "popularity", np.broadcast_to(_popular(past, None), had.shape)
    yield "popularity, half-life 7 days", np.broadcast_to(_popular(past, HALF_LIFE_DAYS), had.shape)
    yield "his own most bought, then popularity", had + _popular(past, None) * 1e-6
    owns = (had > 0).astype(np.float32)
    near = _cosines(past)
    yield "item-kNN, all neighbours", owns @ near
    yield "item-kNN, 50 neighbours", owns @ _nearest(near)
    yield "item-kNN, itself the nearest", owns @ near + owns


def _popular(past: Past, half_life_days: float | None) -> Scores:
    found = np.zeros(len(past.place), np.float32)
    for order in past.orders:
        age = (past.cut - order.at) / DAY_MS
        weight = 1.0 if half_life_days is None else 0.5 ** (age / half_life_days)
        found[[past.place[name] for name in order.products]] += weight
    return found


def _cosines(past: Past) -> Any:
    """Cosines of products as sets of the customers who ever bought them."""
    from scipy import sparse  # noqa: PLC0415 - 0.3 s, for the report alone

    row: dict[str, int] = {}
    pairs = {
        (row.setdefault(order.who, len(row)), past.place[name])
        for order in past.orders
        if order.who
        for name in order.products
    }
    rows, columns = zip(*sorted(pairs), strict=True)
    bought = sparse.csr_matrix(
        (np.ones(len(pairs), np.float32), (rows, columns)), shape=(len(row), len(past.place))
    )
    norms = np.sqrt(np.asarray(bought.sum(0)).ravel()) + 1e-9
    unit = bought @ sparse.diags((1 / norms).astype(np.float32))
    found = (unit.T @ unit).toarray().astype(np.float32)
    np.fill_diagonal(found, 0)
    return found


def _nearest(near: Scores) -> Scores:
    """The same with the nearest of each row alone."""
    many = min(NEAREST, near.shape[1])
    least = np.partition(near, -many, axis=1)[:, -many][:, None]
    return np.where(near >= least, near, 0).astype(np.float32)
