"""The whole admin API in process: the guard, the store, real tokens of every role."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import httpx
from sqlalchemy import Connection

from detectors.api import Category, Part
from service.console.app import make_admin_app
from service.console.authenticate import TokenAuthenticator
from service.console.guard import TokenGuard
from service.console.intake import Intake
from service.console.office import KnownModel, Office
from service.console.tokens import NewToken, Tokens
from service.core.audit import Entry
from service.core.points import KnownDetector, OperatingPoint, PointFacts, PointModel
from service.core.roles import Admin, Role
from service.store import Store, open_store
from service.store.audit import AuditLog
from service.store.audit_list import Search, search_audit
from service.store.pepper import pepper_for_new_keys

PEPPER: Final = b"the pepper of the tests"
START: Final = 1_700_000_000.0
MODELS: Final = (
    KnownModel("llama", 1, "local", ("evidence",)),
    KnownModel("org/model:7b", 1, "local", ()),
)

DETECTORS: Final = {
    "lexical": KnownDetector({Category.ANY}, {Part.PROMPT, Part.ANSWER}, is_inline=True),
    "slow": KnownDetector({Category.ANY, Category.BIO}, frozenset(Part), is_inline=False),
}
FIXED: Final = OperatingPoint(
    "lexical/any/prompt/page", 0, "lexical", Category.ANY, Part.PROMPT, 0.97, "page"
)
POINT_FACTS: Final = PointFacts(
    DETECTORS,
    (PointModel("llama", 1, can_cut_off=False), PointModel("org/model:7b", 1, can_cut_off=True)),
    (FIXED,),
)


class TestKeyring:
    """Secrets that need no file."""

    __test__ = False

    peppers = (PEPPER,)
    audit_log = AuditLog(b"the audit key of the tests")

    def pepper(self, connection: Connection) -> bytes:
        return pepper_for_new_keys(connection, self.peppers)


class AdminApi:
    """Asks the admin API as anybody; `now` is its clock."""

    def __init__(self, url: str) -> None:
        self.now = START
        self.refusals = 0
        self.pristine = url
        self.store: Store = open_store(url)
        self.office = Office(self.store, MODELS, "0", lambda: self.now, TestKeyring(), POINT_FACTS)
        self.app = make_admin_app(self.office)
        self.tokens = {role: self._token(role) for role in Role}
        self.guarded = self._guard()
        self._runner = asyncio.Runner()

    def start_anew(self, url: str) -> None:
        """Work from now on with another store, a copy of the first: all but the tokens is new.

        Making the tables and the routes takes longer than most tests.
        """
        self.store.close()
        self.store = open_store(url)
        self.office._store = self.store
        self.now, self.refusals = START, 0
        self.guarded = self._guard()

    def _guard(self) -> TokenGuard:
        authenticators = [TokenAuthenticator(self.store, [PEPPER])]
        return TokenGuard(Intake(self.app), authenticators, self._count, lambda: self.now)

    def _token(self, role: Role) -> str:
        maker = Admin("cli:tests", Role.ADMIN)
        return Tokens(self.office).create(NewToken(name=str(role), role=role), maker).token

    def _count(self) -> None:
        self.refusals += 1

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,  # noqa: ANN401  (whatever JSON holds)
        *,
        role: Role | None = Role.ADMIN,
        params: Mapping[str, Any] | None = None,
        **more: Any,  # noqa: ANN401  (whatever httpx takes)
    ) -> httpx.Response:
        """Ask with the token of a role, or without any."""
        headers = {"authorization": f"Bearer {self.tokens[role]}"} if role else {}
        headers |= more.pop("headers", {})
        if body is not None:
            more["json"] = body
        given = {name: value for name, value in (params or {}).items() if value is not None}
        url = f"/admin/v1{path}"
        return self.send(method, url, params=given or None, headers=headers, **more)

    def send(self, method: str, url: str, **more: Any) -> httpx.Response:  # noqa: ANN401
        """Send a request as it is."""
        return self._runner.run(self._send(method, url, **more))

    async def _send(self, method: str, url: str, **more: Any) -> httpx.Response:  # noqa: ANN401
        transport = httpx.ASGITransport(self.guarded, raise_app_exceptions=False)
        async with httpx.AsyncClient(base_url="http://admin", transport=transport) as client:
            return await client.request(method, url, **more)

    def good(self, method: str, path: str, body: Any = None, **more: Any) -> Any:  # noqa: ANN401
        """Ask, and return what the answer holds; it must be a good one."""
        answer = self.ask(method, path, body, **more)
        assert answer.status_code in {200, 201}, answer.text
        return answer.json()

    def code(self, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, str]:  # noqa: ANN401
        """Ask, and return the status and the error's code."""
        answer = self.ask(method, path, body, **more)
        return answer.status_code, answer.json().get("error", {}).get("code", "")

    def entries(self) -> list[Entry]:
        """Return the audit log, the latest first."""
        with self.store.read() as connection:
            return [entry for _, entry in search_audit(connection, Search(), 1000)]

    def close(self) -> None:
        """Close the store."""
        self._runner.close()
        self.store.close()
