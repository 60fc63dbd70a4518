"""The admin API holds to its OpenAPI document, whatever it is asked."""

import threading
from collections.abc import Iterator
from typing import Any, Final

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from service.console.app import PREFIX, Desk, KnownModel, make_admin_app
from service.console.guard import TokenGuard
from service.gateway.server import listening_socket
from service.store import open_store
from service.store.keys import StoredKey, add_key
from tests.real_parts.serving import until

TOKEN: Final = "0123456789abcdef" * 4
HEADERS: Final = {"Authorization": f"Bearer {TOKEN}"}

TOLERATED: Final[list[Any]] = [checks.negative_data_rejection]
"""Parameters that a path does not know are passed over; wrong ones have their test elsewhere."""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('store') / 'watchgate.db'}")
    with store.begin() as connection:
        add_key(connection, StoredKey("key_1", "p", "sk-wg-x", 1.0, "tests"), b"digest")
    desk = Desk(store, [KnownModel("m", 1, "local", ("evidence",))], "0", lambda: 2.0)
    app = TokenGuard(make_admin_app(desk), TOKEN.encode(), lambda: None)
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none")
    )
    with listening_socket("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
        thread.start()
        try:
            until(lambda: server.started)
            yield int(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()
            store.close()


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("name", ["status", "alerts", "keys", "coverage"])
def test_every_answer_is_one_that_the_document_names(
    port: int, name: str, mode: GenerationMode
) -> None:
    document = schemathesis.openapi.from_url(
        f"http://127.0.0.1:{port}{PREFIX}/openapi.json", headers=HEADERS
    )
    operation = document[f"{PREFIX}/{name}"]["GET"]

    @settings(
        max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(headers=HEADERS, timeout=10, excluded_checks=TOLERATED)

    ask()
