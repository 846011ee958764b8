"""Files of record: every row of the real ones becomes what it was, in order of time, none is lost."""

import csv
import gzip
import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.events import decode
from simulator import rows as rows_module
from simulator.doors import to_record
from simulator.replay import File
from simulator.rows import UnreadableError

DATA = Path(os.environ.get("LAIKE_DATA_DIR", Path(__file__).parents[2] / "../shared/data"))
HEADER = ["ts", "event", "user_id", "item_id", "category_id"]


def real(name: str) -> Path:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"no {name} in {DATA}: set LAIKE_DATA_DIR")
    return path


def lines(count: int, first: int = 1_511_658_000) -> list[list[str]]:
    return [[iso(first + i), "product_viewed", f"u{i % 3}", f"i{i}", "c1"] for i in range(count)]


def iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def write(path: Path, content: list[list[str]], header: list[str] = HEADER) -> Path:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *content])
    return path


@pytest.mark.data
def test_every_row_of_the_taobao_stream_is_an_event_of_its_own():
    file = File(real("taobao_2h_stream.csv.gz"))
    seen, last = Counter(), (0, 0)
    for event in file.happened():
        assert not event.wrong
        assert event.at >= last[0]
        assert event.row == last[1] + 1
        last = (event.at, event.row)
        seen[event.item["event"]] += 1
    assert sum(seen.values()) == 110_300
    assert seen == {"Product Viewed": 98_361, "Product Added": 6_063, "Product Added to Wishlist": 3_383, "Order Completed": 2_493}  # fmt: skip


@pytest.mark.data
def test_the_lines_of_online_retail_are_19959_orders_and_3836_refunds():
    file = File(real("online_retail_orders.csv.gz"))
    seen, orders, last, told = Counter(), set(), (0, 0), 0
    owners = Counter()
    for event in file.happened():
        assert not event.wrong
        assert event.at >= last[0]
        assert event.row > last[1]
        last = (event.at, event.row)
        properties = event.item["properties"]
        seen[event.item["event"]] += 1
        orders.add(properties["order_id"])
        told += properties["rows"]
        owners["userId" in event.item] += 1
        assert properties["total"] >= 0
        assert len(properties["products"]) <= 500
        if len(properties["products"]) > 300:
            record = to_record(event.item, 8, "t", event.at, [file.hash, event.row])
            assert len(record.value) < 32_768
        if properties["order_id"] == "536365":  # 7 lines, 139.12 in every paper on these data
            assert (properties["rows"], properties["total"]) == (7, 139.12)
            assert event.item["userId"] == "17850"
            assert event.at == 1_291_191_960_000
    assert seen == {"Order Completed": 19_959, "Order Refunded": 3_836}
    assert len(orders) == 19_959 + 3_836
    assert told == 534_128
    assert owners[False] == 1_609, "who left no name is known by his order"


def test_csv_gzip_and_parquet_tell_the_same(tmp_path):
    content = lines(50)
    write(tmp_path / "a.csv", content)
    write(tmp_path / "b.csv.gz", content)
    columns = {name: [line[i] for line in content] for i, name in enumerate(HEADER)}
    pq.write_table(pa.table(columns), tmp_path / "c.parquet")
    found = [list(File(tmp_path / name).happened()) for name in ("a.csv", "b.csv.gz", "c.parquet")]
    plain = [
        [(e.at, e.row, e.item["userId"], e.item["properties"]) for e in events] for events in found
    ]
    assert plain[0] == plain[1] == plain[2]
    assert len(plain[0]) == 50


@pytest.mark.parametrize("part", [7, 1_000])
def test_a_file_that_is_not_in_order_is_put_in_order(tmp_path, monkeypatch, part):
    monkeypatch.setattr(rows_module, "SORTED_PART", part)
    content = lines(60)
    mixed = content[30:] + content[:30]
    straight = list(File(write(tmp_path / "a.csv", content)).happened())
    sorted_ = list(File(write(tmp_path / "b.csv", mixed)).happened())
    assert [(e.at, e.row) for e in straight] == [(e.at, e.row) for e in sorted_]
    assert [e.item["properties"] for e in straight] == [e.item["properties"] for e in sorted_]


