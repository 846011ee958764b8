"""The Apprise library at work, against a real receiver of its own `json://`."""

import logging
from typing import ClassVar

import orjson
import pytest

from sinks.addresses import RefusedAddressError
from sinks.channels import Failed, Later, Message, Sent
from sinks.notifier import AppriseChannel
from tests.integration.relay_parts import Receiver

MESSAGE = Message("d", "a", "r", "u:1", "sms", "t", to="+86 138", subject="主题", text="您好")


@pytest.fixture
async def receiver():
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


def channel(receiver, path="/to/{to}", **given) -> AppriseChannel:
    given = {"private": True, **given}
    return AppriseChannel(f"json://127.0.0.1:{receiver.port}{path}", **given)


async def test_the_library_hands_it_over_to_the_customers_address(receiver):
    assert await channel(receiver).send(MESSAGE) == Sent()
    [(headers, body)] = receiver.posts
    assert headers[""].split()[1].startswith("/to/+86%20138")
    told = orjson.loads(body)
    assert (told["title"], told["message"]) == ("主题", "您好")


@pytest.mark.parametrize(
    ("status", "answer"), [(404, Failed("status 404")), (302, Failed("status 302"))]
)
async def test_what_the_service_refuses_for_good(receiver, status, answer):
    receiver.answer = lambda _key, _n: (status, {"Location": "/elsewhere"}, 0)
    assert await channel(receiver).send(MESSAGE) == answer
    assert sum(receiver.tries.values()) == 1, "no redirect is followed"


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_the_service_may_take_later(receiver, status):
    receiver.answer = lambda _key, _n: (status, {}, 0)
    with pytest.raises(Later, match=f"status {status}"):
        await channel(receiver).send(MESSAGE)


async def test_what_the_library_logs_stays_out_of_our_log(receiver):
    """Its lines quote addresses."""

    class Kept(logging.Handler):
        lines: ClassVar[list[str]] = []

        def emit(self, record):
            self.lines.append(record.getMessage())

    kept, root = Kept(), logging.getLogger()
    root.addHandler(kept)
    try:
        receiver.answer = lambda _key, _n: (404, {}, 0)
        await channel(receiver).send(MESSAGE)
    finally:
        root.removeHandler(kept)
    assert not any("JSON" in line for line in kept.lines)


async def test_why_a_service_is_away_is_not_told_so_it_is_tried_again(receiver):
    made = channel(receiver)
    await receiver.stop()
    with pytest.raises(Later) as later:
        await made.send(MESSAGE)
    assert later.value.answered


async def test_without_an_address_or_words_nothing_goes(receiver):
    made = channel(receiver)
    for message, reason in (
        (Message("d", "a", "r", "u:1", "sms", "t", text="x"), "no address"),
        (Message("d", "a", "r", "u:1", "sms", "t", to="1"), "template: Apprise needs one"),
    ):
        assert await made.send(message) == Failed(reason)
    assert not receiver.tries
    team = Message("d", "a", "r", "u:1", "sms", "t", text="x")
    assert await channel(receiver, "/team").send(team) == Sent()


async def test_a_host_inside_is_refused_at_the_send_unless_it_is_private(receiver):
    made = channel(receiver, private=False)
    refused = Failed("127.0.0.1 is 127.0.0.1, which is not on the open internet")
    assert await made.send(MESSAGE) == refused
    assert not receiver.tries


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("nosuch://x", "no service that Apprise knows"),
        ("twilio://short", "cannot read the rest"),
        ("jsons://evil.example/x", "allowed by LAIKE_WEBHOOK_ALLOW"),
    ],
)
def test_a_url_that_cannot_work_is_refused_at_the_start(url, told):
    with pytest.raises(RefusedAddressError, match=told):
        AppriseChannel(url, allow=("*.shop.example",))


def test_a_service_with_a_host_of_its_own_needs_no_check():
    AppriseChannel("wecombot://abcdef0123456789abcdef", allow=("*.shop.example",))
