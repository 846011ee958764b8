"""What a review complains of: words that stand for a topic, the shop's own and learned ones.

Must live here: the seed words, and how words are found in a text. Must not: learning words
(topics_learner.py), telling praise from complaint (reviews.py): a topic is what a text is about.

A text is read as units, a Chinese character or a word of letters each; a topic's words are looked
up among the runs of one to four units, so that no worker needs a dictionary to part Chinese.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

RUN_MAX: Final = 4
UNITS: Final = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+|[^\W\d_a-z]|[!?！？。，,.~～…]")

# Topic -> words in Chinese | words in English; both parted by spaces, `_` joins words.
_SEEDS: Final[Mapping[str, str]] = {
    "quality": "质量 做工 材质 劣质 粗糙 掉色 起球 开线 坏了 不耐用 次品 不好用"
    " | quality broke broken defective faulty flimsy poorly_made fell_apart stopped_working",
    "size": "尺码 尺寸 偏大 偏小 太大 太小 大小 码数 合身 不合适"
    " | size sizing too_small too_big too_large too_tight fit doesn't_fit",
    "delivery": "物流 快递 发货 送货 太慢 配送 运输 迟迟 没收到 催"
    " | delivery shipping shipped late delayed delay courier never_arrived slow",
    "packaging": "包装 盒子 箱子 外包装 封口 纸箱 | packaging package packed box wrapping",
    "damaged": "破损 压坏 碎了 摔坏 漏了 裂开 划痕 变形 破了"
    " | damaged crushed cracked scratched dented leaking leaked torn",
    "fake": "假货 假的 正品 仿冒 山寨 水货 盗版 冒牌 真假"
    " | fake counterfeit knockoff genuine authentic replica",
    "service": "客服 态度 服务 卖家 店家 不理 前台 服务员"
    " | service support seller rude ignored no_reply unhelpful staff",
    "price": "价格 太贵 降价 差价 不值 价钱 性价比 涨价 贵了"
    " | price expensive overpriced cheaper not_worth waste_of_money",
    "wrong_item": "发错 错发 少发 漏发 不符 不一样 与描述 颜色不对 缺件 少了"
    " | wrong_item wrong_size wrong_color wrong_colour missing not_as_described different_from",
    "refund": "退货 退款 换货 售后 保修 退换 退钱 维修"
    " | refund return returned exchange warranty replacement",
    "freshness": "新鲜 烂了 坏果 变质 发霉 过期 腐烂 难吃 不甜 口感"
    " | rotten expired mouldy moldy stale fresh spoiled taste",
    "hygiene": "卫生 很脏 异味 味道 难闻 刺鼻 过敏 虫子 头发丝"
    " | dirty smell smells smelly stinks unclean allergic hygiene",
}
TOPICS: Final = tuple(_SEEDS)


def units(text: str) -> list[str]:
    """The text's units, in small letters.

    >>> units("It's 太慢了, OK?")
    ["it's", '太', '慢', '了', ',', 'ok', '?']
    """
    return UNITS.findall(text.lower())


def shown(unit: str) -> str:
    """A unit as it stands in a run: a word of letters begins with a space."""
    return f" {unit}" if "a" <= unit[0] <= "z" else unit


def _seeds() -> dict[str, str]:
    return {
        "".join(shown(unit) for unit in units(word.replace("_", " "))): topic
        for topic, words in _SEEDS.items()
        for word in words.replace("|", " ").split()
    }


SEEDS: Final[Mapping[str, str]] = _seeds()  # run -> topic


class Lexicon:
    """The seeds and what was learned beside them: `learned` is run -> topic."""

    def __init__(self, learned: Mapping[str, str] | None = None) -> None:
        self.words: dict[str, str] = {**(learned or {}), **SEEDS}

    def topics(self, found: Sequence[str]) -> list[str]:
        """The topics of these units, in the order of TOPICS.

        >>> Lexicon().topics(units("快递太慢，包装也破了。The box was damaged"))
        ['delivery', 'packaging', 'damaged']
        """
        runs = [shown(unit) for unit in found]
        words, seen = self.words, set[str]()
        for first in range(len(runs)):
            run = ""
            for unit in runs[first : first + RUN_MAX]:
                run += unit
                topic = words.get(run)
                if topic is not None:
                    seen.add(topic)
        return [topic for topic in TOPICS if topic in seen]
