import pytest

from features.models.snapshot import BadSnapshot, pack, unpack

SECRET = b"the shop's"
CONTENT = {"weights": {"b": 0.1, "a": -1e-9}, "名": [1, None, "x"]}


def test_what_was_packed_comes_out():
    assert unpack(pack(CONTENT, SECRET), SECRET) == CONTENT


def test_the_bytes_do_not_depend_on_the_order_of_names():
    assert pack({"a": 1, "b": 2}, SECRET) == pack({"b": 2, "a": 1}, SECRET)


def test_any_changed_byte_is_refused():
    data = pack(CONTENT, SECRET)
    for at in range(len(data)):
        forged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(BadSnapshot):
            unpack(forged, SECRET)


@pytest.mark.parametrize(
    "data", [b"", b"{}", pack(CONTENT, b"another's"), pack(CONTENT, SECRET)[:-1]]
)
def test_what_is_not_signed_with_this_secret_is_refused(data):
    with pytest.raises(BadSnapshot):
        unpack(data, SECRET)


@pytest.mark.parametrize("value", [float("nan"), [1.0, float("inf")], {"x": {"y": float("nan")}}])
def test_nan_is_refused_by_name(value):
    with pytest.raises(ValueError, match=r"snapshot\.weights.*expected a finite number"):
        pack({"weights": value}, SECRET)


def test_an_empty_secret_signs_nothing():
    with pytest.raises(ValueError, match="secret"):
        pack(CONTENT, b"")
