from pathlib import Path
from typing import Any

import pytest

from detectors.api import Category, Part
from service.core.points import OperatingPoint
from service.doctor.exposure import exposure, is_loopback
from service.store.points import Done, find_point, promote, propose
from tests.integration.doctor.settings_of import settings_of, statuses
from tests.real_parts.store import new_store

POINT = {
    "detector": "lexical", "category": "any", "part": "prompt", "threshold": 0.9, "action": "page",
}  # fmt: skip


def found(folder: Path, **sections: Any) -> dict[str, str]:  # noqa: ANN401  (whatever YAML holds)
    sections = {"operating_points": [POINT], **sections}
    return statuses(list(exposure(settings_of(folder, **sections))))


def test_on_loopback_with_points_that_page_all_is_well(tmp_path: Path) -> None:
    assert set(found(tmp_path).values()) == {"ok"}


DOORS: dict[str, tuple[str, dict[str, Any]]] = {
    "gateway": ("a gateway without TLS", {"gateway": {"host": "0.0.0.0"}}),  # noqa: S104  (judged)
    "console": ("a console", {"console": {"host": "10.0.0.1"}}),
    "gateway.cors": ("pages of every origin", {"gateway": {"cors": {"allow_origins": ["*"]}}}),
    "screening": ("nothing blocked", {"screening": {"observe_only": True}}),
    "model m": ("nothing heard of", {"operating_points": [{**POINT, "action": "record"}]}),
}


@pytest.mark.parametrize("name", DOORS)
def test_settings_that_open_a_door_are_a_problem(name: str, tmp_path: Path) -> None:
    _, sections = DOORS[name]
    problems = [it for it, status in found(tmp_path, **sections).items() if status != "ok"]
    assert problems == [name]


def test_with_tls_a_gateway_may_listen_to_all(tmp_path: Path) -> None:
    tls = {"cert_file": "c.pem", "key_file": "k.pem"}
    assert found(tmp_path, gateway={"host": "::", "tls": tls})["gateway"] == "ok"


def test_named_origins_are_well(tmp_path: Path) -> None:
    cors = {"cors": {"allow_origins": ["https://app.example.org"]}}
    assert found(tmp_path, gateway=cors)["gateway.cors"] == "ok"


def test_a_model_of_tier_0_needs_no_points(tmp_path: Path) -> None:
    models = [{"name": "m", "upstream": "local", "tier": 0}]
    assert found(tmp_path, models=models, operating_points=[])["model m"] == "ok"


@pytest.mark.parametrize(("action", "status"), [("page", "ok"), ("case", "problem")])
def test_a_point_of_the_store_that_pages_is_heard_of_too(
    tmp_path: Path, action: str, status: str
) -> None:
    point = OperatingPoint("op_1", 0, "lexical", Category.ANY, Part.PROMPT, 0.9, action)
    store = new_store(tmp_path / "data" / "watchgate.db")
    with store.begin() as connection:
        propose(connection, point, Done(1.0, "cli:a", "a test"))
        versions = find_point(connection, "op_1")
        assert versions is not None
        promote(connection, versions, Done(1.0, "cli:a", "a test"))
    store.close()
    assert found(tmp_path, operating_points=[])["model m"] == status


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("10.1.2.3", False), ("host.example", False)],  # noqa: S104
)  # fmt: skip
def test_loopback_is_known(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
