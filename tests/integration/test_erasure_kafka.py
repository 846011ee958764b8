"""An erasure where the log is Kafka's: his records stay until its retention, and name no contact."""

import pytest

from engine.logs.broker import Broker
from tests.fixtures_stack import Stack, stack_with
from tests.integration.test_privacy import CONTACTS, NAMES, USER, calls, done, holding, settle

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@stack_with(log="kafka")
async def test_contacts_in_the_topic_are_unreadable_and_the_rest_is_told_to_remain(
    stack: Stack, kafka_broker: Broker
):
    await stack.put_in_place()
    topic, folder = kafka_broker.folder, stack.settings.data
    async with stack.worker(), stack.relay():
        assert (await stack.http.post("/v1/batch", json={"batch": calls()})).status_code == 200
        await settle(stack, f"SELECT count() FROM events WHERE user_id = '{USER}'", 3)
        assert holding(topic, USER)
        assert holding(topic, *CONTACTS, "zebra-push", "10.9.8.7") == {}  # sealed at the door
        export = f"/v1/customers/{USER}/export"
        known = (await stack.http.get(export)).json()["contacts"]
        assert known["email"]["address"] == CONTACTS[0]

        asked = {"customer_id": USER, "proof": "ticket 12"}
        name = (await stack.http.post("/v1/erasures", json=asked)).json()["erasure_id"]
        report = await done(stack, name)
        assert report["remains"] == "his records in Kafka until its retention; contacts unreadable"
        assert report["erased"]["keys"] == 1  # what opens the sealed ones is gone for good
        assert holding(folder, *NAMES, *CONTACTS) == {}
        assert holding(topic, *CONTACTS) == {}
        assert holding(topic, USER)  # ids are no contacts: the topic's retention ends them
        assert (await stack.http.get(export)).json()["contacts"] == {}
