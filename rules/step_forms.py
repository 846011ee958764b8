"""The forms of `do`: a step, and what a wait and a branch hold, as tables.

Must not live here: reading them (steps.py), the forms of actions and of a bandit.
"""

from typing import Final

from rules.actions import ACTIONS
from rules.forms import Form, Key

VERBS: Final = ("wait", *ACTIONS, "choose", "split", "bandit", "stop")
STEP: Final = Form(
    "do",
    "a step",
    {
        "wait": Key(
            "duration | lookup | #wait", "nothing until then; what follows is another decision"
        ),
        **{name: Key(f"#{name}", kind.doc) for name, kind in ACTIONS.items()},
        "choose": Key("[#choose]", "the steps of the first branch whose `if` holds"),
        "split": Key("[#split]", "the steps of one branch by lot, the same for a customer always"),
        "bandit": Key(
            "#bandit", "the steps of one arm by lot, more and more the one that brings most"
        ),
        "stop": Key("true", "ends it"),
        "if": Key("condition", "the step is passed over unless it holds then"),
        "as": Key(
            "name",
            "its own name: of an action's a coupon's code is made, of a branching's "
            "its decisions' ids",
        ),
        "optional": Key("true/false*", "the others of its decision go on without it"),
    },
    meant={
        "delay": "wait",
        "sleep": "wait",
        "send": "notify",
        "message": "notify",
        "branch": "choose",
        "when": "choose",
        "switch": "choose",
        "ab": "split",
        "experiment": "split",
        "optimize": "bandit",
        "explore": "bandit",
        "name": "as",
    },
)
WAIT: Final = Form(
    "wait",
    "wait",
    {
        "for": Key("duration | lookup", "so long; with event: at most so long"),
        "since_last": Key("[event]", "counted from the last of these"),
        "until": Key("feature | moment", "until a date or a moment"),
        "event": Key("event", "until this event; then `arrived` says whether it came"),
        "if": Key("condition", "asked of that event"),
    },
)
CHOOSE: Final = Form(
    "choose",
    "a branch of choose",
    {
        "if": Key("condition", "when it is taken; the last one may go without"),
        "do": Key("steps", "its steps", needed=True),
    },
    meant={"when": "if", "then": "do", "else": "do"},
)
SPLIT: Final = Form(
    "split",
    "a branch of split",
    {
        "name": Key("name", "its name, in every decision's `split`", needed=True),
        "share": Key("percent", "of the customers", needed=True),
        "do": Key("steps", "its steps, [] for none", needed=True),
    },
    meant={"weight": "share", "percent": "share"},
)
