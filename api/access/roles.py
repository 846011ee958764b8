"""What a user may do: four roles, each holding those before it.

Must live here: the roles and their order. Must not: which call needs which.
"""

from enum import StrEnum


class Role(StrEnum):
    """From who may look to who may do all."""

    viewer = "viewer"  # sees rules, figures, masked customers
    author = "author"  # proposes rules
    approver = "approver"  # approves and publishes them
    admin = "admin"  # users, tokens, sources, the audit log

    def covers(self, needed: "Role") -> bool:
        """Whether this role may do what `needed` may.

        >>> Role.admin.covers(Role.author), Role.viewer.covers(Role.author)
        (True, False)
        """
        order = list(Role)
        return order.index(self) >= order.index(needed)
