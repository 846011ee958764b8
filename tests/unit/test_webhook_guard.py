"""Where a webhook may go: only where its owner said, whatever a name resolves to at the moment."""

import ipaddress

import pytest

from sinks.channels import Failed, Later, Sent
from sinks.webhook import (
    RETRY_AFTER_SECONDS_MAX,
    RefusedAddressError,
    WebhookChannel,
    check_url,
    choose,
    is_open,
    meaning,
    pause_seconds,
    resolve,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/hook",
        "http://127.0.0.1/hook",
        "http://localhost:8000/hook",
        "ftp://shop.example/hook",
        "https://user:secret@shop.example/hook",
        "https://shop.example/hook#part",
        "https:///hook",
        "/hook",
        "",
    ],
)
def test_addresses_that_can_never_be_right(url):
    with pytest.raises(RefusedAddressError):
        WebhookChannel(url, SECRET)


def test_private_allows_http_on_loopback_and_nowhere_else():
    for url in (
        "http://127.0.0.1:1/",
        "http://localhost/",
        "http://[::1]:80/",
        "https://10.0.0.1/",
    ):
        check_url(url, private=True)
    for url in ("http://10.0.0.1/", "http://shop.example/", "http://localhost.shop.example/"):
        with pytest.raises(RefusedAddressError):
            check_url(url, private=True)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "224.0.0.1", "255.255.255.255", "198.18.0.1", "240.0.0.1",
        "::1", "::", "fe80::1", "fc00::1", "ff02::1", "fec0::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ],
)  # fmt: skip
def test_inner_addresses_in_any_dress_are_refused(address):
    assert not is_open(ipaddress.ip_address(address))
    with pytest.raises(RefusedAddressError, match="open internet"):
        choose("shop.example", [address], private=False)
    assert choose("shop.example", [address], private=True)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_open_addresses_are_taken(address):
    assert str(choose("shop.example", [address], private=False)) == address


def test_one_inner_address_among_open_ones_is_enough_to_refuse():
    with pytest.raises(RefusedAddressError):
        choose("shop.example", ["1.1.1.1", "10.0.0.1"], private=False)


async def test_a_name_that_resolves_inside_is_refused_at_the_moment_of_sending():
    with pytest.raises(RefusedAddressError):
        await resolve("localhost", 443, private=False)
    with pytest.raises(RefusedAddressError):
        await resolve("2130706433", 443, private=False)  # 127.0.0.1 as a number


def test_what_an_answer_means():
    assert meaning(204, "", 0) == Sent()
    assert meaning(302, "", 0) == Failed("status 302")
    assert meaning(410, "", 0) == Failed("status 410")
    for status in (408, 429, 500, 503):
        with pytest.raises(Later):
            meaning(status, "", 0)
    with pytest.raises(Later) as busy:
        meaning(429, "12", 0)
    assert busy.value.pause == 12
    assert not busy.value.answered
    with pytest.raises(Later) as broken:
        meaning(500, "", 0)
    assert broken.value.answered


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("", 0), ("soon", 0), ("-5", 0), ("nan", 0), ("1e9", RETRY_AFTER_SECONDS_MAX), ("3", 3)],
)
def test_retry_after_is_bounded(said, seconds):
    assert pause_seconds(said, 0) == seconds
