"""What the tests of the chart share."""

import json
import shutil
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.real_parts.helm import CHART

RULES: Final = {
    "groups": [
        {
            "name": "watchgate-stand-in",
            "rules": [
                {
                    "alert": "WatchgateStandIn",
                    "expr": "max by (model) (watchgate_coverage_gap_exchanges) > 0",
                    "for": "5m",
                    "labels": {"severity": "page", "component": "enforcer"},
                    "annotations": {
                        "summary": "{{ $labels.model }} has {{ $value }} of them",
                        "dashboard_url": "https://grafana.example/d/watchgate-overview",
                        "runbook_url": "https://watchgate.example/docs/runbooks/WatchgateStandIn/",
                    },
                }
            ],
        }
    ]
}
DASHBOARD: Final = {
    "uid": "stand-in",
    "title": "Stand-in",
    "links": [{"url": "https://watchgate.example/docs/metrics/"}],
    "panels": [{"title": "{{model}}", "targets": [{"legendFormat": "{{ model }}"}]}],
}


@pytest.fixture(scope="session")
def chart_with_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the chart with one file of rules and one dashboard, and no others.

    It has no schema, which takes two thirds of the time of a rendering.
    """
    chart = tmp_path_factory.mktemp("chart") / "watchgate"
    left_out = shutil.ignore_patterns("rules", "dashboards", "values.schema.json")
    shutil.copytree(CHART, chart, ignore=left_out)
    for folder in ("rules", "dashboards"):
        (chart / folder).mkdir()
    (chart / "rules" / "stand-in.yaml").write_text(yaml.safe_dump(RULES))
    (chart / "dashboards" / "stand-in.json").write_text(json.dumps(DASHBOARD))
    return chart
