"""Which actions become messages, the log channel's file, and the plan of who carries what."""

import errno
import os
import stat

import orjson
import pytest

from sinks.channels import Later, Message, Sent
from sinks.channels_setup import ChannelsError, open_channels, read_plan
from sinks.logchannel import LogChannel
from sinks.messages import messages_of
from sinks.outbox import Entry, EntryId

NOW = 1_780_000_000_000


def message(number: int = 1, **given) -> Message:
    return Message(f"{number:026d}", "notify:hello", "rule", "u:1", "push", "hello", **given)


def entry(*decisions) -> Entry:
    body = {"from": 0, "to": 1, "log_time": NOW + 60_000, "decisions": decisions}  # with later ones
    return Entry(0, EntryId(1, 0), orjson.dumps(body))


def decision(**given):
    notify = {"kind": "notify", "name": "notify:hello", "via": ["push", "sms"], "channel": "sms",
              "template": "hello", "with": {"n": 1}}  # fmt: skip
    coupon = {"kind": "coupon", "name": "coupon:SAVE", "code": "C-1", "offer": "SAVE"}
    return {"rule": "r", "decision_id": "D" * 26, "cid": "u:1", "at": NOW - 5, "latency_ms": 5, "result": "act",
            "arm": "treated", "actions": [notify, coupon], "log_offset": 7, **given}  # fmt: skip


def test_an_acting_decision_sends_with_the_coupon_it_issued():
    [found] = messages_of(entry(decision()))
    assert found.key == "D" * 26 + ":notify:hello"
    assert found.via == "sms"
    assert found.coupons == [{"name": "coupon:SAVE", "code": "C-1", "offer": "SAVE"}]
    assert found.not_after == NOW + 86_400_000
    said = orjson.loads(found.json())
    assert said["type"] == "notify"
    assert said["data"]["key"] == found.key
    assert said["timestamp"] == "2026-05-28T20:26:39.995Z"


def test_what_is_for_the_shops_own_people_goes_by_its_own_way(tmp_path):
    actions = [
        {"kind": "alert", "name": "alert:late", "to": "merchant", "template": "late",
         "with": {"n": 1}, "merchant_id": "m1"},
        {"kind": "task", "name": "task:vip", "team": "vip", "title": "Call", "priority": "high",
         "due_at": NOW},
        {"kind": "webhook", "name": "webhook:crm", "hook": "crm", "body": {"tier": "gold"}},
    ]  # fmt: skip
    found = messages_of(entry(decision(actions=actions)))
    assert [(one.kind, one.via, one.to) for one in found] == [
        ("alert", "alert:merchant", "merchant"), ("task", "task:vip", "vip"),
        ("webhook", "webhook:crm", ""),
    ]  # fmt: skip
    assert found[0].values == {"merchant_id": "m1", "n": 1}
    assert found[1].text == "Call"
    assert orjson.loads(found[2].json())["data"]["values"] == {"tier": "gold"}
    (tmp_path / "channels.json").write_bytes(orjson.dumps({
        "targets": {"crm": {"url": "https://crm.example/h"}, "ops": {"url": "https://ops.example/h"}},
        "via": {"webhook:crm": "crm", "alert": "ops", "*": "log"},
    }))  # fmt: skip
    plan = read_plan(tmp_path)
    assert [plan.target_of(one.via) for one in found] == ["ops", "log", "crm"]


@pytest.mark.parametrize(
    "given",
    [{"result": "hold"}, {"arm": "holdout"}, {"arm": "global_holdout"}, {"arm": "shadow"}, {"actions": []}],
)  # fmt: skip
def test_what_does_not_act_sends_nothing(given):
    assert messages_of(entry(decision(**given))) == []


def test_an_outcome_is_the_same_at_every_repeat():
    [found] = messages_of(entry(decision()))
    assert found.outcome("sent") == found.outcome("sent")
    assert found.outcome("sent")["at"] == NOW
    assert found.outcome("failed", "expired", found.not_after)["at"] == found.not_after


async def test_the_log_channel_writes_a_line_once_even_after_a_restart(tmp_path):
    path = tmp_path / "deep" / "sent.jsonl"
    for _ in range(2):
        channel = LogChannel(path)
        for _ in range(2):
            assert await channel.send(message()) == Sent()
        await channel.close()
    assert len(path.read_bytes().splitlines()) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_line_cut_short_by_a_crash_is_closed_and_sent_again(tmp_path):
    path = tmp_path / "sent.jsonl"
    path.write_bytes(message(1).json() + b"\n" + message(2).json()[:40])
    channel = LogChannel(path)
    for number in (1, 2, 3):
        await channel.send(message(number))
    await channel.close()
    lines = path.read_bytes().splitlines()
    assert [
        orjson.loads(line)["data"]["decision_id"][-1] for line in [lines[0], *lines[2:]]
    ] == list("123")


async def test_the_file_turns_at_its_size_and_keys_are_remembered_across(tmp_path):
    path = tmp_path / "sent.jsonl"
    channel = LogChannel(path, bytes_max=600)
    for number in range(4):
        await channel.send(message(number))
    await channel.close()
    assert (tmp_path / "sent.1.jsonl").exists()
    again = LogChannel(path, bytes_max=600)
    for number in range(4):
        await again.send(message(number))
    await again.close()
    lines = [
        *path.read_bytes().splitlines(),
        *(tmp_path / "sent.1.jsonl").read_bytes().splitlines(),
    ]
    assert len(lines) == 4


