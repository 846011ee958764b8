"""The end of a task, for certain: a cancellation may be lost on its way.

Must live here: that alone. Must not: what a task does, when it ends.
"""

import asyncio
from collections.abc import Iterable
from typing import Any


async def end(tasks: "Iterable[asyncio.Future[Any]]", seconds: float = 0.1) -> None:
    """Cancel until all have ended; each time they have so many seconds to finish what is begun.

    Once is not enough: on Python 3.11 `asyncio.wait_for`, in which redis-py sends, can swallow a
    cancellation (bpo-37658). Whoever cancels once and waits, as `asyncio.wait_for` itself and a
    TaskGroup do, would then wait for ever.
    """
    left = set(tasks)
    while left := {task for task in left if not task.done()}:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=seconds)
