"""Who calls: the host's panel by its API key, for the customer that `X-Account-Id` names."""

import re
from contextlib import suppress
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from changeover.domain.problems import NotFound, Problem, RequestInvalid, Unauthorized
from starter.api.keys import ApiKeys
from starter.api.language import preferred
from starter.database_away import DATABASE_AWAY
from starter.plan_changes import PlanChanges
from starter.texts import Texts
from starter.views import AccountView

_ID: Final = re.compile(r"[\x21-\x7e]{1,36}")
_bearer = HTTPBearer(
    auto_error=False, scheme_name="apiKey", description="A key made by `changeover keys create`."
)


class Caller:
    """The caller of one request: the key was checked, the customer not yet."""

    def __init__(self, request: Request) -> None:
        self._request = request

    @property
    def account_id(self) -> str:
        """The customer's id. Raises `RequestInvalid` when none is named; what can't be an id is unknown."""
        named = self._request.headers.getlist("x-account-id")
        given = named[0].strip() if len(named) == 1 else ""
        if not given:  # of two, a proxy could have checked the other
            raise RequestInvalid(field="X-Account-Id", detail="the id of the customer that is acted for")
        return known_id(given, "account")

    async def account(self) -> AccountView:
        """Return the customer's account. Raises `NotFound`."""
        wanted = self.account_id
        plans: PlanChanges = self._request.app.state.plans
        if "@" in wanted:  # the facade also finds accounts by their e-mail address
            raise NotFound(what="account")
        return await plans.account(wanted)


async def authenticated(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Caller:
    """Let in who presents a key that was made here and not revoked."""
    keys: ApiKeys = request.app.state.keys
    if credentials is None:
        raise Unauthorized
    await keys.check(credentials.credentials)
    caller = request.state.caller = Caller(request)
    return caller


def known_id(given: str, what: str) -> str:
    """Return an id from a path; what can't be an id is not found, before any database sees it."""
    if not _ID.fullmatch(given):
        raise NotFound(what=what)
    return given


async def texts_of_refusal(request: Request) -> Texts:
    """Return the texts that a problem is told in: as `Accept-Language` says, else in the account's language.

    The account is looked up for refusals alone, and only for a caller that has shown its key.
    """
    caller: Caller | None = getattr(request.state, "caller", None)
    if caller is not None and not request.headers.get("accept-language"):
        with suppress(Problem, *DATABASE_AWAY):  # no such account; or it can't be asked, and that is told
            account = await caller.account()
            return Texts(account.language, request.app.state.settings.zone)
    return texts_for(request)


def texts_for(request: Request) -> Texts:
    """Return the texts in the caller's language, with dates in the host's zone."""
    language = preferred(request.headers.get("accept-language"))
    return Texts(language, request.app.state.settings.zone)
