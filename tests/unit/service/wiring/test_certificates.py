"""When the certificates end that a process uses."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.wiring.certificates import show_certificates
from tests.integration.doctor.settings_of import settings_of
from tests.real_parts.certificates import Certificate, self_signed


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """One that ends in two days."""
    return self_signed(tmp_path_factory.mktemp("tls"), "IP:127.0.0.1")


def shown(settings: Settings, *sections: str) -> dict[str, float]:
    registry = CollectorRegistry()
    show_certificates(settings, Metrics(registry), *sections)
    samples = [sample for metric in registry.collect() for sample in metric.samples]
    return {it.labels["certificate"]: it.value for it in samples if "certificate" in it.labels}


def settings_with(folder: Path, made: Certificate, **more: Any) -> Settings:  # noqa: ANN401
    tls = {"cert_file": str(made.certificate), "key_file": str(made.key)}
    return settings_of(folder, gateway={"tls": tls}, console={"tls": tls}, **more)


def test_each_process_shows_those_of_its_own_sections(tmp_path: Path, made: Certificate) -> None:
    settings = settings_with(tmp_path, made)
    assert [*shown(settings, "gateway")] == ["gateway.tls"]
    assert [*shown(settings, "console")] == ["console.tls"]


def test_the_end_is_told_in_unix_seconds(tmp_path: Path, made: Certificate) -> None:
    (ends_at,) = shown(settings_with(tmp_path, made), "gateway").values()
    left = datetime.fromtimestamp(ends_at, UTC) - datetime.now(UTC)
    assert timedelta(days=1) < left < timedelta(days=2, minutes=1)


def test_of_a_file_that_cannot_be_read_nothing_is_shown(tmp_path: Path, made: Certificate) -> None:
    settings = settings_with(tmp_path, made)
    gone = Certificate(tmp_path / "gone", made.key)
    assert shown(settings_with(tmp_path, gone), "gateway") == {}
    assert shown(settings_of(tmp_path), "gateway", "console") == {}
    assert len(shown(settings, "gateway", "console")) == 2


def test_those_of_the_door_for_probes_are_shown_by_the_gateway(
    tmp_path: Path, made: Certificate
) -> None:
    files = {"cert_file": made.certificate, "key_file": made.key, "ca_file": made.certificate}
    listen = {"host": "127.0.0.1", "port": 9470, **{it: str(files[it]) for it in files}}
    upstream = {"name": "local", "url": "http://127.0.0.1:8000", "probes": {"listen": listen}}
    found = shown(settings_of(tmp_path, upstreams=[upstream]), "gateway", "upstreams")
    where = "upstreams[0].probes.listen"
    assert sorted(found) == [f"{where}.ca_file", f"{where}.cert_file"]
