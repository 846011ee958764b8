"""The reference of the language as Markdown, from the tables that read it.

Law: nothing here is said by hand but the headings; rules/README.md holds it between two marks, and
a test compares. `python -m rules.reference rules/README.md` writes it anew. Must not live here:
any one key.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from features.models.names import SCORE_NAMES
from rules.actions import ACTIONS
from rules.forms import Form
from rules.functions import FUNCTIONS
from rules.gates import ORDER
from rules.language import FORMS, written
from rules.subjects import SUBJECTS
from rules.templates import LENGTH_MAX
from rules.unbuilt import UNBUILT

BEGIN: Final = "<!-- the reference: written by rules/reference.py -->"
END: Final = "<!-- end of the reference -->"
VALUES: Final = (
    ("duration", "`30s` `30m` `48h` `7d` `2w`", "elapsed time; a sign in `offset` only"),
    ("time, date, moment", '`"10:00"` `2026-11-11` `2026-11-11 20:00`', ("in the shop's zone; a "
     "moment may name its own: `2026-11-11 20:00 +08:00`")),
    ("money", "`30` `9.90` `30 USD`", "the shop's currency; another by the shop's `exchange`"),
    ("percent", "`10%`", "10% off is 9折"),
    ("rate", "`1 per 7d`", ("rolling; `1 per day`, `week`, `month`, `year`, `run`, `ever`: by the "
     "calendar")),
    ("condition", "`cart.value >= 200`", "on a line of its own, or a list of which all must hold"),
    ("computed", '`"= min(order.total * 0.1, 20)"`', "any value; a computed duration is in days"),
    ("looked up", "`{by: member.tier, gold: 40, else: 15}`", "any value; `else` is needed"),
)  # fmt: skip
SECTIONS: Final = (
    ("A rule: `campaigns/NAME.yaml`", ("rule", "active", "stop_on", "limit", "budget", "quiet")),
    ("Triggers: `when`, exactly one", ("when", "sequence", "then_not")),
    ("Steps: `do`", ("do", "wait", "choose", "split", "bandit", "arm")),
    ("Actions", tuple(kind.form.place for kind in ACTIONS.values())),
    ("Examples: `examples`", ("example", "given", "expect")),
    ("A segment: `segments/NAME.yaml`", ("segment", "tier")),
    ("An offer: `offers/NAME.yaml`", ("offer", "codes", "returns")),
    ("The shop: `shop.yaml`", ("shop", "holdout", "cap")),
)
STEPS: Final = {
    "wait": "- wait: {for: 30m, since_last: [Product Added, Cart Viewed]}\n"
    "- wait: {event: Order Paid, for: 3d}\n- wait: {until: 2026-11-11 00:00}",
    "choose": '- choose:\n    - if: member.tier == "gold"\n      do:\n'
    "        - notify: {via: push, template: gold}\n    - do:\n"
    "        - notify: {via: push, template: others}",
    "split": "- split:\n    - {name: coupon, share: 50%, do: [{coupon: {offer: SAVE}}]}\n"
    "    - {name: nothing, share: 50%, do: []}",
    "bandit": "- bandit:\n    reward: Order Paid\n    within: 7d\n    value: money\n"
    "    explore: 5%\n    arms:\n"
    "      - {name: ten, do: [{coupon: {offer: SAVE, off: 10, valid: 48h}}]}\n"
    "      - {name: nothing, do: []}",
    "coupon": "- coupon: {offer: SAVE, off: 10%, over: 100, most: 50, valid: 48h}",
    "notify": "- notify: {via: [push, wechat, sms], template: cart_coupon}",
    "show": "- show: {template: banner, with: {gain: 10}}",
    "points": "- points: {add: 100, expires: 365d, reason: 生日}",
    "tag": "- tag: {add: gold, remove: silver}",
    "audience": "- audience: {add: lookalike-seed}",
    "recommend": "- recommend: {kind: similar, n: 4}",
    "task": "- task: {team: vip, title: 电话回访, priority: high, due: 24h}",
    "alert": "- alert: {to: merchant, template: bad_review}",
    "pause": "- pause: {purpose: marketing, for: 14d}",
    "webhook": '- webhook: {name: crm, body: {value: "= cart.value"}}',
    "emit": "- emit: {event: Referral Rewarded, properties: {from: rules}}",
}


def reference() -> str:
    """The whole reference, without its marks."""
    return "\n".join(_lines()).strip() + "\n"


def renewed(text: str) -> str:
    """A document with the reference between its marks made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{reference()}\n{END}{after}"


