"""The rows that say who came into and went out of something: a tier, a label, an audience.

Must live here: their one shape. Must not: what he moves between.
"""

from features.facet import Emit


def moved(kind: str, came_from: str, went_to: str, at: int, seq: int, emit: Emit) -> int:
    """Tell of a move at `at` (ms), "" for outside; the number of the last row of this customer."""
    for name, move in ((came_from, -1), (went_to, 1)):
        if name:
            seq += 1
            emit("segment_moves", {
                "segment": f"{kind}.{name}", "at": at, "seq": seq, "move": move,
                "came_from": came_from, "went_to": went_to,
            })  # fmt: skip
    return seq
