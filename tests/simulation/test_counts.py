"""What is no thing of its own: counts and silences of a rule that acts once a period."""

import pytest

from tests.memory_engine import DAY, HOUR, START, MemoryEngine

RULE = """
rule: third-look
owner: growth
status: live
when: {event: Product Viewed, count: 3, within: 24h}
once_per: %s
holdout: 0%%
do:
  - tag: {add: keen}
"""


async def fired(once_per: str, *hours: int) -> list[int]:
    world = MemoryEngine({"campaigns/r.yaml": RULE % once_per})
    for hour in hours:
        world.send(hour * HOUR, userId="u", product_id="p1")
    await world.run()
    return [(row["at"] - START) // HOUR for row in world.decisions()]


@pytest.mark.parametrize("once_per", ["day", "week", "event", "customer"])
async def test_a_count_goes_on_over_midnight_and_over_events(once_per: str):
    # 0 h is 08:00 in the shop's zone: 14 h and 15 h are 22:00 and 23:00, 17 h is 01:00.
    assert await fired(once_per, 14, 15, 17) == [17]


async def test_a_count_begins_anew_when_it_was_reached():
    assert await fired("event", 0, 1, 2, 3, 4, 5) == [2, 5]
    assert await fired("day", 0, 1, 2, 3, 4, 5) == [2]
    assert await fired("event", 0, 1, 25) == []


async def test_a_silence_may_be_answered_once_a_period_or_once_for_ever():
    async def answered(once_per: str) -> list[int]:
        rule = RULE.replace("{event: Product Viewed, count: 3, within: 24h}", "{inactive: 2d}")
        world = MemoryEngine({"campaigns/r.yaml": rule % once_per})
        for day in (0, 5, 10, 30):
            world.send(day * DAY, userId="u", product_id="p1")
            world.tick((day + 3) * DAY)
        await world.run()
        return [(row["at"] - START) // DAY for row in world.decisions()]

    assert await answered("lapse") == [2, 7, 12, 32]
    assert await answered("month") == [2, 32]
    assert await answered("customer") == [2]