async def test_a_full_disk_is_a_reason_to_wait(tmp_path, monkeypatch):
    channel = LogChannel(tmp_path / "sent.jsonl")
    await channel.send(message(1))

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(Later, match="No space left"):
            await channel.send(message(2))
    assert await channel.send(message(2)) == Sent()
    await channel.close()
    assert len((tmp_path / "sent.jsonl").read_bytes().splitlines()) == 2


def test_without_a_file_everything_goes_to_the_log_channel(tmp_path):
    plan = read_plan(tmp_path)
    assert plan.target_of("push") == "log"
    assert list(open_channels(tmp_path, plan)) == ["log"]


def test_with_a_webhook_everything_goes_there(tmp_path):
    plan = read_plan(tmp_path, "https://crm.example/hook")
    assert plan.target_of("push") == "webhook"
    channels = open_channels(tmp_path, plan)
    assert list(channels) == ["webhook"]
    secret = tmp_path / "webhook-webhook.secret"
    assert secret.read_text().startswith("whsec_")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    before = secret.read_text()
    open_channels(tmp_path, plan)
    assert secret.read_text() == before


def test_a_message_is_carried_by_one_channel_only(tmp_path):
    (tmp_path / "channels.json").write_bytes(orjson.dumps({
        "targets": {"crm": {"url": "https://crm.example/hook"}}, "via": {"sms": "crm"},
    }))  # fmt: skip
    channels = open_channels(tmp_path, read_plan(tmp_path))
    assert set(channels) == {"crm", "log"}
    for via, name in (("sms", "crm"), ("push", "log"), ("", "log")):
        sent = Message("D", "a", "r", "c", via, "t")
        assert [n for n, (_, wanted) in channels.items() if wanted(sent)] == [name]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"via": {"sms": "crm"}}', "known are log"),
        ('{"target": {}}', "unknown field"),
        ('{"targets": {"crm": {"url": 1}}}', "Expected `str`"),
        ("{", "truncated"),
    ],
)
def test_a_plan_that_cannot_work_is_refused_with_its_file(tmp_path, text, told):
    (tmp_path / "channels.json").write_text(text)
    with pytest.raises(ChannelsError, match=r"channels\.json") as refused:
        read_plan(tmp_path)
    assert told in str(refused.value)


def test_a_receiver_inside_is_refused_at_the_start(tmp_path):
    with pytest.raises(ChannelsError, match="loopback if private"):
        open_channels(tmp_path, read_plan(tmp_path, "http://127.0.0.1:9/"))


def test_an_allow_list_bounds_whom_a_plan_may_name(tmp_path):
    plan = read_plan(tmp_path, "https://crm.example/hook")
    for allow in ("", "crm.example", "*.shop.example, crm.example"):
        assert list(open_channels(tmp_path, plan, allow)) == ["webhook"]
    with pytest.raises(ChannelsError, match=r"LAIKE_WEBHOOK_ALLOW is \*\.shop\.example"):
        open_channels(tmp_path, plan, "*.shop.example")


def test_mail_and_apprise_are_told_addresses_and_read_their_secrets_from_files(tmp_path):
    (tmp_path / "mail.secret").write_text("right\n")
    (tmp_path / "team.url").write_text("wecombot://abcdef0123456789abcdef\n")
    (tmp_path / "channels.json").write_bytes(orjson.dumps({
        "targets": {
            "mail": {"kind": "smtp", "host": "smtp.example", "from": "a@shop.example",
                     "user": "shop", "password_file": "mail.secret"},
            "team": {"kind": "apprise", "url_file": "team.url"},
            "crm": {"kind": "webhook", "url": "https://crm.example/h"},
        },
        "via": {"email": "mail", "alert": "team", "sms": "crm"},
    }))  # fmt: skip
    plan = read_plan(tmp_path)
    assert [plan.tells_addresses(name) for name in ("mail", "team", "crm", "log")] == [
        True, True, False, False,
    ]  # fmt: skip
    assert set(open_channels(tmp_path, plan)) == {"mail", "team", "crm", "log"}
    with pytest.raises(ChannelsError, match=r"smtp\.example: allowed by LAIKE_WEBHOOK_ALLOW"):
        open_channels(tmp_path, plan, "crm.example")


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ({"kind": "pigeon"}, "known are webhook, smtp, apprise"),
        ({"kind": "smtp", "host": "h"}, "missing required field `from`"),
        ({"kind": "smtp", "host": "h.example", "from": "nobody"}, "channel 'x'"),
        ({"kind": "smtp", "host": "h.example", "from": "a@b.example", "tls": "none"}, "if private"),
        ({"kind": "apprise", "url_file": "nowhere"}, "No such file"),
    ],
)
def test_a_target_that_cannot_work_is_refused_by_its_name(tmp_path, target, told):
    plan = {"targets": {"x": target}, "via": {"sms": "x"}}
    (tmp_path / "channels.json").write_bytes(orjson.dumps(plan))
    with pytest.raises(ChannelsError) as refused:
        open_channels(tmp_path, read_plan(tmp_path))
    assert told in str(refused.value)
