"""Which outcomes of requests, and which reasons, are whose doing."""

from typing import Final

from scripts.dashboards.promql import MODEL
from service.core.screening import FAILED_SCANS

_FAILED: Final = (
    "internal_error",
    "interrupted",
    "safeguard_inactive",
    "screen_failed",
    "too_many_connections",
    "upstream_broke",
    "upstream_timeout",
    "upstream_unavailable",
)
"""Outcomes by Watchgate's or the upstream's doing."""
FAILED: Final = f'{MODEL}, outcome=~"{"|".join(_FAILED)}"'
UNSCORED: Final = f'{MODEL}, reason=~"{"|".join(sorted(FAILED_SCANS))}"'
