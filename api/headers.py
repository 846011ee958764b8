"""What a browser is told to keep to, whatever it was answered.

Must live here: the headers and their values. Must not: an answer.
"""

from typing import Final

HEADERS: Final = {
    "content-security-policy": "default-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}
HSTS: Final = "max-age=31536000; includeSubDomains"  # over https alone
RAW: Final = tuple((name.encode(), value.encode()) for name, value in HEADERS.items())
