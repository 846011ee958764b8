"""Mappings: what is wrong is told with its place and what was allowed; a file finds its own."""

from pathlib import Path

import pytest

from simulator.mapping import MappingError, When, choose, load, reader_of_time, shipped, span

GOOD = """\
mapping: shop
title: A shop
time: {column: when, zone: Asia/Shanghai}
step: 1m
event: {column: what, names: {view: Product Viewed}}
user: {column: who}
properties: {product_id: thing}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(text)
    return path


def test_a_mapping_reads_its_columns(tmp_path):
    mapping = load(written(tmp_path, GOOD))
    assert mapping.columns == {"when", "what", "who", "thing"}
    assert mapping.step_ms == 60_000


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("zone: Asia/Shanghai", "zoen: Asia/Shanghai", "shop.yaml:3:22: `zoen` is not a key here: did you mean `zone`?; allowed are column, format, zone"),
        ("title: A shop", "titel: A shop", "shop.yaml:2:1: `titel` is not a key here"),
        ("time: {column: when, zone: Asia/Shanghai}\n", "", "missing required field `time`"),
        ("Asia/Shanghai", "Asia/Peking", "time.zone 'Asia/Peking': expected a name such as"),
        ("step: 1m", "step: 1 minute", "'1 minute': expected a whole number and one of s, m, h, d"),
        ("column: what, names: {view: Product Viewed}", "names: {view: Product Viewed}", "event: exactly one of column and always"),
        ("column: what, names: {view: Product Viewed}", "column: what", "event.names: what the values of what are called"),
        ("user: {column: who}\n", "", "user, anonymous: at least one of them"),
        ("product_id: thing", "product_id: {column: thing, as: money}", "shop.yaml:7:13: Invalid enum value 'money'"),
        ("product_id: thing", "product_id: &x thing", "`&x` is a YAML anchor"),
        ("product_id: thing", "product_id: [thing", "cannot be read as YAML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_what_was_allowed(tmp_path, right, wrong, told):
    assert right in GOOD
    with pytest.raises(MappingError) as caught:
        load(written(tmp_path, GOOD.replace(right, wrong)))
    assert told in str(caught.value)
    assert "shop.yaml" in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(MappingError, match="nowhere"):
        load(tmp_path / "nowhere.yaml")


def test_a_file_finds_its_mapping_by_its_header():
    assert choose(["ts", "event", "user_id", "item_id", "category_id"]).mapping == "taobao"
    header = "ts,event,order_id,customer_id,sku,description,quantity,unit_price,country,is_product"
    assert choose(header.split(",")).mapping == "online_retail"


def test_a_header_that_no_mapping_knows_is_refused_with_the_way_out():
    with pytest.raises(MappingError, match=r"no mapping of online_retail, taobao fits.*--mapping"):
        choose(["a", "b"])


def test_a_named_mapping_names_the_columns_that_are_missing():
    with pytest.raises(
        MappingError, match="no column category_id, item_id; it has ts, event, user_id"
    ):
        choose(["ts", "event", "user_id"], "taobao")
    with pytest.raises(MappingError, match="shipped are online_retail, taobao"):
        choose(["ts"], "toabao")


def test_every_shipped_mapping_loads_and_says_its_step():
    assert {mapping.mapping: mapping.step for mapping in shipped()} == {
        "online_retail": "1h",
        "taobao": "1m",
    }


@pytest.mark.parametrize(
    ("when", "text", "at"),
    [
        (When("t"), "2017-11-26T01:00:00Z", 1_511_658_000_000),
        (When("t"), "2017-11-26T01:00:00", 1_511_658_000_000),
        (When("t", zone="Europe/London"), "2011-07-01T12:00:00", 1_309_518_000_000),
        (
            When("t", zone="Asia/Shanghai", format="%Y/%m/%d %H:%M"),
            "2017/11/26 09:00",
            1_511_658_000_000,
        ),
        (When("t", format="s"), "1511658000", 1_511_658_000_000),
        (When("t", format="ms"), "1511658000000", 1_511_658_000_000),
        (When("t"), "yesterday", None),
        (When("t"), "", None),
        (When("t", format="s"), "nan", None),
        (When("t", format="s"), "inf", None),
    ],
)
def test_times_are_read_as_the_mapping_says(when, text, at):
    assert reader_of_time(when)(text) == at


@pytest.mark.parametrize("text", ["", "m", "0m", "-1m", "1.5h", "1w"])
def test_a_span_is_a_whole_number_and_a_unit(text):
    with pytest.raises(MappingError):
        span(text)