def test_rows_of_the_same_moment_stay_as_they_stand(tmp_path):
    content = [[iso(1_511_658_000), "product_viewed", "u1", f"i{i}", "c"] for i in range(20)]
    found = list(File(write(tmp_path / "a.csv", content)).happened())
    assert [e.item["properties"]["product_id"] for e in found] == [f"i{i}" for i in range(20)]


def test_a_bad_row_comes_out_with_its_reason_where_it_stood(tmp_path):
    content = lines(5)
    content[1][0] = "soon"
    content[2][1] = "product_eaten"
    content[3] = content[3][:3]
    found = list(File(write(tmp_path / "a.csv", content)).happened())
    assert [bool(e.wrong) for e in found] == [False, True, True, True, False]
    assert "row 2, column ts: 'soon' is no time" in found[1].wrong
    assert "row 3, column event: 'product_eaten' is none of product_viewed" in found[2].wrong
    assert "row 4: 3 columns, the header has 5" in found[3].wrong
    assert [e.row for e in found] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("quantity", ["", "many", "nan", "inf"])
def test_a_number_that_is_none_is_told_not_summed(tmp_path, quantity):
    header = "ts,event,order_id,customer_id,sku,description,quantity,unit_price,country,is_product"
    row = ["2011-01-05T10:00:00", "order_completed", "1", "", "s", "d", quantity, "2.5", "UK", "1"]
    good = [*row[:6], "2", *row[7:]]
    found = list(File(write(tmp_path / "a.csv", [row, good], header.split(","))).happened())
    assert "column quantity" in found[0].wrong
    assert found[1].item["properties"]["total"] == 5.0
    assert found[1].item["anonymousId"] == "1"


def test_lines_of_an_order_join_though_another_comes_between_and_split_when_far_apart(tmp_path):
    header = "ts,event,order_id,customer_id,sku,description,quantity,unit_price,country,is_product"

    def line(minute: int, order: str, sku: str, product: str = "1") -> list[str]:
        return [f"2011-01-05T10:{minute:02d}:00", "order_completed", order, "c1", sku, "d", "1", "2.5", "UK", product]  # fmt: skip

    content = [
        line(0, "A", "s1"),
        line(0, "B", "s2"),
        line(1, "A", "POST", "0"),
        line(40, "A", "s3"),
    ]
    found = [
        e.item["properties"]
        for e in File(write(tmp_path / "a.csv", content, header.split(","))).happened()
    ]
    assert [(p["order_id"], p["rows"], p["total"]) for p in found] == [
        ("A", 2, 5.0),
        ("B", 1, 2.5),
        ("A", 1, 2.5),
    ]
    assert [line["product_id"] for line in found[0]["products"]] == ["s1"], "postage is no product"


def test_a_record_carries_its_file_and_row(tmp_path):
    file = File(write(tmp_path / "a.csv", lines(3)))
    event = list(file.happened())[1]
    record = to_record(event.item, 8, "replay:taobao", event.at, [file.hash, event.row])
    assert decode(record.value).row == [file.hash, 2]
    assert record.hint == event.at
    assert len(file.hash) == 16


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", b"", "no mapping of"),
        ("a.csv.gz", b"\x1f\x8bnot gzip", "a.csv.gz"),
        ("a.parquet", b"PAR1 and no more", "a.parquet"),
        (
            "a.csv",
            b"ts,event,user_id,item_id,category_id\nsoon,product_viewed,1,2,3\n",
            "no time is readable",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_told_by_name(tmp_path, name, content, told):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=told):
        File(path)


def test_a_truncated_gzip_is_told_and_not_taken_for_the_end(tmp_path):
    whole = write(tmp_path / "a.csv.gz", lines(5_000)).read_bytes()
    cut = tmp_path / "b.csv.gz"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableError, match=r"b\.csv\.gz"):
        File(cut)
