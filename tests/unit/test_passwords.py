"""Passwords: what is stored, and that nobody's costs as much as somebody's."""

import pytest
from argon2 import extract_parameters

from api.access import passwords
from api.access.passwords import WeakPassword, hashed, right

PASSWORD = "correct horse battery"


def test_a_password_is_stored_as_its_hash_and_nobodys_costs_as_much(monkeypatch):
    stored = hashed(PASSWORD)
    verified = []

    class Spy:
        def verify(self, found, password):
            verified.append(extract_parameters(found))
            return hasher.verify(found, password)

    hasher = passwords._HASHER
    monkeypatch.setattr(passwords, "_HASHER", Spy())
    assert right(stored, PASSWORD)
    assert not right(stored, PASSWORD + "!")
    assert not right(None, "nobody's password")
    assert verified[0] == verified[1] == verified[2]
    assert PASSWORD not in stored
    assert stored.startswith("$argon2id$")


def test_what_cannot_be_a_password():
    for password in ("short", "x" * 257):
        with pytest.raises(WeakPassword, match="12 to 256"):
            hashed(password)
    assert not right(None, "\ud800")
    assert not right("no hash", "whatever")
