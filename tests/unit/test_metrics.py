"""The closed list of metrics: its table, its alerts, the page that is made of it."""

import re
from collections import defaultdict
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from api.metrics import page
from engine.measures import Measures
from engine.metrics import BY_NAME, METRICS, PREFIX, table

API = Path(__file__).resolve().parents[2] / "api"
LABELS = {"", "rule", "shard", "sink", "version", "fate", "code", "model"}


def test_the_list_is_told_to_people_as_it_is():
    assert table() in (API / "README.md").read_text(), "api/README.md lacks engine.metrics.table()"


def test_names_say_their_kind_and_labels_are_closed():
    assert len(BY_NAME) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.label in LABELS
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert list(metric.buckets) == sorted(metric.buckets)


def test_alerts_name_metrics_of_the_list_only_and_say_what_to_do():
    (group,) = YAML(typ="safe").load(API / "alerts.yaml")["groups"]
    assert len({rule["alert"] for rule in group["rules"]}) == len(group["rules"]) > 10
    for rule in group["rules"]:
        named = re.findall(rf"{PREFIX}\w+", rule["expr"])
        assert named, rule["alert"]
        for name in named:
            bare = name.removeprefix(PREFIX)
            metric = BY_NAME.get(bare) or BY_NAME.get(bare.removesuffix("_bucket"))
            assert metric, f"{rule['alert']} asks for {name}, which nobody counts"
            assert bare.endswith("_bucket") == (metric.kind == "histogram"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "repair"}
        asked = re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))
        assert set(asked) <= {BY_NAME[n.removeprefix(PREFIX)].label for n in named if asked}


def test_what_was_measured_is_on_the_page_as_prometheus_reads_it():
    measures = Measures()
    for seconds in (0.0001, 0.004, 0.004, 99, -5):
        measures.observe("decide_seconds", seconds)
    measures.count("relay_retries_total", "archive", 2)
    numbers = defaultdict(dict)
    for field, number in measures.fresh.items():
        name, _, label = field.partition("|")
        numbers[name][label] = number
    families = {f.name: f for f in text_string_to_metric_families(page(numbers).decode())}
    assert set(families) == {"laike_decide_seconds", "laike_relay_retries"}
    at = {
        sample.labels["le"]: sample.value
        for sample in families["laike_decide_seconds"].samples
        if sample.name.endswith("_bucket")
    }
    assert at["0.001"] == 2
    assert at["0.005"] == at["2.5"] == 4
    assert at["+Inf"] == 5
    (retries,) = families["laike_relay_retries"].samples
    assert (retries.name, retries.labels, retries.value) == (
        "laike_relay_retries_total", {"sink": "archive"}, 2,
    )  # fmt: skip


def test_a_name_or_label_that_is_not_in_the_list_is_refused():
    measures = Measures()
    with pytest.raises(KeyError):
        measures.count("customers_total")
    with pytest.raises(ValueError, match="has the label"):
        measures.count("fenced_commits_total", "u:1")
    with pytest.raises(ValueError, match="has the label"):
        measures.count("relay_retries_total")
