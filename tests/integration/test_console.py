"""The admin API in its own process, beside everything else."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote

import pytest

from tests.real_parts.installation import Installation, get, installation
from tests.real_parts.jwks import key_set, signing_key
from tests.real_parts.serving import RawClient, until

PATHS = ("status", "alerts", "keys", "coverage", "openapi.json")


ISSUER = "https://issuer.example.org"
SIGNER = signing_key("ES256")


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("console")
    (folder / "jwks.json").write_bytes(key_set(SIGNER))
    issuer = {
        "name": "corp",
        "issuer": ISSUER,
        "audience": "watchgate-admin",
        "algorithms": ["ES256"],
        "jwks_file": str(folder / "jwks.json"),
        "claims": {"roles": "groups"},
        "role_map": {"wg-viewers": "viewer", "wg-operators": "operator"},
    }
    with installation(folder, auth={"issuers": [issuer]}) as running:
        yield running


def token(**more: object) -> str:
    now = int(time.time())
    audience = {"iss": ISSUER, "aud": "watchgate-admin", "sub": "alice"}
    return SIGNER.sign({**audience, "iat": now, "exp": now + 600, **more})


def told(one: Installation, path: str) -> Any:  # noqa: ANN401  (whatever JSON holds)
    status, answer = one.admin(f"/admin/v1/{path}")
    assert status == 200
    return answer


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("token", ["", "wrong", "0" * 64])
def test_nothing_answers_without_the_token(one: Installation, path: str, token: str) -> None:
    status, answer = one.admin(f"/admin/v1/{path}", token=token)
    assert (status, answer["error"]["code"]) == (401, "invalid_admin_token")


def test_not_even_a_path_that_is_not_there_answers_without_the_token(one: Installation) -> None:
    assert one.admin("/nothing", token="wrong")[0] == 401
    assert one.admin("/nothing")[0] == 404


def test_an_api_key_is_no_admin_token(one: Installation) -> None:
    assert one.admin("/admin/v1/status", token=one.key)[0] == 401
    assert one.metric("watchgate_auth_failures_total", reason="admin_token") > 0


def test_status_shows_workers_models_and_what_their_tiers_require(one: Installation) -> None:
    until(lambda: len(told(one, "status")["workers"]) == 4)
    status = told(one, "status")
    assert [worker["name"] for worker in status["workers"]] == [
        "auditor",
        "coverage",
        "enforcer",
        "screener",
    ]
    assert [model["name"] for model in status["models"]] == ["fast", "slow"]
    assert "prompt_screen" in status["models"][0]["safeguards"]
    assert status["open_gaps"] == 0


def test_alerts_are_those_of_the_outbox(one: Installation) -> None:
    exchange_id = one.chat("page me")
    until(lambda: told(one, "alerts") and told(one, "alerts")[0]["exchange_id"] == exchange_id)
    (alert,) = told(one, "alerts?limit=1")
    assert (alert["state"], alert["labels"]["model"]) == ("firing", "fast")
    assert told(one, f"alerts?point={quote(alert['labels']['point'], safe='')}") == [alert]
    assert told(one, "alerts?point=op_none") == []


def test_keys_are_shown_without_what_it_takes_to_use_them(one: Installation) -> None:
    (key,) = told(one, "keys")
    assert (key["project"], key["prefix"]) == ("test", one.key[: len(key["prefix"])])
    assert one.key not in json.dumps(key)
    assert told(one, "keys?project=other") == []


def test_coverage_without_gaps_is_empty(one: Installation) -> None:
    assert told(one, "coverage") == {"open_gaps": 0, "gaps": []}


def test_the_api_describes_itself(one: Installation) -> None:
    paths = told(one, "openapi.json")["paths"]
    assert set(paths) >= {f"/admin/v1/{path}" for path in PATHS}
    assert {"get", "post", "put", "patch", "delete"} == {
        method for path in paths.values() for method in path
    }


@pytest.mark.parametrize(
    ("path", "status", "code", "param"),
    [
        ("/nothing", 404, "not_found", None),
        ("/admin/v1/status/", 404, "not_found", None),
        ("/admin/v1/alerts?limit=0", 422, "invalid_request", "limit"),
        ("/admin/v1/alerts?limit=%ff%00", 422, "invalid_request", "limit"),
        ("/admin/v1/alerts?resolved=perhaps", 422, "invalid_request", "resolved"),
    ],
)
def test_what_cannot_be_answered_is_told_as_an_error_object(
    one: Installation, path: str, status: int, code: str, param: str | None
) -> None:
    got, answer = one.admin(path)
    assert (got, answer["error"]["code"], answer["error"]["param"]) == (status, code, param)
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert answer["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "headers", [{"x": "a" * 40_000}, {f"x-{n}": "a" * 100 for n in range(400)}]
)
def test_oversized_headers_are_refused(one: Installation, headers: dict[str, str]) -> None:
    connection = HTTPConnection("127.0.0.1", one.ports["console"], timeout=10)
    shown = {"authorization": f"Bearer {one.admin_token or 'none'}"}
    connection.request("GET", "/admin/v1/status", headers=shown | headers)
    answer = connection.getresponse()
    assert answer.status == 431
    assert b"headers_too_large" in answer.read()
    connection.close()
    assert one.admin("/admin/v1/status")[0] == 200


def test_headers_without_an_end_are_cut_off(one: Installation) -> None:
    with RawClient(one.ports["console"]) as client:
        client.send(b"GET /admin/v1/status HTTP/1.1\r\nhost: a\r\n")
        with suppress(ConnectionError):
            for _ in range(1000):
                client.send(b"x-filler: " + b"a" * 1000 + b"\r\n")
        assert b"200" not in client.rest()[:40]


def test_the_gateway_does_not_serve_the_admin_api(one: Installation) -> None:
    assert get(f"http://127.0.0.1:{one.ports['gateway']}/admin/v1/status")[0] == 404


def test_an_administrator_may_come_with_a_token_of_an_issuer(one: Installation) -> None:
    viewer, operator = token(groups=["wg-viewers"]), token(groups=["wg-operators", "others"])
    assert one.admin("/admin/v1/status", token=viewer)[0] == 200
    made = {"name": "by-alice"}
    assert one.admin("/admin/v1/projects", token=viewer, body=made)[0] == 403
    assert one.admin("/admin/v1/projects", token=operator, body=made)[0] == 201
    (entry,) = told(one, "audit?object=project/by-alice")
    assert (entry["actor"], entry["action"]) == ("oidc:corp/alice", "project.create")


@pytest.mark.parametrize(
    "wrong",
    [
        {"groups": ["others"]},
        {"groups": ["wg-viewers"], "aud": "the-models"},
        {"groups": ["wg-viewers"], "exp": 1_700_000_000},
        {"groups": ["wg-viewers"], "iss": "https://another.example.org"},
    ],
)
def test_a_token_that_makes_nobody_an_administrator_opens_nothing(
    one: Installation, wrong: dict[str, object]
) -> None:
    status, answer = one.admin("/admin/v1/status", token=token(**wrong))
    assert (status, answer["error"]["code"]) == (401, "invalid_admin_token")
