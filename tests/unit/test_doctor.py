"""What a look at a running engine says: where each store is, and never a password."""

import asyncio

import pytest

from api.cli_doctor import _asked
from simulator.simulate import DAY_SECONDS, day_seconds


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://laike:secret@clickhouse:8123/shop", "http://clickhouse:8123/shop"),
        ("redis://:se?cret@h:6379?socket_timeout=5", "redis://h:6379"),
        ("kafka://a:9092,b:9092", "kafka://a:9092,b:9092"),
        ("unix:///tmp/redis.sock", "unix:///tmp/redis.sock"),
    ],
)
def test_a_store_that_answers_is_named_without_user_and_password(url, shown):
    async def answers():
        return True

    assert asyncio.run(_asked("it", url, answers)).found == f"answers at {shown}"


def test_a_made_up_day_takes_no_time_flat_out():
    assert day_seconds(None, 1_000) == DAY_SECONDS
    assert day_seconds(0, 1_000) == 0
    assert day_seconds(550, 1_000) == pytest.approx(4)
