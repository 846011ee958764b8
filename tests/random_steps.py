"""Steps of a story that hypothesis draws: looks, ticks, parts of batches, letters, links of ids."""

from tests.memory_engine import MemoryEngine


def look(world: MemoryEngine, at: int, number: int) -> str:
    """One of ten looks at a product, five of them known; the id of the event."""
    who = {"anonymousId": f"a{number}"} if number % 2 else {"userId": f"u{number}"}
    world.send(at, product_id="p", **who)
    return f"m{world.count}"


def link(world: MemoryEngine, at: int, number: int) -> set[str]:
    """One of the ten turns out to be his neighbour; both their keys."""
    user, anonymous = f"u{number - number % 2}", f"a{number | 1}"
    world.send(at, type="identify", userId=user, anonymousId=anonymous)
    return {f"u:{user}", f"a:{anonymous}"}


async def decide(world: MemoryEngine, many: int) -> None:
    """Each worker takes a batch of so many records."""
    for worker in world.workers:
        batch = world.logs[worker.number][worker.next_offset :][:many]
        if batch:
            await worker.process(batch)


def carry(world: MemoryEngine, *, again: bool) -> None:
    """Letters arrive; `again`: the carrier died before it noted how far it came."""
    before = list(world.carried)
    world.carry()
    if again:
        world.carried = before
