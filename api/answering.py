"""What calls that wait for a commit are told: their answer, or where to ask for it later.

Must live here: the 202, the call that polls, how each kind of answer is worded. Must not: the
calls themselves. Asking later gives what the call would have given.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel

from api.asking import Asking
from api.callers import CALLER_ERRORS, page_or_server
from api.errors import EVERYWHERE, told
from api.refusals import Refused
from api.sources import Sources
from api.tokens import TOKEN_MAX, Tokens
from engine.answers import Answer

Reply = Callable[[Answer, dict[str, Any]], Any]


class Pending(BaseModel):
    """It is in the log and not decided yet."""

    status: str = "pending"
    poll_url: str


PENDING: Final[dict[int | str, dict[str, Any]]] = {
    202: {"model": Pending, "description": "In the log, not decided within 300 ms: ask there."}
}


def pending(tokens: Tokens, call: str, cid: str, name: str, extra: Mapping[str, Any]) -> Response:
    """What is said when the commit takes longer."""
    url = f"/v1/answers/{tokens.sign('answer', [call, cid, name, dict(extra)])}"
    body = Pending(poll_url=url).model_dump_json()
    return Response(body, 202, media_type="application/json")


def router(
    asking: Asking, tokens: Tokens, sources: Sources, replies: Mapping[str, Reply]
) -> APIRouter:
    """The call that asks later."""
    routes = APIRouter(prefix="/v1", tags=["pages"], responses=EVERYWHERE | CALLER_ERRORS)

    @routes.get(
        "/answers/{token}", responses=PENDING | told({409: "It was refused; the message says why."})
    )
    async def answer(
        token: Annotated[str, Path(max_length=TOKEN_MAX)],
        _: Annotated[str, page_or_server(sources)],
    ) -> Any:
        """The answer to a call that said 202."""
        call, cid, name, extra = tokens.read("answer", token)
        found = await asking.answer(cid, name)
        if found is None:
            return pending(tokens, call, cid, name, extra)
        return replies[call](found, extra)

    return routes


def granted(answer: Answer) -> Answer:
    """The answer, where it is a yes."""
    if not answer["ok"]:
        raise refused(answer)
    return answer


def refused(answer: Answer) -> Refused:
    """What a refusal is told as."""
    return Refused(409, answer["reason"].replace(" ", "_"), f"refused: {answer['reason']}")
