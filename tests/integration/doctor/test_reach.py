from pathlib import Path
from typing import Any

import pytest

from service.doctor.inside import Replica, _reach, replicas_of
from service.doctor.probe import is_base_url
from tests.integration.doctor.settings_of import settings_of, statuses


def elsewhere(folder: Path) -> Replica:
    upstreams: list[dict[str, Any]] = [{"name": "local", "url": "http://192.0.2.1:8000"}]
    [replica] = replicas_of(settings_of(folder, upstreams=upstreams))
    return replica


def test_who_reaches_a_vllm_on_another_machine_is_not_seen_from_here(tmp_path: Path) -> None:
    assert statuses(list(_reach(elsewhere(tmp_path), tries=False))) == {"reach": "could-not-check"}


def test_where_addresses_are_tried_from_outside_these_say_who_reaches_it(tmp_path: Path) -> None:
    assert list(_reach(elsewhere(tmp_path), tries=True)) == []


def test_each_replica_is_asked_for_the_models_of_its_upstream(tmp_path: Path) -> None:
    upstreams = [
        {"name": "one", "urls": ["http://127.0.0.1:1", "http://127.0.0.1:2"]},
        {"name": "other", "url": "http://127.0.0.1:3"},
    ]
    models = [
        {"name": "a", "upstream": "one", "upstream_model": "org/a", "tier": 0},
        {"name": "b", "upstream": "one", "tier": 0},
    ]
    settings = settings_of(tmp_path, upstreams=upstreams, models=models)
    found = {it.url: set(it.models) for it in replicas_of(settings)}
    assert found == {
        "http://127.0.0.1:1": {"org/a", "b"},
        "http://127.0.0.1:2": {"org/a", "b"},
        "http://127.0.0.1:3": set(),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://127.0.0.1:8000", True),
        ("https://[2001:db8::1]:8443/prefix/", True),
        ("http://host", True),
        ("host:8000", False),
        ("http://host:99999", False),
        ("http://host:0", False),
        ("http://user:secret@host", False),
        ("http://host/?a=b", False),
        ("http://ho st", False),
        ("http://host/\nx", False),
    ],
)
def test_an_address_is_a_base_address_or_none(text: str, expected: bool) -> None:
    assert is_base_url(text) is expected
