"""Which shard a key belongs to: Kafka's own murmur2 partitioner, so that every producer agrees.

Must live here: the hash. Must not: anything that knows what a key means.
"""

from functools import lru_cache

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995


def murmur2(data: bytes) -> int:
    """Kafka's murmur2 of `data`, unsigned 32 bits (org.apache.kafka.common.utils.Utils.murmur2).

    >>> murmur2(b"21")
    3321034988
    """
    length = len(data)
    h = 0x9747B28C ^ length
    end = length & ~3
    for i in range(0, end, 4):
        k = int.from_bytes(data[i : i + 4], "little") * _M & _MASK
        k = (k ^ (k >> 24)) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    tail = data[end:]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * _M & _MASK
    h = (h ^ (h >> 13)) * _M & _MASK
    return h ^ (h >> 15)


@lru_cache(maxsize=65_536)
def partition(key: bytes, shards: int) -> int:
    """The shard, 0-based, that `key` lives in among `shards` of them."""
    return (murmur2(key) & 0x7FFFFFFF) % shards
