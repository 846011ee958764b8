"""The whole pipeline on a real Kafka: a worker killed -9 changes nothing of what is decided."""

import shutil
import tempfile
from pathlib import Path

import pytest

from engine.logs import broker
from simulator.kills import faults
from simulator.kills.run import Plan, run

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]
CUSTOMERS = 250


async def told_of(*struck):
    if why := broker.missing():
        pytest.skip(why)
    folder = Path(tempfile.mkdtemp(prefix="laike-kills-"))
    plan = Plan(
        log="kafka",
        seed=8,
        customers_per_second=40,
        customers_most=CUSTOMERS,
        wait_seconds=3,
        gap_seconds=(1, 2),
        faults=struck,
    )
    try:
        return await run(plan, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def test_one_of_two_workers_killed_decides_as_an_undisturbed_run_does():
    calm = await told_of()
    struck = await told_of(faults.kill_worker)
    assert calm["clean"], calm["findings"]
    assert struck["clean"], struck["findings"]
    assert (calm["kills"], struck["kills"]) == (0, 1)
    assert struck["customers"] == calm["customers"] == CUSTOMERS
    for same in ("decisions", "coupons", "messages", "quarantine_rows", "fingerprint"):
        assert struck[same] == calm[same], same
    assert calm["coupons"] > 50
