"""What made-up customers write of what they got: a sentence or two that fit their stars.

Must live here: the words. Must not: who reviews when (habits.py). They follow from order and stars
alone, so that a world with texts has the same events as one without.
"""

from typing import Final
from zlib import crc32

MERCHANTS: Final = 8
_OPENING: Final = ("", "收到了。", "第二次买。", "朋友推荐的。", "等了几天。")
_BY_STARS: Final = {
    1: "质量太差，用了一次就坏了 发货太慢，客服也不理人 收到就破损了，要求退货 假货，再也不来",
    2: "做工粗糙，不值这个价 物流太慢，包装也破了 尺码偏小，穿不了 客服态度差，退款麻烦",
    3: "一般吧，凑合用 还行，没有想象的好 中规中矩，价格略贵 物流慢了点，东西还可以",
    4: "不错，性价比可以 挺好的，物流也快 质量还可以，会再来 好用，就是稍微贵了点",
    5: "非常喜欢，做工精致 很满意，发货很快 质量很好，值得推荐 和描述一样，超值",
}


def opinion(order_id: str, stars: int, brand: str) -> dict[str, object]:
    """Text and merchant of a review.

    >>> opinion("o1", 5, "青禾")["text"] == opinion("o1", 5, "青禾")["text"]
    True
    """
    lot = crc32(order_id.encode())
    words, opening = _BY_STARS[stars].split(), _OPENING[lot // 16 % len(_OPENING)]
    return {
        "text": opening + words[lot % len(words)],
        "merchant_id": f"m{crc32(brand.encode()) % MERCHANTS + 1}",
    }
