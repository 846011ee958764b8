"""The rules over HTTP: which are in force, what is proposed, and approving it.

Must live here: these calls. Must not: what a proposal is (proposals), what a rule means.
"""

import functools
from typing import Annotated, Any, Final, NoReturn

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from api import rules_in_force
from api.access.accounts import Accounts, Caller
from api.access.guard import DENIED, requires
from api.access.roles import Role
from api.errors import EVERYWHERE, told
from api.proposals import Proposal, ProposalError, Proposals, State, Verdict
from api.refusals import Refused
from rules.book import Book
from rules.errors import RuleErrors

BOOKS_KEPT: Final = 4
ERRORS_TOLD: Final = 20
_STATUS: Final = {"no_proposal": 404, "own_proposal": 403}  # the others: 409
_MISSING = told({404: "There is no such proposal."})
_CONFLICT = told({409: "Rules or proposal are no longer what they were."})
Number = Annotated[int, Path(ge=1, le=2**53)]


class RuleShown(BaseModel):
    """One rule in force."""

    name: str
    title: str
    owner: str
    status: str
    purpose: str
    priority: int
    file: str


class RulesShown(BaseModel):
    """The book in force."""

    version: str = Field(description="The hash of its files.")
    two_people: bool = Field(description="Whether author and approver must differ.")
    rules: list[RuleShown]


class Proposed(BaseModel):
    """A folder of rules: its files by their paths in it."""

    sources: dict[str, str] = Field(
        examples=[{"shop.yaml": "currency: CNY", "campaigns/a.yaml": "rule: a"}]
    )
    note: str = Field(default="", max_length=500)


class ProposalShown(BaseModel):
    """A proposal, and what became of it."""

    id: int
    author: str
    at: int
    version: str
    base: str = Field(description="The version in force when it was made.")
    rules: list[str]
    note: str
    state: State
    judged_by: str
    judged_at: int


def router(accounts: Accounts, proposals: Proposals) -> APIRouter:
    """The calls."""
    routes = APIRouter(tags=["rules"], responses=EVERYWHERE | DENIED)
    store = accounts.store
    book_of = functools.lru_cache(BOOKS_KEPT)(lambda version: rules_in_force.kept(store, version))

    @routes.get("/v1/rules")
    def rules(_: Annotated[Caller, requires(Role.viewer)]) -> RulesShown:
        """The rules in force, by name."""
        version = rules_in_force.wanted(store)
        book = book_of(version) if version else None
        return RulesShown(
            version=version, two_people=rules_in_force.two_people(store), rules=_rules(book)
        )

    @routes.get("/v1/rules/proposals")
    def every(_: Annotated[Caller, requires(Role.viewer)]) -> list[ProposalShown]:
        """What was proposed, the newest first."""
        return [_shown(*one) for one in proposals.all()]

    @routes.post("/v1/rules/proposals", status_code=201, responses=_CONFLICT)
    def propose(given: Proposed, caller: Annotated[Caller, requires(Role.author)]) -> ProposalShown:
        """Propose a folder's files; they are read and checked as `laike rules check` does."""
        try:
            number, made = proposals.propose(caller.name, given.sources, given.note)
        except RuleErrors as wrong:
            lines = "\n".join(str(error) for error in wrong.errors[:ERRORS_TOLD])
            raise Refused(422, "rule_errors", lines) from None
        except ProposalError as wrong:
            _refuse(wrong)
        return _shown(number, made, Verdict())

    @routes.post("/v1/rules/proposals/{number}/approve", responses=_MISSING | _CONFLICT)
    def approve(
        number: Number, caller: Annotated[Caller, requires(Role.approver)]
    ) -> ProposalShown:
        """Approve it: it is published. Where two people are asked for, not by its author."""
        return _judged(number, lambda: proposals.approve(caller.name, number))

    @routes.post("/v1/rules/proposals/{number}/reject", responses=_MISSING | _CONFLICT)
    def reject(number: Number, caller: Annotated[Caller, requires(Role.approver)]) -> ProposalShown:
        """Reject it."""
        return _judged(number, lambda: proposals.reject(caller.name, number))

    def _judged(number: int, judge: Any) -> ProposalShown:
        try:
            judge()
            return _shown(number, *proposals.find(number))
        except ProposalError as wrong:
            _refuse(wrong)

    return routes


def _refuse(wrong: ProposalError) -> NoReturn:
    raise Refused(_STATUS.get(wrong.code, 409), wrong.code, str(wrong))


def _rules(book: Book | None) -> list[RuleShown]:
    return [
        RuleShown(
            name=rule.name,
            title=rule.title,
            owner=rule.owner,
            status=rule.status,
            purpose=rule.purpose,
            priority=rule.priority,
            file=rule.file,
        )
        for rule in (book.rules.values() if book else ())
    ]


def _shown(number: int, proposal: Proposal, verdict: Verdict) -> ProposalShown:
    return ProposalShown(
        id=number,
        author=proposal.author,
        at=proposal.at,
        version=proposal.version,
        base=proposal.base,
        rules=list(proposal.rules),
        note=proposal.note,
        state=verdict.state,
        judged_by=verdict.by,
        judged_at=verdict.at,
    )
