"""Settings of issuers: what is right, and what is told of mistakes."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.errors import ConfigError
from service.settings import Settings, load, redacted
from service.wiring.identity import trust_of

ROOT = Path(__file__).resolve().parents[4]
ISSUER: dict[str, Any] = {
    "name": "corp",
    "issuer": "https://issuer.example.org/realms/corp",
    "audience": "models",
    "algorithms": ["RS256"],
    "claims": {"project": "team"},
    "projects": ["search"],
}


def load_with(folder: Path, *issuers: dict[str, Any]) -> Settings:
    path = folder / "watchgate.yaml"
    upstream = {"name": "local", "url": "http://127.0.0.1:8000"}
    model = {"name": "m", "upstream": "local", "tier": 0}
    path.write_text(
        yaml.safe_dump(
            {"upstreams": [upstream], "models": [model], "auth": {"issuers": list(issuers)}}
        )
    )
    return load(path)


def mistakes(folder: Path, *issuers: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as error:
        load_with(folder, *issuers)
    return str(error.value)


def test_a_small_issuer_is_enough(tmp_path: Path) -> None:
    (issuer,) = load_with(tmp_path, ISSUER).auth.issuers
    assert issuer.audience == ("models",)
    assert issuer.projects == {"search": "search"}
    assert issuer.claims.project == ("team",)
    assert (issuer.leeway_s, issuer.max_age_s, issuer.refresh_s) == (30, 86400, 300)


def test_claims_are_named_with_dots_or_in_lists(tmp_path: Path) -> None:
    written = {
        **ISSUER,
        "claims": {
            "project": ["kubernetes.io", "namespace"],
            "roles": "realm_access.roles",
            "entitlements": ["https://example.org/levels"],
        },
        "projects": {"ml": "search"},
        "role_map": {"ops": "operator"},
        "entitlement_map": {"gold": "identity_verified", "lab": ["trusted_access", "named_user"]},
        "required_claims": [{"claim": "org.name", "values": ["us"]}, {"claim": ["a.b"]}],
    }
    settings = load_with(tmp_path, written)
    trust = trust_of(settings.auth.issuers[0])
    assert trust.project == ("kubernetes.io", "namespace")
    assert trust.role == ("realm_access", "roles")
    assert trust.entitlement == ("https://example.org/levels",)
    assert trust.projects == {"ml": "search"}
    assert trust.entitlements["lab"] == {"trusted_access", "named_user"}
    assert [one.claim for one in trust.required] == [("org", "name"), ("a.b",)]
    assert redacted(settings)["auth"]["issuers"][0]["name"] == "corp"


def test_any_project_takes_an_asterisk(tmp_path: Path) -> None:
    (issuer,) = load_with(tmp_path, {**ISSUER, "projects": "*"}).auth.issuers
    assert issuer.projects == {"*": "*"}


@pytest.mark.parametrize("name", ["none", "None", "HS256", "HS512", "RS1", "ES256K", "", "rs256"])
def test_algorithms_that_are_no_signatures_cannot_be_set(tmp_path: Path, name: str) -> None:
    said = mistakes(tmp_path, {**ISSUER, "algorithms": ["RS256", name]})
    assert "auth.issuers[0].algorithms[1]: must be 'RS256'" in said


@pytest.mark.parametrize(
    ("change", "where", "words"),
    [
        ({"algorithms": []}, "algorithms", "at least 1"),
        ({"audience": []}, "audience", "at least 1"),
        ({"name": "a/b"}, "name", "up to 32 letters"),
        ({"jwks_url": "http://issuer.example.org/keys"}, "jwks_url", "https://"),
        ({"jwks_url": "https://a:b@issuer.example.org/keys"}, "jwks_url", "https://"),
        ({"jwks_url": "ftp://issuer.example.org"}, "jwks_url", "https://"),
        ({"issuer": "corp"}, "jwks_url", "required, or jwks_file"),
        ({"issuer": "http://issuer.example.org"}, "jwks_url", "required, or jwks_file"),
        ({"jwks_file": "k", "jwks_url": "https://a/k"}, "jwks_file", "not both"),
        ({"jwks_file": "k", "ca_file": "c"}, "ca_file", "keys come from jwks_file"),
        ({"bearer_file": "t"}, "bearer_file", "needs jwks_url"),
        ({"leeway_s": -1}, "leeway_s", "greater than or equal to 0"),
        ({"leeway_s": 301}, "leeway_s", "less than or equal to 300"),
        ({"max_stale_s": 300}, "max_stale_s", "over refresh_s"),
        ({"max_age_s": 0}, "max_age_s", "greater than 0"),
        ({"projects": {}}, "projects", "required where claims.project is set"),
        ({"projects": ["a/b"]}, "projects.a/b", "the name of a project"),
        ({"claims": {}}, "claims.project", "required where projects is set"),
        ({"claims": {}, "projects": []}, "claims", "good for nothing"),
        ({"role_map": {"a": "admin"}}, "claims.roles", "required where role_map is set"),
        ({"role_map": {"a": "root"}}, "role_map.a", "must be 'viewer'"),
        ({"entitlement_map": {"a": []}}, "entitlement_map.a", "at least 1"),
        ({"claims": {"project": ""}}, "claims.project[0]", "at least 1 character"),
        ({"secret": "x"}, "secret", "unknown setting"),
    ],
)
def test_a_mistake_is_told_with_its_place(
    tmp_path: Path, change: dict[str, Any], where: str, words: str
) -> None:
    said = mistakes(tmp_path, {**ISSUER, **change})
    assert f"auth.issuers[0].{where}: " in said
    assert words in said


def test_an_issuer_comes_once(tmp_path: Path) -> None:
    said = mistakes(tmp_path, ISSUER, {**ISSUER, "name": "again"})
    assert "auth.issuers[1].issuer: is already that of auth.issuers[0]" in said
    said = mistakes(tmp_path, ISSUER, {**ISSUER, "issuer": "https://other.example.org"})
    assert "auth.issuers[1].name: is already that of auth.issuers[0]" in said


def test_http_is_enough_on_this_machine(tmp_path: Path) -> None:
    for host in ("127.0.0.1:8000", "localhost", "[::1]:8000"):
        load_with(tmp_path, {**ISSUER, "jwks_url": f"http://{host}/keys"})


EXAMPLES = re.findall(
    r"```yaml\n(.*?)```", (ROOT / "docs/identity.md").read_text(encoding="utf-8"), re.DOTALL
)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_documents_examples_load(tmp_path: Path, example: str) -> None:
    issuers = yaml.safe_load(example)["auth"]["issuers"]
    assert load_with(tmp_path, *issuers).auth.issuers
