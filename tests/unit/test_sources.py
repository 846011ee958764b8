"""Who may send: keys, their hashes, trust, rates, and a file that changes."""

import hashlib
import json
import os
import stat

import pytest

from api.sources import Sender, Source, Sources, SourcesError, ensure_sources, read_sources


def write(file, sources):
    file.write_text(json.dumps(sources))
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1_000_000))


def test_a_first_start_makes_two_keys_and_keeps_only_their_hashes(tmp_path):
    keys = ensure_sources(tmp_path)
    assert set(keys) == {"web", "server"}
    text = (tmp_path / "sources.json").read_text()
    assert not any(key in text for key in keys.values())
    for name in ("sources.json", "write-keys.txt"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    sources = Sources(tmp_path / "sources.json")
    assert sources.find(keys["web"]).trusted is False
    assert sources.find(keys["server"]).trusted is True
    assert sources.find("nobody") is None


def test_a_second_start_changes_nothing(tmp_path):
    keys = ensure_sources(tmp_path)
    assert ensure_sources(tmp_path) == keys
    (tmp_path / "write-keys.txt").unlink()
    assert ensure_sources(tmp_path) == {}
    assert Sources(tmp_path / "sources.json").find(keys["web"]).name == "web"


def test_a_key_stands_in_the_file_plain_or_hashed(tmp_path):
    file = tmp_path / "sources.json"
    hashed = "sha256:" + hashlib.sha256(b"two").hexdigest()
    write(file, [{"name": "a", "write_key": "one"}, {"name": "b", "write_key": hashed}])
    sources = Sources(file)
    assert (sources.find("one").name, sources.find("two").name) == ("a", "b")
    assert sources.find(hashed) is None


def test_trust_is_the_servers_unless_the_source_says_otherwise():
    def trusted(**given):
        return Sender(Source(name="s", write_key="k", **given)).trusted

    assert [trusted(), trusted(kind="server")] == [False, True]
    assert [trusted(trusted=True), trusted(kind="server", trusted=False)] == [True, False]


def test_a_changed_file_is_read_again_and_a_broken_one_is_not(tmp_path, caplog):
    file, now = tmp_path / "sources.json", 0.0
    write(file, [{"name": "a", "write_key": "one"}])
    sources = Sources(file, clock=lambda: now)
    write(file, [{"name": "b", "write_key": "two"}])
    assert sources.find("two") is None
    now = 3.0
    assert sources.find("two").name == "b"
    assert sources.find("one") is None
    file.write_text("[{")
    now = 6.0
    assert sources.find("two").name == "b"
    assert "the sources before stay" in caplog.text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}", "Expected `array`"),
        ('[{"name":"a","write_key":"k","kind":"robot"}]', "robot"),
        ('[{"name":"a","write_key":"k"},{"name":"b","write_key":"k"}]', "key of its own"),
        ('[{"name":"a","write_key":""}]', "key of its own"),
        ('[{"name":"a","write_key":"k"},{"name":"a","write_key":"l"}]', "name of its own"),
        (
            '[{"name":"a","write_key":"k","old_keys":[{"write_key":"k","until":1}]}]',
            "key of its own",
        ),
        ('[{"name":"a","write_key":"sha256:12"}]', "64 hex digits"),
        ('[{"name":"laike api","write_key":"k"}]', "a name of our own"),
        ('[{"name":"Laike","write_key":"k"}]', "a name of our own"),
    ],
)
def test_a_bad_file_says_what_is_wrong(tmp_path, text, told):
    file = tmp_path / "sources.json"
    file.write_text(text)
    with pytest.raises(SourcesError, match=told):
        read_sources(file)


def test_an_old_key_is_good_until_its_time(tmp_path, monkeypatch):
    file = tmp_path / "sources.json"
    old = [{"write_key": "sha256:" + hashlib.sha256(b"old").hexdigest(), "until": 2_000_000}]
    write(file, [{"name": "a", "write_key": "new", "rate": 10, "old_keys": old}])
    sources = Sources(file)
    monkeypatch.setattr("api.sources.time.time", lambda: 1_999.9)
    assert sources.find("old") is sources.find("new")  # and one allowance
    monkeypatch.setattr("api.sources.time.time", lambda: 2_000.0)
    assert sources.find("old") is None
    assert sources.find("new").name == "a"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SourcesError, match=r"sources\.json"):
        Sources(tmp_path / "sources.json")


def test_a_rate_lets_a_burst_pass_and_then_its_rate():
    sender = Sender(Source(name="s", write_key="k", rate=10))
    assert sender.spend(50, now=0.0) == 0
    assert sender.spend(1, now=0.0) == 1
    assert sender.spend(1, now=0.5) == 0
    assert sender.spend(1000, now=100.0) == 0
    assert sender.spend(1, now=101.0) == 94
    assert Sender(Source(name="s", write_key="k")).spend(10**9, now=0.0) == 0
