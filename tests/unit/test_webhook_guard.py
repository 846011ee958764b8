"""Where a webhook may go: only where its owner said, whatever a name resolves to at the moment."""

import ipaddress

import pytest

from sinks.addresses import RefusedAddressError, check_url, choose, is_open, is_own, resolve
from sinks.channels import Failed, Later, Sent
from sinks.webhook import RETRY_AFTER_SECONDS_MAX, WebhookChannel, meaning, pause_seconds

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


# A class of addresses, one of it, and whether `private` may allow it.
CLASSES = {
    "loopback": ("127.0.0.1", True),
    "all of loopback": ("127.255.255.254", True),
    "private 10": ("10.1.2.3", True),
    "private 172": ("172.31.255.255", True),
    "private 192": ("192.168.1.1", True),
    "CGNAT": ("100.64.0.1", True),
    "this network": ("0.0.0.0", False),
    "link-local": ("169.254.1.1", False),
    "metadata of AWS, GCP, Azure": ("169.254.169.254", False),
    "metadata of Alibaba": ("100.100.100.200", False),
    "metadata of Azure's hosts": ("168.63.129.16", False),
    "metadata of Oracle": ("192.0.0.192", False),
    "protocol assignments": ("192.0.0.9", False),
    "documentation": ("192.0.2.1", False),
    "documentation 2": ("198.51.100.2", False),
    "documentation 3": ("203.0.113.5", False),
    "benchmarks": ("198.18.0.1", False),
    "6to4 relay": ("192.88.99.1", False),
    "multicast": ("224.0.0.1", False),
    "reserved": ("240.0.0.1", False),
    "broadcast": ("255.255.255.255", False),
    "loopback 6": ("::1", True),
    "ULA": ("fc00::1", True),
    "ULA, local": ("fd12:3456::1", True),
    "metadata of AWS, 6": ("fd00:ec2::254", False),
    "metadata of GCP, 6": ("fd20:ce::254", False),
    "unspecified": ("::", False),
    "link-local 6": ("fe80::1", False),
    "link-local 6, with zone": ("fe80::1%eth0", False),
    "site-local": ("fec0::1", False),
    "multicast 6": ("ff02::1", False),
    "documentation 6": ("2001:db8::1", False),
    "documentation 6, new": ("3fff::1", False),
    "discard": ("100::1", False),
    "segment routing": ("5f00::1", False),
    "benchmarks 6": ("2001:2::1", False),
    "ORCHID": ("2001:20::1", False),
    "anycast of protocols": ("2001:1::1", False),
    "AMT": ("2001:3::1", False),
    "AS112": ("2001:4:112::1", False),
    "drone ids": ("2001:30::1", False),
    "never given out": ("4000::1", False),
    "mapped loopback": ("::ffff:127.0.0.1", True),
    "mapped private": ("::ffff:10.0.0.1", True),
    "mapped metadata": ("::ffff:169.254.169.254", False),
    "compatible": ("::7f00:1", False),
    "translated": ("::ffff:0:7f00:1", False),
    "NAT64 to loopback": ("64:ff9b::7f00:1", True),
    "NAT64 to metadata": ("64:ff9b::a9fe:a9fe", False),
    "NAT64, local": ("64:ff9b:1::a00:1", False),
    "6to4": ("2002:7f00:1::", False),
    "6to4 to the open internet": ("2002:808:808::", False),
    "Teredo": ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
    "ISATAP": ("2400:cb00::5efe:a00:1", False),
    "ISATAP, global": ("2400:cb00::200:5efe:808:808", False),
}


@pytest.mark.parametrize(("address", "ownable"), CLASSES.values(), ids=CLASSES)
def test_inner_addresses_in_any_dress_are_refused(address, ownable):
    bare = ipaddress.ip_address(address.partition("%")[0])
    assert not is_open(bare)
    assert is_own(bare) == ownable
    with pytest.raises(RefusedAddressError, match="open internet"):
        choose("shop.example", [address], private=False)
    if ownable:
        assert choose("shop.example", [address], private=True) == bare
    else:
        with pytest.raises(RefusedAddressError):
            choose("shop.example", [address], private=True)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "::ffff:808:808", "2606:4700::1111", "64:ff9b::808:808"]
)
def test_open_addresses_are_taken(address):
    assert str(choose("shop.example", [address], private=False)) == address


def test_one_inner_address_among_open_ones_is_enough_to_refuse():
    with pytest.raises(RefusedAddressError):
        choose("shop.example", ["1.1.1.1", "10.0.0.1"], private=False)


@pytest.mark.parametrize(
    ("allow", "taken"),
    [
        ([], True),
        (["crm.example"], True),
        (["CRM.example", "x"], True),
        (["*.example"], True),
        (["*.crm.example"], False),
        (["example"], False),
        (["crm.example.org"], False),
    ],
)
def test_the_allow_list_is_of_whole_names(allow, taken):
    for host in ("crm.example", "crm.example.", "CRM.EXAMPLE"):
        if taken:
            check_url(f"https://{host}/hook", private=False, allow=allow)
        else:
            with pytest.raises(RefusedAddressError, match="LAIKE_WEBHOOK_ALLOW"):
                check_url(f"https://{host}/hook", private=False, allow=allow)


def test_a_refusal_does_not_tell_what_may_be_secret_in_the_url():
    for url in ("http://h.example/TOKEN?k=TOKEN", "https://u:TOKEN@h.example", "https://h:TOKEN/"):
        with pytest.raises(RefusedAddressError) as refused:
            check_url(url, private=False)
        assert "TOKEN" not in str(refused.value)


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
