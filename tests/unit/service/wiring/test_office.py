"""What the admin API knows of the settings' models."""

from contextlib import closing
from pathlib import Path

import pytest

from service.settings import load
from service.wiring.office import make_office
from tests.real_parts.store import new_store


@pytest.mark.parametrize(
    ("probes", "named"),
    [
        ("", False),
        (", probes: {sockets: /run/a}", False),
        (", probes: {sockets: /run/a, required: true}", True),
    ],
)
def test_probes_are_named_for_a_model_whose_upstream_requires_them(
    tmp_path: Path, probes: str, named: bool
) -> None:
    path = tmp_path / "watchgate.yaml"
    upstream = f"{{name: u, url: 'http://127.0.0.1:8000'{probes}}}"
    path.write_text(f"upstreams: [{upstream}]\nmodels: [{{name: m, upstream: u, tier: 0}}]\n")
    with closing(new_store(tmp_path / "store.db")) as store:
        (model,) = make_office(load(path), store).models
    assert "store" in model.safeguards
    assert ("probes" in model.safeguards) is named
