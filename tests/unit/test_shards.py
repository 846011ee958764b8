"""The shard of a key is Kafka's own: the values are those of Kafka's UtilsTest and its clients."""

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from engine.shards import murmur2, partition


@pytest.mark.parametrize(
    ("key", "signed"),
    [  # org.apache.kafka.common.utils.UtilsTest.testMurmur2
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_kafkas(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed & 0xFFFFFFFF


def test_the_shards_of_customers_stay_where_they_are() -> None:
    keys = [b"u:1", b"a:guest", "u:李雷".encode(), b"i:42"]
    assert [partition(key, 16) for key in keys] == [3, 3, 10, 9]


@given(st.binary(max_size=80), st.integers(1, 64))
def test_it_agrees_with_aiokafkas_partitioner(key: bytes, shards: int) -> None:
    numbers = list(range(shards))
    assert partition(key, shards) == DefaultPartitioner()(key, numbers, numbers)
