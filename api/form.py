"""What every form that is sent to us has in common: its texts are texts.

Must live here: that. Must not: a form. JSON can spell half a character (a lone surrogate), which no
log, table or answer can hold.
"""

import json
from typing import Any

from pydantic import BaseModel, model_validator


class Form(BaseModel):
    """A call's body, or a part of it."""

    @model_validator(mode="before")
    @classmethod
    def whole_characters(cls, given: Any) -> Any:
        """Refuse half characters: the error is a ValueError, so it is told as one of the form."""
        json.dumps(given, ensure_ascii=False, default=str).encode()
        return given
