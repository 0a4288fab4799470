"""A visit: one request of someone at the panel, with all that is needed to answer it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from changeover.domain.problems import NotFound
from starter.panel.assets import Assets
from starter.panel.markup import Pages
from starter.panel.sessions import LIFETIME, Sessions
from starter.plan_changes import PlanChanges
from starter.texts import LANGUAGES, Texts
from starter.views import AccountView

_LANGUAGE_COOKIE: Final = "changeover-language"
_LONGEST_ID: Final = 36
_NOTICES: Final = frozenset({"renewed", "resent"})


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the panel is made of."""

    plans: PlanChanges
    sessions: Sessions
    assets: Assets
    pages: Pages
    zone: tzinfo
    demo_accounts: bool
    secure_cookies: bool

    @property
    def session_cookie(self) -> str:
        """The cookie's name; the prefix has the browser insist on Secure, Path=/ and no Domain."""
        return "__Host-changeover" if self.secure_cookies else "changeover-session"


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One request; `account` is None when nobody is signed in."""

    request: Request
    parts: Parts
    account: AccountView | None
    texts: Texts = field(repr=False)

    @classmethod
    async def of(cls, request: Request) -> "Visit":
        parts: Parts = request.app.state.parts
        account = await _account(request, parts)
        texts = Texts(_language(request, account), parts.zone)
        return cls(request=request, parts=parts, account=account, texts=texts)

    @classmethod
    def of_nobody(cls, request: Request) -> "Visit":
        """Return a visit for which nothing was read: who it is isn't known."""
        parts: Parts = request.app.state.parts
        texts = Texts(_language(request, None), parts.zone)
        return cls(request=request, parts=parts, account=None, texts=texts)

    @property
    def plans(self) -> PlanChanges:
        return self.parts.plans

    @property
    def customer(self) -> str:
        """The id of the account that is signed in; `signed_in` sees to it that there is one."""
        assert self.account is not None, "a page for customers only"
        return self.account.id

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)

    @property
    def notice(self) -> str | None:
        """What the page before asked this one to say."""
        wanted = self.request.query_params.get("notice", "")
        return wanted if wanted in _NOTICES else None

    def id(self, name: str) -> str:
        """Return an id from the path. What can't be one is not found, before any database sees it."""
        given: str = self.request.path_params[name]
        if len(given) > _LONGEST_ID or not given.isascii() or not given.isprintable():
            raise NotFound(what=name.removesuffix("_id").replace("_", " "))
        return given

    def url(self, name: str, **params: Any) -> str:
        """Return the path of a page, wherever the panel is mounted."""
        return f"{self.request.scope.get('root_path', '')}{self.request.app.url_path_for(name, **params)}"

    def page(self, template: str, *, status: int = 200, **context: Any) -> Response:
        """Render a page, or a fragment of one."""
        response = HTMLResponse(self.parts.pages.render(template, self, context), status_code=status)
        chosen = self.request.query_params.get("lang")
        if chosen in LANGUAGES:
            self._set_cookie(response, _LANGUAGE_COOKIE, chosen)
        return response

    def go(self, path: str) -> Response:
        """Send the browser on, to be seen with GET."""
        return RedirectResponse(path, status_code=303)

    def enter(self, token: str) -> Response:
        """Keep the session's token in the browser. The account's own language holds from here on."""
        response = self.go(self.url("services"))
        self._set_cookie(response, self.parts.session_cookie, token, int(LIFETIME.total_seconds()))
        response.delete_cookie(_LANGUAGE_COOKIE)
        return response

    def leave(self) -> Response:
        response = self.go(self.url("home"))
        self._set_cookie(response, self.parts.session_cookie, "", 0)
        return response

    def _set_cookie(self, response: Response, name: str, value: str, max_age: int | None = None) -> None:
        secure = self.parts.secure_cookies
        response.set_cookie(
            name, value, max_age=max_age, path="/", httponly=True, samesite="lax", secure=secure
        )


Handler = Callable[[Visit], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def anyone(handler: Handler) -> Endpoint:
    """Make an endpoint that needs nobody signed in."""

    async def endpoint(request: Request) -> Response:
        return await handler(await Visit.of(request))

    return endpoint


def signed_in(handler: Handler) -> Endpoint:
    """Make an endpoint for customers; others are told to sign in."""

    async def endpoint(request: Request) -> Response:
        visit = await Visit.of(request)
        if visit.account is None:
            raise HTTPException(401)
        return await handler(visit)

    return endpoint


async def _account(request: Request, parts: Parts) -> AccountView | None:
    account_id = await parts.sessions.account_id(request.cookies.get(parts.session_cookie))
    if account_id is None:
        return None
    try:
        return await parts.plans.account(account_id)
    except NotFound:
        return None


def _language(request: Request, account: AccountView | None) -> str:
    """Return the language that was chosen on this page or before, the account's, or the browser's."""
    for chosen in (request.query_params.get("lang"), request.cookies.get(_LANGUAGE_COOKIE)):
        if chosen in LANGUAGES:
            return chosen
    if account is not None:
        return account.language
    wanted = [part.strip()[:2].lower() for part in request.headers.get("accept-language", "").split(",")]
    return next((language for language in wanted if language in LANGUAGES), "fr")
