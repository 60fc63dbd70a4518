"""Settings for the tests of the checks."""

from pathlib import Path
from typing import Any

import yaml

from service.doctor.results import Named
from service.settings import Settings, load


def settings_of(folder: Path, **sections: Any) -> Settings:  # noqa: ANN401  (whatever YAML holds)
    """Write watchgate.yaml into a folder, and read it."""
    written = {
        "data_dir": "data",
        "upstreams": [{"name": "local", "url": "http://127.0.0.1:9"}],
        "models": [{"name": "m", "upstream": "local", "tier": 1}],
        **sections,
    }
    path = folder / "watchgate.yaml"
    path.write_text(yaml.safe_dump(written))
    return load(path)


def statuses(found: list[Named]) -> dict[str, str]:
    """Return how each check ended."""
    return {name: str(finding.status) for name, finding in found}
