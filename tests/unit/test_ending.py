"""A task ends for certain, also one that loses a cancellation on its way."""

import asyncio

from engine.ending import end


async def stubborn(times: int) -> None:
    """Swallows so many cancellations."""
    for _ in range(times):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue
    await asyncio.sleep(60)


async def test_a_task_that_loses_cancellations_ends_all_the_same():
    tasks = [asyncio.create_task(stubborn(times)) for times in (0, 1, 3)]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end(tasks)
    assert all(task.cancelled() for task in tasks)


async def test_a_task_may_finish_what_it_has_begun():
    said = []

    async def careful() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.3)
            said.append("done")

    task = asyncio.create_task(careful())
    await asyncio.sleep(0)
    await end([task], 60)
    assert said == ["done"]


async def test_what_has_ended_is_left_alone():
    done = asyncio.create_task(asyncio.sleep(0, "said"))
    await done
    await end([done])
    await end([])
    assert done.result() == "said"
