"""The whole admin API in process: the guard, the store, real tokens of every role."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from starlette.testclient import TestClient

from service.console.app import make_admin_app
from service.console.authenticate import TokenAuthenticator
from service.console.guard import TokenGuard
from service.console.intake import Intake
from service.console.office import KnownModel, Office
from service.console.tokens import NewToken, Tokens
from service.core.audit import Entry
from service.core.roles import Admin, Role
from service.store import Store, open_store
from service.store.audit import AuditLog
from service.store.audit_list import Search, search_audit

PEPPER: Final = b"the pepper of the tests"
START: Final = 1_700_000_000.0
MODELS: Final = (
    KnownModel("llama", 1, "local", ("evidence",)),
    KnownModel("org/model:7b", 1, "local", ()),
)


class TestKeyring:
    """Secrets that need no file."""

    __test__ = False

    pepper = PEPPER
    audit_log = AuditLog(b"the audit key of the tests")


class AdminApi:
    """Asks the admin API as anybody; `now` is its clock."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder}/watchgate.db"
        self.store: Store = open_store(self.url)
        self.now = START
        self.refusals = 0
        self.office = Office(self.store, MODELS, "0", lambda: self.now, TestKeyring())
        self.app = make_admin_app(self.office)
        self.tokens = {role: self._token(role) for role in Role}
        authenticators = [TokenAuthenticator(self.store, [PEPPER])]
        self.guarded = TokenGuard(Intake(self.app), authenticators, self._count, lambda: self.now)
        self._client = TestClient(self.guarded, raise_server_exceptions=False)

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
    ) -> Any:  # noqa: ANN401  (the test client's own kind of answer)
        """Ask with the token of a role, or without any."""
        headers = {"authorization": f"Bearer {self.tokens[role]}"} if role else {}
        headers |= more.pop("headers", {})
        if body is not None:
            more["json"] = body
        return self._client.request(
            method, f"/admin/v1{path}", params=params, headers=headers, **more
        )

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
        self.store.close()
