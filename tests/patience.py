"""How long a test waits for what must come: so long that no slow machine is taken for a fault.

Must live here: that time, and waiting for a state. Must not: what is waited for. A test never says
how quick something has to be unless that is what it shows; what does not come fails the test.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

SECONDS = 150.0


def wait_for(what: Callable[[], Any], *, pause: float = 0.05) -> Any:
    """Ask until the answer is true, and give it."""
    until = time.monotonic() + SECONDS
    while not (found := what()):
        assert time.monotonic() < until, f"it did not come within {SECONDS:.0f} s"
        time.sleep(pause)
    return found


async def until(what: Callable[[], Any], *, pause: float = 0.02) -> Any:
    """The same where a loop runs; the question may be a coroutine's."""
    end = time.monotonic() + SECONDS
    while True:
        found = what()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < end, f"it did not come within {SECONDS:.0f} s"
        await asyncio.sleep(pause)
