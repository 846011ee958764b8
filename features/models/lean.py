"""River without scikit-learn and pandas, which it loads where it finds them, for what nobody calls.

Must live here: the loading. Must not: a model. Imported before River, it saves a process that
learns a third of a second; both can be imported as ever afterwards.
"""

import sys
from importlib import import_module
from typing import Final

UNUSED: Final = ("sklearn", "pandas")


def load_river() -> None:
    """Load River's own parts, unless it is there."""
    if "river" in sys.modules:
        return
    absent = [name for name in UNUSED if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment] # how Python says: not to be found
    try:
        for part in ("linear_model", "preprocessing", "anomaly", "drift"):
            import_module(f"river.{part}")
    finally:
        for name in absent:
            del sys.modules[name]


load_river()
