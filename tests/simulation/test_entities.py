"""Entities that are no customers: a merchant and a model hear events and have decisions of their own."""

import pytest

from features.events import BadEvent, key, parse
from features.vocabulary import ENTITY_EVENTS
from tests.memory_engine import DAY, HOUR, START, MemoryEngine

DRIFTED = """
rule: drifted
title: 模型漂移
owner: data
purpose: service
status: live
when:
  event: Model Drifted
  if: event.value > 0.1
once_per: event
do:
  - task: {team: data, title: 模型漂移}
  - wait: 1d
  - task: {team: data, title: 再看一次}
"""
TOLD = """
rule: told
title: 通知商家
owner: service
purpose: service
status: live
when: {event: Order Placed}
once_per: order
do:
  - emit: {event: Order Noted, properties: {n: "= order.total"}, to: merchant}
---
rule: noted
title: 商家听到
owner: service
purpose: service
status: live
when:
  event: Order Noted
  if: event.n > 5
once_per: event
do:
  - task: {team: merchants, title: 大单}
---
rule: silence
title: 沉默
owner: service
purpose: service
status: live
when: {inactive: 3d}
once_per: lapse
do:
  - task: {team: merchants, title: 沉默}
"""


async def run(world: MemoryEngine) -> list[dict]:
    await world.run()
    return world.decisions()


async def test_a_models_event_is_heard_at_the_model_and_its_timers_fire():
    world = MemoryEngine({"campaigns/a.yaml": DRIFTED})
    world.send(0, "Model Drifted", model="purchase", value=0.3, metric="loss")
    world.send(HOUR, "Model Drifted", model="reviews", value=0.05)
    world.tick(2 * DAY)
    found = await run(world)
    assert [(row["cid"], row["at"] - START) for row in found] == [
        ("model:purchase", 0),
        ("model:purchase", DAY),
    ]


async def test_the_same_event_twice_is_heard_once():
    world = MemoryEngine({"campaigns/a.yaml": DRIFTED})
    for at in (0, 5):
        world.send(at, "Model Drifted", model="purchase", value=0.3, messageId="same")
    assert len(await run(world)) == 1
    assert world.counts()["duplicate"] == 1


async def test_what_is_emitted_to_a_merchant_is_heard_there_and_he_is_no_silent_customer():
    world = MemoryEngine({f"campaigns/{n}.yaml": one for n, one in enumerate(TOLD.split("---"))})
    for number, total in enumerate((3, 9)):
        order = f"o{number}"
        world.send(0, "Order Placed", order_id=order, total=total, merchant_id="m7", userId="u")
    await run(world)
    for day in range(1, 6):
        world.tick(day * DAY)
    found = [(row["rule"], row["cid"]) for row in await run(world) if row["rule"] != "told"]
    assert found == [("noted", "m:m7"), ("silence", "u:u")]


@pytest.mark.parametrize("name", sorted(ENTITY_EVENTS))
def test_an_entitys_event_needs_its_id_and_a_servers_key(name: str):
    prefix, of = ENTITY_EVENTS[name]
    call = {"type": "track", "event": name, "properties": {of: "x"}}
    assert key(parse(call, source="test", received_at=START)) == f"{prefix}x".encode()
    with pytest.raises(BadEvent, match=of):
        parse({**call, "properties": {}}, source="test", received_at=START)
    with pytest.raises(BadEvent, match="server's key"):
        parse(call, source="test", received_at=START, trusted=False)