def _lines() -> Iterator[str]:
    yield from ("### Values", "", "| value | written | |", "|---|---|---|")
    yield from (f"| {name} | {form} | {doc} |" for name, form, doc in VALUES)
    yield ""
    for title, places in SECTIONS:
        yield from (f"### {title}", "")
        for place in places:
            yield from _form(FORMS[place])
    yield from ("### Subjects: `once_per`, and the fields each opens", "")
    yield from ("| subject | is | fields |", "|---|---|---|")
    for name, subject in SUBJECTS.items():
        fields = ", ".join(f"`{name}.{field}`" for field in subject.fields)
        yield f"| `{name}` | {subject.doc} | {fields} |"
    yield from ("", "### Gates, in their order, and the reasons each holds for", "")
    yield from (f"1. {gate.name}: {_words(gate.reasons)}" for gate in ORDER)
    yield from ("", "### Expressions", "")
    yield (
        "`and or not`, comparisons, `in`, `+ - * /`, `a if c else b`, and "
        f"{_words(f'{name}()' for name in FUNCTIONS)}. Names: the catalog's features, `event.NAME` "
        "(under `when` and where an event is heard; in the values of `do`, not in its `if`, of the "
        "event that began the rule), the subject's fields, `segment.NAME`, `arrived` after a wait "
        "for an event."
    )
    yield from ("", "### Scores: what models say of him; missing while there is no model", "")
    yield from ("| name | unit | |", "|---|---|---|")
    for name, score in SCORE_NAMES.items():
        to_come = " (to come)" if f"name.{name}" in UNBUILT else ""
        yield f"| `{name}`{to_come} | {score.unit} | {score.doc} |"
    yield ""
    lengths = ", ".join(f"{channel} {most}" for channel, most in LENGTH_MAX.items())
    yield from ("### Templates: `templates/NAME.{zh,en}.{CHANNEL}.j2`", "")
    yield (
        "Jinja2 without globals. Names: features, the subject's fields, `with`, `coupon.*`, "
        "`points.*`, `items`, and `event.NAME` of the event that began the rule. Filters of ours: "
        f"`day`, `time`, `money`, `off`. At most so many characters: {lengths}."
    )


def _words(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _form(form: Form) -> Iterator[str]:
    yield from (f"**{form.what}**", "", "| key | value | |", "|---|---|---|")
    for name, key in form.keys.items():
        needed = " (needed)" if key.needed else ""
        yield f"| `{name}`{needed} | {_kind(key.kind)} | {key.doc} |"
    yield ""
    examples = [key.example for key in form.keys.values() if key.example]
    if form.place in STEPS:
        examples = [STEPS[form.place]]
    elif form.place == "do":
        examples = [STEPS["choose"], STEPS["split"]]
    if form.place == "when":
        indented = ("when:\n  " + example.replace("\n", "\n  ") for example in examples)
        examples = ["\n---\n".join(indented)]
    if examples:
        yield from ("```yaml", *"\n".join(examples).split("\n"), "```", "")


def _kind(kind: str) -> str:
    shown = []
    for one in written(kind):
        text = f"{{{one.form}}}" if one.form else one.atom
        if one.words:
            text = " ".join(f"**{w}**" if w == one.default else w for w in one.words)
        shown.append(text)
    many = any(one.many for one in written(kind))
    return " or ".join(shown) + (", or a list" if many else "")


if __name__ == "__main__":
    readme = Path(sys.argv[1])
    readme.write_text(renewed(readme.read_text()))
