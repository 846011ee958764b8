"""Rules of a running engine: a saved file, a broken one, publishing by hand, and the way back."""

import re
import shutil

import msgspec
import pytest
import redis

from api.up_lock import running
from engine.store import ShardState
from engine.stores.redis import keys
from tests.integration.test_up import ROOT, laike, last_json, started, wait_for

pytestmark = pytest.mark.slow
RULE = """
rule: hello
title: Hello
owner: growth
status: live
holdout: 0%
when: {event: Product Viewed}
if: orders.count < LIMIT
once_per: customer
do:
  - notify: {via: [push], template: hello}
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    rules = folder / "rules"
    (rules / "campaigns").mkdir(parents=True)
    shutil.copy(ROOT / "rules" / "shop.yaml", rules / "shop.yaml")
    _save(rules, "1")
    with started("up", "--no-simulate", "--data", folder / "d", "--rules", rules) as up:
        wait_for(lambda: (held := running(folder / "d")) and held.api)
        wait_for(lambda: len(_versions(folder / "d")) == 1)
        yield folder / "d", rules, up


def _save(rules, limit):
    text = RULE.replace("LIMIT", limit)
    (rules / "campaigns" / "hello.yaml").write_text(text)


def _versions(data) -> set[str]:
    """The rules that the shards decide under."""
    held = running(data)
    with redis.Redis.from_url(held.redis) as store:
        states = store.mget([keys(shard)["shard"] for shard in range(8)])
    if None in states:
        return set()
    return {msgspec.msgpack.decode(one, type=ShardState).rules for one in states}


def test_a_saved_file_decides_on_every_shard_and_a_broken_one_changes_nothing(shop):
    data, rules, _ = shop
    before = _versions(data)
    _save(rules, "2")
    wait_for(lambda: len(now := _versions(data)) == 1 and now != before)
    after = _versions(data)
    _save(rules, "no_such_feature")
    _save_and_wait_for_the_report(shop, "no_such_feature")
    assert _versions(data) == after


def _save_and_wait_for_the_report(shop, word):
    _, _, up = shop
    while line := up.stdout.readline():
        if word in line:
            return
    pytest.fail(f"laike up never told of {word}")


def test_publishing_by_hand_and_back_again_is_audited(shop, tmp_path):
    data, _, _ = shop
    (before,) = _versions(data)
    other = tmp_path / "other"
    (other / "campaigns").mkdir(parents=True)
    _save(other, "3")
    done = laike("rules", "publish", other, "--data", data, "--json")
    assert done.returncode == 0, done.stderr
    (told,) = last_json(done)["published"]
    assert told["before"] == before
    wait_for(lambda: _versions(data) == {told["version"]})
    back = laike("rules", "publish", "--rollback", before[:12], "--data", data, "--json")
    assert back.returncode == 0, back.stderr
    wait_for(lambda: _versions(data) == {before})
    listed = last_json(laike("rules", "versions", "--data", data, "--json"))["versions"]
    assert [one["version"] for one in listed if one["in_force"]] == [before]
    assert told["version"] in {one["version"] for one in listed}
    audited = last_json(laike("audit", "list", "--data", data, "--json"))["entries"]
    published = [one for one in audited if one["what"] == "rules published"]
    assert len(published) >= 3  # at the start, by hand, and back
    none = laike("rules", "publish", "--rollback", "0000000000", "--data", data)
    assert none.returncode == 1
    assert "laike rules versions" in none.stderr


def test_where_two_people_are_asked_for_nobody_publishes_alone(shop, tmp_path):
    data, rules, _ = shop
    assert laike("rules", "approval", "two-people", "--data", data).returncode == 0
    try:
        refused = laike("rules", "publish", rules.parent / "rules", "--data", data)
        assert refused.returncode == 1
    finally:
        assert laike("rules", "approval", "off", "--data", data).returncode == 0


def test_why_and_explain_speak_of_a_customer_and_a_decision(shop):
    import httpx  # noqa: PLC0415

    from tests.integration.test_up import api_of, key_of  # noqa: PLC0415

    data, rules, _ = shop
    item = {"userId": "anna", "event": "Product Viewed", "properties": {"product_id": "p1"}}
    answer = httpx.post(f"{api_of(data)}/v1/track", json=item, auth=(key_of(data), ""), timeout=30)
    assert answer.status_code == 200
    sql = "SELECT decision_id FROM decisions FINAL WHERE cid = 'u:anna'"

    def decided():
        return last_json(laike("query", sql, "--data", data, "--json"))["rows"]

    ((decision,),) = wait_for(decided)
    told = laike("rules", "explain", decision[:10], "--data", data)
    assert told.returncode == 0, told.stderr
    assert "hello acted for u:anna" in told.stdout
    assert "read     orders.count 0" in told.stdout
    assert "notify hello by push" in told.stdout
    why = laike("rules", "why", "hello", "anna", "--data", data)
    assert why.returncode == 0, why.stderr
    assert "once_per: it began already" in why.stdout
    assert re.search(r"`orders.count < \d`: yes, orders.count is 0", why.stdout)
    assert "nothing is known" not in why.stdout
    stranger = laike("rules", "why", "hello", "nobody-of-this-name", "--data", data)
    assert (stranger.returncode, "nothing is known of this id" in stranger.stdout) == (0, True)
    as_json = last_json(laike("rules", "why", "hello", "anna", "--data", data, "--json"))
    assert [one["result"] for one in as_json["decisions"]] == ["act"]
    nobody = laike("rules", "why", "helo", "anna", "--data", data)
    assert nobody.returncode == 2
    assert "hello" in nobody.stderr
    _its_history_can_be_replayed(data, rules)


def _its_history_can_be_replayed(data, rules):
    _save(rules, "5")
    done = laike("rules", "backtest", rules, "--data", data, "--json")
    assert done.returncode == 0, done.stderr
    found = last_json(done)
    assert found["events"] == 1
    assert [one["customer"] for one in found["decisions"]] == ["u:anna"]
