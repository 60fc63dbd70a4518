"""The certificates that the settings name, and when they end."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from service.settings import KafkaLog, RedisLimits, Settings
from service.telemetry.metrics import Metrics

Files = tuple[str, Path | None, Path | None]
"""A setting's path, the certificates that it names, and their key."""


def named_certificates(settings: Settings) -> Iterator[Files]:
    """Yield what the settings name, with None for what they leave out."""
    for section, tls in (("gateway", settings.gateway.tls), ("console", settings.console.tls)):
        if tls is not None:
            yield f"{section}.tls", tls.cert_file, tls.key_file
    for i, upstream in enumerate(settings.upstreams):
        yield f"upstreams[{i}].cert_file", upstream.cert_file, upstream.key_file
        yield f"upstreams[{i}].ca_file", upstream.ca_file, None
        if upstream.probes is not None and (listen := upstream.probes.listen) is not None:
            yield f"upstreams[{i}].probes.listen.cert_file", listen.cert_file, listen.key_file
            yield f"upstreams[{i}].probes.listen.ca_file", listen.ca_file, None
    if isinstance(settings.event_log, KafkaLog):
        security = settings.event_log.security
        yield "event_log.security.cert_file", security.cert_file, security.key_file
        yield "event_log.security.ca_file", security.ca_file, None
    if isinstance(settings.limits, RedisLimits):
        yield "limits.cert_file", settings.limits.cert_file, settings.limits.key_file
        yield "limits.ca_file", settings.limits.ca_file, None


def earliest_end(file: Path) -> datetime:
    """Return when the first of a file's certificates ends.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds no certificate in PEM.
    """
    from cryptography.x509 import (  # noqa: PLC0415  (few processes name any: it takes 0.1 s)
        load_pem_x509_certificates,
    )

    return min(it.not_valid_after_utc for it in load_pem_x509_certificates(file.read_bytes()))


def show_certificates(settings: Settings, metrics: Metrics, *sections: str) -> None:
    """Show when the certificates of these sections end, which a process reads once, at its start.

    Of what cannot be read there is nothing to show: whoever needs it says so.
    """
    for name, file, _ in named_certificates(settings):
        if file is None or not name.startswith(sections):
            continue
        try:
            ends_at = earliest_end(file).timestamp()
        except (OSError, ValueError):
            continue
        metrics.upkeep.certificate_ends_at.labels(name).set(ends_at)
