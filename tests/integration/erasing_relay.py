"""A relay that is killed at every step of an erasure and started again, until it has died everywhere.

Must live here: the places to die at. Must not: a test. A program for test_privacy; each life is a
fork, which costs no start, and dies by a real kill -9: before a step, or when its work is done and
not noted. It says where it died, and lives on once it has died everywhere.
"""

import os
import signal
import sys

from api import cli_parts
from engine.logs.redis_server import die_with_parent
from engine.settings import Settings
from sinks.erase import STEPS, Eraser, Job

PLACES = [(step, when) for step in STEPS for when in ("before", "after")]


def lethal(step: str, when: str) -> None:
    """Make the step deadly."""
    work = getattr(Eraser, f"_{step}")

    async def die(self: Eraser, jobs: list[Job]) -> list[Job]:
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done: list[Job] = await work(self, jobs)
        if done:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(Eraser, f"_{step}", die)


def main() -> None:
    settings = Settings.load()
    for place in PLACES:
        if (life := os.fork()) == 0:
            die_with_parent()
            lethal(*place)
            cli_parts.relay(settings)
            os._exit(1)
        _, ended = os.waitpid(life, 0)
        if not os.WIFSIGNALED(ended) or os.WTERMSIG(ended) != signal.SIGKILL:
            sys.exit(f"{place}: ended by {ended}")
        sys.stdout.write(f"{place[0]} {place[1]}\n")
        sys.stdout.flush()
    cli_parts.relay(settings)


if __name__ == "__main__":
    main()
