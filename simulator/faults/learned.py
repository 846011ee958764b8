"""Versions of the models as a learner would have published them, one of them forged.

Must live here: their bytes. Must not: when they come (kinds.py), what must hold of them
(auditor/scores.py).
"""

from functools import lru_cache
from typing import Final

from engine.versions import digest_of
from features.models.purchase import INPUTS, MODEL
from features.models.snapshot import pack
from simulator.faults.cluster import SECRET

INTERCEPTS: Final = (-2.0, 0.5)


@lru_cache(maxsize=1)
def published() -> tuple[tuple[str, ...], dict[str, bytes]]:
    """The digests that shards are asked for, and what is kept under each."""
    kept: dict[str, bytes] = {}
    versions = []
    for number, intercept in enumerate((*INTERCEPTS, 9.0)):
        secret = SECRET if number < len(INTERCEPTS) else b"another shop's"
        weights = {
            "model": MODEL, "intercept": intercept, "weights": dict.fromkeys(INPUTS, 0.1),
            "means": dict.fromkeys(INPUTS, 0.0), "variances": dict.fromkeys(INPUTS, 1.0),
        }  # fmt: skip
        part = pack({"model": MODEL, "weights": weights}, secret)
        manifest = pack(
            {"scorers": {MODEL: digest_of(part)}, "learners": {}, "cursors": {}}, SECRET
        )
        kept |= {digest_of(part): part, digest_of(manifest): manifest}
        versions.append(digest_of(manifest))
    return tuple(versions), kept
