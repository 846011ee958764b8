import math

from features import fold


def test_short_keeps_ids_apart_and_small():
    assert fold.short("p-17") == "p-17"
    assert fold.short("裙" * 21) == "裙" * 21
    long = [fold.short("裙" * 100 + str(n)) for n in range(9)]
    assert len(set(long)) == 9
    assert all(len(name.encode()) <= 64 for name in long)
    assert fold.short(long[0]) == long[0]


def test_an_id_is_found_only_where_an_id_begins():
    ids = b"abcdefbcdefaxxxxxx"
    assert fold.remembers(ids, b"abcdef")
    assert fold.remembers(ids, b"xxxxxx")
    assert not fold.remembers(ids, b"defbcd")
    assert not fold.remembers(b"", b"abcdef")
    assert fold.remembers(b"aababc" + b"babcaa", b"babcaa")


def test_ages():
    assert fold.days(0, 10) != fold.days(0, 10)
    assert fold.days(5, 3) == 0
    assert fold.age(fold.HOUR_MS, 3 * fold.HOUR_MS, fold.HOUR_MS) == 2
    assert fold.earlier(0, 5) == fold.earlier(5, 0) == fold.earlier(5, 9) == 5
    assert math.isclose(fold.decayed(8, 0, 3 * fold.DAY_MS, fold.DAY_MS), 1)
