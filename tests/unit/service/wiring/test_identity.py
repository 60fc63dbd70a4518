"""Issuers of the settings, put together."""

import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from service.core.jose import TokenDenial
from service.errors import ConfigError
from service.identity.verifier import Verified
from service.telemetry.metrics import Metrics
from service.wiring.identity import token_verifier
from tests.real_parts.jwks import key_set, signing_key
from tests.unit.service.settings.test_issuers import ISSUER, load_with

KEY = signing_key("ES256")


def test_keys_of_a_file_are_there_from_the_start(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_bytes(key_set(KEY))
    issuer = {**ISSUER, "jwks_file": "keys.json", "algorithms": ["ES256"]}
    settings, registry = load_with(tmp_path, issuer), CollectorRegistry()
    now = int(time.time())
    claims = {"iss": ISSUER["issuer"], "aud": "models", "sub": "alice", "iat": now,
              "exp": now + 60, "team": "search"}  # fmt: skip
    with token_verifier(settings, Metrics(registry)) as verifier:
        assert verifier is not None
        found = verifier.verify(KEY.sign(claims))
        assert isinstance(found, Verified)
        assert (found.denial_at(now), found.identity.project) == (None, "search")
        assert verifier.verify(KEY.sign({**claims, "aud": "x"})) is TokenDenial.WRONG_AUDIENCE
    read_at = registry.get_sample_value(
        "watchgate_issuer_keys_read_timestamp_seconds", {"issuer": "corp"}
    )
    assert read_at is not None
    assert read_at >= now


def test_without_issuers_there_is_nothing_to_verify_with(tmp_path: Path) -> None:
    with token_verifier(load_with(tmp_path), Metrics(CollectorRegistry())) as verifier:
        assert verifier is None


def test_authorities_that_cannot_be_read_are_told_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for file in ("missing.pem", "empty.pem"):
        settings = load_with(tmp_path, {**ISSUER, "ca_file": file})
        with (
            pytest.raises(ConfigError, match=r"auth\.issuers\[0\]\.ca_file: .*pem: "),
            token_verifier(settings, Metrics(CollectorRegistry())),
        ):
            pass
