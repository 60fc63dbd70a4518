"""An upgrade changes nothing that Kubernetes does not let change.

`first_release.json` holds what cannot be changed of the first release's objects. It is not made
anew: a difference means that `helm upgrade` would fail, or lose a journal.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.real_parts.helm import Object, given, rendered

FIRST = json.loads((Path(__file__).parent / "first_release.json").read_text())
FIXED = {
    "StatefulSet": ("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"),
    "Deployment": ("selector",),
    "Service": ("clusterIP",),
    "KafkaTopic": ("topicName",),
}
"""Of the first three Kubernetes refuses a change; a topic of another name is another topic."""


def fixed(objects: list[Object]) -> Mapping[str, Any]:
    """Return what cannot be changed, by kind, namespace and name."""
    return {
        f"{one['kind']} {one['metadata']['namespace']}/{one['metadata']['name']}": {
            key: one["spec"][key] for key in FIXED[one["kind"]] if key in one["spec"]
        }
        for one in objects
        if one["kind"] in FIXED
    }


@pytest.mark.parametrize("name", FIRST)
def test_what_cannot_be_changed_is_what_it_was(name: str) -> None:
    assert fixed(list(rendered(given(name)))) == FIRST[name]


def test_what_cannot_be_changed_holds_no_version() -> None:
    text = json.dumps(FIRST)
    assert "helm.sh/chart" not in text
    assert "app.kubernetes.io/version" not in text


def test_jobs_are_made_anew_by_each_upgrade() -> None:
    for one in rendered(given("production")):
        if one["kind"] == "Job":
            policy = one["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
            assert "before-hook-creation" in policy
