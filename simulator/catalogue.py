"""What the made-up shop sells: categories, brands and products, the same for the same seed.

Must live here: goods and their popularity. Must not: customers, events, time.
"""

from bisect import bisect
from itertools import accumulate
from random import Random
from typing import NamedTuple

# category: (typical price in yuan, spread of the logarithm, nouns)
CATEGORIES: dict[str, tuple[float, float, tuple[str, ...]]] = {
    "女装": (159, 0.5, ("连衣裙", "针织衫", "半身裙", "衬衫", "风衣")),
    "男装": (149, 0.5, ("T恤", "夹克", "休闲裤", "卫衣", "衬衫")),
    "鞋靴": (239, 0.5, ("运动鞋", "帆布鞋", "短靴", "凉鞋", "板鞋")),
    "箱包": (199, 0.6, ("双肩包", "托特包", "拉杆箱", "钱包", "腰包")),
    "美妆": (129, 0.6, ("口红", "粉底液", "面膜", "精华液", "防晒霜")),
    "数码": (399, 0.9, ("耳机", "充电宝", "键盘", "智能手表", "音箱")),
    "家电": (329, 0.8, ("电饭煲", "空气炸锅", "吹风机", "加湿器", "台灯")),
    "食品": (49, 0.5, ("坚果礼盒", "牛肉干", "绿茶", "曲奇", "即食燕麦")),
    "母婴": (139, 0.6, ("纸尿裤", "婴儿湿巾", "奶瓶", "积木", "推车")),
    "家居": (89, 0.7, ("四件套", "收纳箱", "保温杯", "抱枕", "地毯")),
    "运动": (169, 0.6, ("瑜伽垫", "速干衣", "跳绳", "登山包", "羽毛球拍")),
    "图书": (45, 0.4, ("小说", "绘本", "历史读物", "食谱", "科普")),
}
BRANDS = (
    "青禾", "拾光", "北岸", "云朵", "木棉", "山止", "鹿鸣", "星野",
    "素然", "南枝", "白桦", "小满", "知夏", "远山", "初雪", "半夏",
)  # fmt: skip
STYLES = ("轻薄", "经典", "复古", "简约", "加厚", "便携", "新款", "大号", "柔软", "限量")


class Product(NamedTuple):
    """One thing on sale; `price` in yuan, as the storefront shows it."""

    product_id: str
    name: str
    category: str
    brand: str
    price: float

    def properties(self) -> dict[str, object]:
        """The product as the event vocabulary has it."""
        return self._asdict()


class Shelf(NamedTuple):
    """One category's products; `reach` are running totals of their popularity."""

    products: tuple[Product, ...]
    reach: tuple[float, ...]


class Catalogue:
    """All shelves. A few products are seen by many, most by few (popularity ~ 1 / rank)."""

    def __init__(self, seed: int, products_per_category: int = 24) -> None:
        rng = Random(f"catalogue {seed}")
        self.categories = tuple(CATEGORIES)
        self.shelves: dict[str, Shelf] = {}
        number = 0
        for category, (typical, spread, nouns) in CATEGORIES.items():
            brands = rng.sample(BRANDS, 5)
            products = []
            for _ in range(products_per_category):
                number += 1
                brand = rng.choice(brands)
                price = max(9.9, round(rng.lognormvariate(0, spread) * typical) - 0.1)
                name = f"{brand}{rng.choice(STYLES)}{rng.choice(nouns)}"
                products.append(Product(f"p{number:04d}", name, category, brand, round(price, 1)))
            reach = accumulate(1 / (rank + 2) for rank in range(len(products)))
            self.shelves[category] = Shelf(tuple(products), tuple(reach))

    @property
    def products(self) -> tuple[Product, ...]:
        """Every product, in order of its id."""
        return tuple(product for shelf in self.shelves.values() for product in shelf.products)

    def pick(self, rng: Random, category: str, brand: str = "") -> Product:
        """A product of `category`, popular ones more often; twice as often of `brand`, if named."""
        products, reach = self.shelves[category]
        last = len(products) - 1
        for _ in range(2):
            # what rng.choices does, without its lists: most of a made-up event's cost was here
            product = products[bisect(reach, rng.random() * reach[-1], 0, last)]
            if not brand or product.brand == brand:
                break
        return product
