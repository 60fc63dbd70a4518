from pathlib import Path

import pytest

from service.core.findings import Finding
from service.doctor import certificates as checks
from service.doctor.certificates import certificates
from tests.integration.doctor.settings_of import settings_of
from tests.real_parts.certificates import Certificate, self_signed


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """One that ends in two days, as all of the tests' do."""
    return self_signed(tmp_path_factory.mktemp("tls"), "IP:127.0.0.1")


def found(folder: Path, cert: Path, key: Path) -> Finding:
    tls = {"cert_file": str(cert), "key_file": str(key)}
    return dict(certificates(settings_of(folder, gateway={"tls": tls})))["gateway.tls"]


def test_without_certificates_there_is_nothing_to_check(tmp_path: Path) -> None:
    assert list(certificates(settings_of(tmp_path))) == []


def test_a_certificate_that_ends_soon_is_a_problem(tmp_path: Path, made: Certificate) -> None:
    finding = found(tmp_path, made.certificate, made.key)
    assert finding.status == "problem"
    assert "ends on 20" in finding.found


def test_a_file_that_is_no_certificate_or_not_there_is_a_problem(
    tmp_path: Path, made: Certificate
) -> None:
    (tmp_path / "text").write_text("nothing")
    assert "no certificate" in found(tmp_path, tmp_path / "text", made.key).found
    assert "No such file" in found(tmp_path, tmp_path / "none", made.key).found


def test_the_key_must_be_the_certificates_own_and_kept_from_others(
    tmp_path: Path, made: Certificate
) -> None:
    other = self_signed(tmp_path, "IP:127.0.0.2")
    other.key.chmod(0o600)
    wrong = checks._trouble(made.certificate, other.key)
    assert wrong is not None
    assert "not the key" in wrong.found
    assert checks._trouble(other.certificate, other.key) is None
    other.key.chmod(0o644)
    open_to_all = checks._trouble(other.certificate, other.key)
    assert open_to_all is not None
    assert open_to_all.to_do == f"chmod 600 {other.key}"
