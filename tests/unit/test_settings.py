"""What a process is told: defaults, files instead of variables, and every fault at once."""

import pytest

from engine.settings import Settings, SettingsError, make_secret

SECRET = b"0123456789abcdef"


def load(data, **environ):
    return Settings.load({f"LAIKE_{name}": value for name, value in environ.items()}, data=data)


def test_a_process_and_its_child_load_the_same(tmp_path):
    make_secret(tmp_path / "secret")
    told = load(tmp_path, SHARDS="8", LOG="kafka://a:1,b:2", WORKER_COUNT="4", WORKER_INDEX="3")
    assert Settings.load(told.environment()) == told
    assert not told.embedded
    assert told.sources_file == tmp_path / "sources.json"


def test_what_is_given_in_code_goes_before_the_environment(tmp_path):
    told = Settings.load({"LAIKE_PORT": "9"}, data=tmp_path, secret=SECRET, port=8, host=None)
    assert (told.port, told.host) == (8, "127.0.0.1")


def test_every_fault_is_told_at_once(tmp_path):
    with pytest.raises(SettingsError) as told:
        Settings(
            data=tmp_path,
            secret=b"short",
            log="amqp://x",
            redis="localhost",
            clickhouse="tcp://x",
            shards=0,
            worker_index=2,
            clock="sundial",
        )
    words = ("secret has 5 bytes", "LAIKE_LOG", "LAIKE_REDIS", "LAIKE_CLICKHOUSE", "LAIKE_SHARDS")
    for word in (*words, "worker_index", "wall or record"):
        assert word in str(told.value)


def test_an_url_with_a_password_may_stand_in_a_file(tmp_path):
    make_secret(tmp_path / "secret")
    (tmp_path / "url").write_text("redis://:pw@redis:6379\n")
    told = load(tmp_path, REDIS_FILE=str(tmp_path / "url"))
    assert told.redis == "redis://:pw@redis:6379"
    with pytest.raises(SettingsError, match="LAIKE_REDIS_FILE"):
        load(tmp_path, REDIS_FILE=str(tmp_path / "missing"))


def test_a_secret_is_made_once_for_its_owner_alone(tmp_path):
    first = make_secret(tmp_path / "secret")
    assert make_secret(tmp_path / "secret") == first
    assert len(first) == 64
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_without_a_secret_it_says_how_to_make_one(tmp_path):
    with pytest.raises(SettingsError, match="openssl rand -hex 32"):
        load(tmp_path)


def test_an_address_that_cannot_be_is_told_without_its_password_and_path(tmp_path):
    wrong = {
        "log": "reddis://:PASSWORD@h:1/0",
        "redis": ":PASSWORD@h:1",
        "clickhouse": "tcp://me:PASSWORD@h/x?password=PASSWORD",
        "webhook": "ftp://h/PASSWORD",
    }
    with pytest.raises(SettingsError) as told:
        Settings(data=tmp_path, secret=SECRET, **wrong)
    assert "PASSWORD" not in str(told.value)
    assert "reddis://h:1" in str(told.value)


def test_what_is_not_set_is_left_to_the_childs_own_environment(tmp_path):
    told = Settings(data=tmp_path, secret=SECRET, worker_index=0).environment()
    assert "LAIKE_WEBHOOK" not in told
    assert told["LAIKE_WORKER_INDEX"] == "0"


def test_a_secret_is_never_shown(tmp_path):
    assert "0123456789" not in repr(Settings(data=tmp_path, secret=SECRET))
