"""The admin API holds to its OpenAPI document, whatever it is asked."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from service.core.roles import Role
from service.gateway.server import listening_socket
from service.store import load_snapshot
from tests.real_parts.admin import START, AdminApi
from tests.real_parts.serving import until

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "admin-openapi.json"
OPERATIONS: Final = [
    (path, method)
    for path, methods in json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"].items()
    for method in methods
]
TOLERATED: Final[list[Any]] = [
    checks.negative_data_rejection,  # a wrong value may name nothing: 404, and 409 for another
    checks.positive_data_acceptance,  # a good value too: what it names need not be there
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AdminApi, int]]:
    api = AdminApi(f"sqlite:///{tmp_path_factory.mktemp('fuzzed')}/watchgate.db")
    api.good("POST", "/keys", {"project": "search"})
    server = uvicorn.Server(
        uvicorn.Config(
            api.guarded, log_config=None, access_log=False, lifespan="off", ws="none", http="h11"
        )
    )
    with listening_socket("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
        thread.start()
        try:
            until(lambda: server.started)
            yield api, int(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()
            api.close()


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_one_that_the_document_names(
    running: tuple[AdminApi, int], path: str, method: str, mode: GenerationMode
) -> None:
    api, port = running
    headers = {"Authorization": f"Bearer {api.tokens[Role.ADMIN]}"}
    document = schemathesis.openapi.from_path(DOCUMENT)
    document.config.update(base_url=f"http://127.0.0.1:{port}")
    operation = document[path][method]

    @settings(
        max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(headers=headers, timeout=10, excluded_checks=TOLERATED)

    ask()


def test_what_was_changed_by_then_is_what_gateways_can_load(
    running: tuple[AdminApi, int],
) -> None:
    api, _ = running
    snapshot = load_snapshot(api.store, START)
    assert "search" in snapshot.projects
    assert [entry for entry in api.entries() if "digest" in repr(entry)] == []
