"""Report on reviews: good or complaint, foretold from the text before its stars are learned from.

Must live here: the protocol over the Chinese reviews of ten categories, its baselines. Must not:
the model (features/models/reviews*.py).

The file is sorted by category: it is shuffled by a fixed seed, so that every part of it has all
categories. One pass; each review is predicted, then learned. The batch baseline sees the first
four fifths as often as it likes and is asked of the last fifth.
"""

import csv
import gzip
import itertools
import math
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

from features.models.reviews import Scorer
from features.models.reviews_learner import Learner
from features.models.topics_learner import parts, words
from simulator.learning_section import Chart, Curve, Section, data_file

NAMES: Final = ("reviews_zh_10cats.csv.gz", "reviews_zh_10cats.csv")
SEED: Final = 7
BLOCK: Final = 2_000
READ_MAX: Final = 5_000  # texts that the scorer is timed over
BINS: Final = 10


class Review(NamedTuple):
    """A line of the file."""

    category: str
    label: int
    text: str


class Told(NamedTuple):
    """How likely it was said to be good, and what it was."""

    category: str
    chance: float
    label: int

    @property
    def right(self) -> bool:
        """Whether the likelier of the two was what it was."""
        return (self.chance > 0.5) == bool(self.label)


def reviews(file: Path, limit: int = 0) -> list[Review]:
    """The file's reviews in the order of the protocol; the first `limit` of them, 0 for all."""
    opened = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt", encoding="utf-8", newline="") as lines:
        rows = [Review(r["cat"], int(r["label"]), r["review"]) for r in csv.DictReader(lines)]
    Random(SEED).shuffle(rows)
    return rows[:limit] if limit else rows


def progressive(rows: Iterable[Review], learner: Learner) -> list[Told]:
    """One pass: each predicted, then learned."""
    found = []
    for row in rows:
        learner.learn({"text": row.text, "label": row.label})
        of_label = math.exp(-learner.last_loss)  # the chance it gave to what it then learned
        found.append(Told(row.category, of_label if row.label else 1.0 - of_label, row.label))
    return found


def accuracy(told: Sequence[Told]) -> float:
    """The share that was right."""
    return sum(one.right for one in told) / len(told)


def last_fifth(found: Sequence[Any]) -> Sequence[Any]:
    """The last fifth of a sequence."""
    return found[len(found) * 4 // 5 :]


def calibration_error(told: Sequence[Told]) -> float:
    """How far chance and share are apart, in ten bins of chance, weighed by their size (ECE)."""
    bins: dict[int, list[Told]] = defaultdict(list)
    for one in told:
        bins[min(BINS - 1, int(one.chance * BINS))].append(one)
    apart = (abs(sum(o.chance for o in b) - sum(o.label for o in b)) for b in bins.values())
    return sum(apart) / len(told)


def batch_baseline(rows: Sequence[Review]) -> float:
    """Accuracy on the last fifth of a logistic regression over TF-IDF of one and two words."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415 - this report only
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    cut = len(rows) * 4 // 5
    vectors = TfidfVectorizer(analyzer=_one_and_two, min_df=2, sublinear_tf=True)
    model = LogisticRegression(C=10, max_iter=300)
    model.fit(vectors.fit_transform([r.text for r in rows[:cut]]), [r.label for r in rows[:cut]])
    told = model.predict(vectors.transform([r.text for r in rows[cut:]]))
    return sum(int(a) == r.label for a, r in zip(told, rows[cut:], strict=True)) / len(told)


def _one_and_two(text: str) -> list[str]:
    found = parts(text)
    return [*found, *(f"{one} {two}" for one, two in itertools.pairwise(found))]


def _microseconds(rows: Sequence[Review], scorer: Scorer) -> dict[str, float]:
    """Of processor time a review: to read one, to learn its tone, to part it into words."""
    part = rows[:READ_MAX]
    fresh, found = Learner(), {}
    for name, work in (
        ("read", lambda row: scorer.read(row.text)),
        ("learn_tone", lambda row: fresh.learn_tone(row.text, row.label)),
        ("part_words", lambda row: words(row.text)),
    ):
        began = time.process_time()
        for row in part:
            work(row)
        found[name] = round((time.process_time() - began) / len(part) * 1e6, 1)
    return found


def report(path: Path) -> Section | None:
    """The section, of the file or the folder that has it."""
    file = data_file(path, *NAMES)
    if file is None:
        return None
    rows, learner = reviews(file), Learner()
    told = progressive(rows, learner)
    weights = learner.weights()
    costs = _microseconds(rows, Scorer(weights))
    batch = batch_baseline(rows)
    by_category: dict[str, list[Told]] = defaultdict(list)
    for one in told:
        by_category[one.category].append(one)
    figures = {
        "reviews": len(told),
        "accuracy": round(accuracy(told), 4),
        "accuracy_last_fifth": round(accuracy(last_fifth(told)), 4),
        "baselines": {
            "more_frequent_label": round(learner.metrics()["base_accuracy"], 4),
            "batch_tfidf_logistic_last_fifth": round(batch, 4),
        },
        "calibration_error": round(calibration_error(told), 4),
        "log_loss": round(learner.metrics()["log_loss"], 4),
        "categories": {name: round(accuracy(o), 4) for name, o in sorted(by_category.items())},
        "microseconds": costs,
        "scorer_bytes": len(weights["vector"]),
        "topic_words_learned": len(weights["words"]),
    }
    blocks = [told[at : at + BLOCK] for at in range(0, len(told), BLOCK)]
    points = [(float((n + 1) * BLOCK), accuracy(block)) for n, block in enumerate(blocks)]
    return Section(
        title="Reviews: good or complaint",
        protocol=f"{len(told):,} Chinese reviews of ten categories, shuffled by seed {SEED}; one "
        "pass, each predicted before it is learned from.",
        rows=_rows(told, by_category, figures),
        figures=figures,
        charts=(
            Chart(
                "Accuracy as reviews come",
                f"reviews, by {BLOCK:,}",
                "right",
                (
                    Curve("ours", points),
                    Curve("batch, last fifth", [(p[0], batch) for p in points]),
                ),
            ),
        ),
    )


def _rows(
    told: Sequence[Told], by_category: dict[str, list[Told]], figures: dict[str, Any]
) -> list[dict[str, Any]]:
    base = figures["baselines"]

    def row(name: str, many: int, overall: float | str, last: float | str) -> dict[str, Any]:
        return {"of": name, "reviews": many, "accuracy": overall, "last fifth": last}

    return [
        row("ours", len(told), figures["accuracy"], figures["accuracy_last_fifth"]),
        row(
            "batch: TF-IDF (1,2), logistic", len(told), "", base["batch_tfidf_logistic_last_fifth"]
        ),
        row("more frequent label", len(told), base["more_frequent_label"], ""),
        *(
            row(f"ours, {name}", len(o), round(accuracy(o), 4), round(accuracy(last_fifth(o)), 4))
            for name, o in sorted(by_category.items())
        ),
    ]
