"""CityHash128 in its version 1.0.2, the checksum of ClickHouse's compressed frames.

Pure, and written out in Python because nothing we depend on has this old version; it hashes some
20 MB a second, enough for the one kind of client (JDBC) that asks for such frames. The algorithm is
Google's (2011, MIT); the test compares it with what the engine itself wrote to disk.
"""

from struct import Struct

_MASK = (1 << 64) - 1
_K0, _K1 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273
_K2, _K3 = 0x9AE16A3B2F90404F, 0xC949D7C7509E6557
_MUL = 0x9DDFEA08EB382D69
_Pair = tuple[int, int]

_word = Struct("<Q").unpack_from
_half = Struct("<I").unpack_from
_eight = Struct("<8Q").unpack_from
_four = Struct("<4Q").unpack_from


def city_hash_128(data: bytes) -> bytes:
    """The hash of `data` as the wire has it: two little-endian words, the low one first."""
    size = len(data)
    if size >= 16:
        seed = (_word(data)[0] ^ _K3, _word(data, 8)[0])
        low, high = _with_seed(data[16:], seed)
    elif size >= 8:
        seed = (_word(data)[0] ^ (size * _K0 & _MASK), _word(data, size - 8)[0] ^ _K1)
        low, high = _with_seed(b"", seed)
    else:
        low, high = _with_seed(data, (_K0, _K1))
    return low.to_bytes(8, "little") + high.to_bytes(8, "little")


def _rotate(value: int, by: int) -> int:
    return (value >> by | value << (64 - by)) & _MASK if by else value


def _shift_mix(value: int) -> int:
    return value ^ (value >> 47)


def _of_two(low: int, high: int) -> int:
    mixed = _shift_mix((low ^ high) * _MUL & _MASK)
    mixed = _shift_mix((high ^ mixed) * _MUL & _MASK)
    return mixed * _MUL & _MASK


def _weak(words: tuple[int, ...], first: int, second: int) -> _Pair:
    one, two, three, four = words
    first += one
    second = _rotate((second + first + four) & _MASK, 21)
    total = first + two + three
    second += _rotate(total & _MASK, 44)
    return (total + four) & _MASK, (second + first) & _MASK


def _up_to_16(data: bytes) -> int:
    size = len(data)
    if size > 8:
        first, last = _word(data)[0], _word(data, size - 8)[0]
        return _of_two(first, _rotate((last + size) & _MASK, size)) ^ int(last)
    if size >= 4:
        return _of_two((size + (_half(data)[0] << 3)) & _MASK, _half(data, size - 4)[0])
    if size:
        left = data[0] + (data[size >> 1] << 8)
        right = size + (data[-1] << 2)
        return _shift_mix((left * _K2 ^ right * _K3) & _MASK) * _K2 & _MASK
    return _K2


def _murmur(data: bytes, seed: _Pair) -> _Pair:
    a, b = seed
    size = len(data)
    if size <= 16:
        a = _shift_mix(a * _K1 & _MASK) * _K1 & _MASK
        c = (b * _K1 + _up_to_16(data)) & _MASK
        d = _shift_mix((a + (_word(data)[0] if size >= 8 else c)) & _MASK)
    else:
        c = _of_two((_word(data, size - 8)[0] + _K1) & _MASK, a)
        d = _of_two((b + size) & _MASK, (c + _word(data, size - 16)[0]) & _MASK)
        a = (a + d) & _MASK
        for at in range(0, size - 16, 16):
            a = (a ^ _shift_mix(_word(data, at)[0] * _K1 & _MASK) * _K1) * _K1 & _MASK
            b ^= a
            c = (c ^ _shift_mix(_word(data, at + 8)[0] * _K1 & _MASK) * _K1) * _K1 & _MASK
            d ^= c
    a, b = _of_two(a, c), _of_two(d, b)
    return a ^ b, _of_two(b, a)


def _with_seed(data: bytes, seed: _Pair) -> _Pair:
    size = len(data)
    if size < 128:
        return _murmur(data, seed)
    x, y = seed
    z = size * _K1 & _MASK
    first = (_rotate(y ^ _K1, 49) * _K1 + _word(data)[0]) & _MASK
    v = (first, (_rotate(first, 42) * _K1 + _word(data, 8)[0]) & _MASK)
    w = (
        (_rotate((y + z) & _MASK, 35) * _K1 + x) & _MASK,
        _rotate((x + _word(data, 88)[0]) & _MASK, 53) * _K1 & _MASK,
    )
    whole = size - size % 128
    for at in range(0, whole, 64):
        words = _eight(data, at)
        x = _rotate((x + y + v[0] + words[2]) & _MASK, 37) * _K1 & _MASK ^ w[1]
        y = _rotate((y + v[1] + words[6]) & _MASK, 42) * _K1 & _MASK ^ v[0]
        z = _rotate(z ^ w[0], 33)
        v = _weak(words[:4], v[1] * _K1, x + w[0])
        w = _weak(words[4:], z + w[1], y)
        z, x = x, z
    y = (y + _rotate(w[0], 37) * _K0 + z) & _MASK
    x = (x + _rotate((v[0] + z) & _MASK, 49) * _K0) & _MASK
    low = w[0]
    for done in range(32, size - whole + 32, 32):
        words = _four(data, size - done)
        y = (_rotate((y - x) & _MASK, 42) * _K0 + v[1]) & _MASK
        low = (low + words[2]) & _MASK
        x = (_rotate(x, 49) * _K0 + low) & _MASK
        low = (low + v[0]) & _MASK
        v = _weak(words, v[0], v[1])
    x, y = _of_two(x, v[0]), _of_two(y, low)
    return (
        (_of_two((x + v[1]) & _MASK, w[1]) + y) & _MASK,
        _of_two((x + w[1]) & _MASK, (y + v[1]) & _MASK),
    )
