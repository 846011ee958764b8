"""How the tests are spread over processes: how many there are, and which files come first.

Must live here: pytest's hooks for that. Must not: a fixture. A third of the suite's time is waiting
for servers, so there are three processes on two cores; `-n` says otherwise. Files that start
servers come first and the short ones last, or a long one would end alone on one core.
"""

import os

import pytest

FIRST = ("tests/integration/", "tests/bench/", "tests/simulation/", "tests/contract/")


def pytest_xdist_auto_num_workers() -> int:
    """For `-n auto`: half as many again as there are cores that we may use."""
    asked = os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS", "")
    return int(asked) if asked.isdigit() else max(2, len(os.sched_getaffinity(0)) * 3 // 2)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, whatever order chance has given them; within a file chance has its way."""
    long = {item.path for item in items if item.get_closest_marker("slow")}

    def rank(item: pytest.Item) -> tuple[bool, int]:
        place = (n for n, folder in enumerate(FIRST) if item.nodeid.startswith(folder))
        return item.path not in long, next(place, len(FIRST))

    items.sort(key=rank)
