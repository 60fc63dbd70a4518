"""What people try who should not: injections, oversized and misdeclared bodies, strange methods."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from service.console.intake import MAX_BODY_BYTES
from service.core.roles import Role
from service.store import load_snapshot
from service.store.tables import metadata, projects
from service.telemetry.logs import JsonFormatter
from tests.real_parts.admin import AdminApi

SQL = [
    "'; DROP TABLE projects; --",
    "x' OR '1'='1",
    'x"; DELETE FROM keys; --',
    "x') UNION SELECT digest FROM keys --",
    "%' AND 1=1 --",
    "\\'; --",
]
LABELLED = "/labels/ex-0123456789abcdef00000001/prompt"
LINES = ["a\nb", "a\r\nSet-Cookie: x", "a\x00b", "a\x1b[31mb", "a\u2028b", "a\u202eb", "a\x85b"]


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), 1000):
        yield body[at : at + 1000]


@pytest.fixture
def tables(api: AdminApi) -> Iterator[AdminApi]:
    """The API; afterwards all that was there must be there still."""
    api.good("POST", "/projects", {"name": "search"})
    yield api
    with api.store.read() as connection:
        for table in metadata.sorted_tables:
            connection.execute(select(table).limit(1))
        names = connection.execute(select(projects.c.name)).scalars().all()
    assert "search" in names


def texts(text: str) -> list[tuple[str, str, Any, dict[str, Any]]]:
    """Return a request for every text that the API takes, with this text."""
    place = {"scope": "project", "subject": "search"}
    rpm = {"requests_per_min": 1}
    queries = {
        "/projects": ["organisation", "after"],
        "/service-accounts": ["project", "after"],
        "/keys": ["project", "service_account", "after", "active"],
        "/limits": ["scope", "subject", "after"],
        "/accounts": ["state", "after"],
        "/labels": ["exchange", "label", "after"],
        "/tokens": ["after"],
        "/audit": ["actor", "action", "object", "since", "after"],
    }
    bodies: list[tuple[str, str, Any, dict[str, Any]]] = [
        ("POST", "/organisations", {"name": text}, {}),
        ("POST", "/organisations", {"name": "fine", "reason": text}, {}),
        ("POST", "/projects", {"name": text}, {}),
        ("POST", "/projects", {"name": "fine", "organisation": text}, {}),
        ("POST", "/projects", {"name": "fine", "end_user_key": text}, {}),
        ("POST", "/projects", {"name": "fine", "rules": {"models": [text]}}, {}),
        ("POST", "/projects", {"name": "fine", "rules": {"surfaces": [text]}}, {}),
        ("POST", "/projects", {"name": "fine", "rules": {"addresses": [text]}}, {}),
        ("POST", "/projects", {"name": "fine", text: 1}, {}),
        ("PUT", "/projects/search/entitlements", {"entitlements": [text]}, {}),
        ("POST", "/service-accounts", {"project": "search", "name": text}, {}),
        ("POST", "/keys", {"project": text}, {}),
        ("POST", "/keys", {"project": "search", "name": text}, {}),
        ("POST", "/keys", {"project": "search", "service_account": text}, {}),
        ("POST", "/tokens", {"name": text, "role": "viewer"}, {}),
        ("POST", "/tokens", {"name": "x", "role": text}, {}),
        ("PUT", LABELLED, {"label": "benign", "note": text}, {}),
        ("PUT", LABELLED, {"label": "misuse", "categories": [text]}, {}),
        ("DELETE", LABELLED, None, {"by": text}),
        ("POST", "/accounts/search/suspend", {"reason": text}, {}),
        ("PUT", "/limits", rpm, {**place, "subject": text}),
        ("PUT", "/limits", rpm, {**place, "model": text}),
        ("DELETE", "/limits", None, {**place, "reason": text}),
    ]
    return bodies + [
        ("GET", path, None, {name: text}) for path, names in queries.items() for name in names
    ]


@pytest.mark.parametrize("text", SQL)
def test_sql_in_a_text_is_stored_as_it_is_or_refused(tables: AdminApi, text: str) -> None:
    for method, path, body, params in texts(text):
        answer = tables.ask(method, path, body, params=params)
        assert answer.status_code in {200, 201, 404, 422}, (method, path, body, params)
    reason = tables.good("GET", "/accounts/search")["reason"]
    assert reason == text
    assert text in {it["name"] for it in tables.good("GET", "/tokens")}
    assert tables.good("GET", "/audit", params={"object": text}) == []


@pytest.mark.parametrize("text", LINES)
def test_a_text_that_is_not_one_printable_line_is_refused_everywhere(
    tables: AdminApi, text: str
) -> None:
    before = len(tables.entries())
    for method, path, body, params in texts(text):
        answer = tables.ask(method, path, body, params=params)
        assert answer.status_code == 422, (method, path, body, params)
        assert "\n" not in answer.text
    assert len(tables.entries()) == before


@pytest.mark.parametrize("body", [b'"\\ud800"', b'{"name": "\\ud800"}', b'{"\\ud800": 1}'])
def test_half_a_character_is_refused(api: AdminApi, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = api.ask("POST", "/projects", content=body, headers=headers)
    assert answer.status_code == 422


@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff\xfe", b"null", b"[" * 30_000, b'{"name": NaN}', b'{"name": 1e999}', b"1" * 5000],
)
def test_what_is_no_json_object_is_refused(api: AdminApi, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = api.ask("POST", "/projects", content=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "invalid_request"


@pytest.mark.parametrize(
    ("path", "body", "param", "said"),
    [
        ("/projects", b'{"name": }', "body", "is not JSON, from character 10 on."),
        ("/projects", b"{}", "name", "is missing."),
        ("/projects", b'{"name": "p", "nme": 1}', "nme", "is not known."),
        ("/projects", b'{"name": "a b"}', "name", "1 to 63 letters, digits, '.', '_' and '-'"),
        ("/projects", b'{"name": 1}', "name", "is wrong: it must be a valid string."),
        (
            "/projects",
            b'{"name": "p", "rules": {"addresses": ["10.0.0.1/8"]}}',
            "rules.addresses.0",
            "is wrong: expected a network such as 10.0.0.0/8 or an address",
        ),
        (
            "/projects",
            b'{"name": "p", "rules": {"max_tokens": -1}}',
            "rules.max_tokens",
            "is wrong: it must be greater than 0.",
        ),
        ("/keys/a.b/revoke", b"{}", "id", "expected an id as a list shows it"),
    ],
)
def test_a_wrong_body_is_told_what_would_be_right_in_plain_words(
    api: AdminApi, path: str, body: bytes, param: str, said: str
) -> None:
    headers = {"content-type": "application/json"}
    answer = api.ask("POST", path, content=body, headers=headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (422, param)
    assert said in error["message"]
    assert "pattern" not in error["message"]


def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(api: AdminApi) -> None:
    large = b'{"name": "' + b"a" * MAX_BODY_BYTES + b'"}'
    headers = {"content-type": "application/json"}
    declared = api.ask("POST", "/projects", content=large, headers=headers)
    chunked = api.ask("POST", "/projects", content=in_pieces(large), headers=headers)
    for answer in (declared, chunked):
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "request_too_large"


@pytest.mark.parametrize(
    "kind",
    [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "a, b", ""],
)
def test_a_body_that_is_not_declared_as_json_is_refused(api: AdminApi, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    answer = api.ask("POST", "/projects", content=b'{"name": "p"}', headers=headers)
    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == "unsupported_media_type"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "TRACE", "OPTIONS", "HEAD", "BREW"])
def test_another_method_than_the_path_takes_is_refused(api: AdminApi, method: str) -> None:
    answer = api.ask(method, "/projects")
    assert answer.status_code == 405
    assert {it.strip() for it in answer.headers["allow"].split(",")} <= {"GET", "POST"}


@pytest.mark.parametrize("header", ["x-http-method-override", "x-method-override"])
def test_a_method_is_not_what_a_header_claims(api: AdminApi, header: str) -> None:
    headers = {header: "POST", "x-original-url": "/admin/v1/tokens"}
    answer = api.ask("GET", "/projects", role=Role.VIEWER, headers=headers)
    assert answer.json() == []
    assert [it.action for it in api.entries()] == ["token.create"] * len(Role)


def test_secrets_are_in_nothing_that_is_written(
    api: AdminApi, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = api.good("POST", "/keys", {"project": "search"})
    token = api.good("POST", "/tokens", {"name": "canary", "role": "admin"})
    new = api.good("POST", f"/keys/{key['id']}/rotate")
    secrets = [key["key"], new["key"], token["token"]]
    told = [
        api.ask("GET", path).text
        for path in ("/keys", "/tokens", "/audit", f"/keys/{key['id']}", "/openapi.json")
    ]
    for secret in secrets:
        told += [
            api.ask("GET", f"/keys/{secret}").text,
            api.ask("GET", f"/nowhere/{secret}").text,
            api.ask("GET", "/keys", params={"after": secret}).text,
            api.ask("GET", "/status", role=None, headers={"authorization": secret}).text,
            api.ask("POST", "/projects", {"name": secret, secret: secret}).text,
            api.ask("POST", "/projects", {"name": "p", "rules": {secret: 1}}).text,
            api.ask("POST", "/projects", {"name": "p", "rules": {"models": [secret]}}).text,
            api.ask("POST", "/keys", {"project": secret}).text,
            api.ask("POST", "/keys", {"project": "p", "name": f"my {secret}"}).text,
            api.ask("GET", f"/projects/{secret}").text,
            api.ask("GET", "/projects", params={"organisation": secret, secret: "1"}).text,
            api.ask("POST", "/accounts/search/suspend", {"reason": f"leaked {secret}"}).text,
            api.ask("PUT", LABELLED, {"label": "benign", "note": f"leaked {secret}"}).text,
            api.ask("DELETE", LABELLED, params={"by": secret}).text,
            api.ask("GET", f"/accounts/{secret}").text,
            api.ask("GET", "/audit", params={"object": secret}).text,
        ]
    assert not [one for one in told for secret in secrets if secret in one]
    ours = [record for record in caplog.records if record.name.startswith("service")]
    lines = [JsonFormatter("console").format(record) for record in ours]
    assert not [line for line in lines for secret in secrets if secret in line]
    with api.store.read() as connection:
        kept = [repr(connection.execute(select(it)).all()) for it in metadata.sorted_tables]
    kept += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    assert not [one for one in kept for secret in secrets if secret[20:] in one]
    for entry in api.entries():
        assert "digest" not in repr(entry)


def test_a_fault_is_told_without_its_words_and_logged_on_one_line(
    api: AdminApi, caplog: pytest.LogCaptureFixture
) -> None:
    with api.store.begin() as connection:
        connection.exec_driver_sql("DROP TABLE coverage_gaps")
    answer = api.ask("GET", "/coverage")
    assert answer.status_code == 500
    assert answer.json()["error"]["message"] == "The admin API failed."
    (record,) = [it for it in caplog.records if it.name == "service.console.problems"]
    line = JsonFormatter("console").format(record)
    assert "\n" not in line
    assert "coverage_gaps" not in line
    assert '"error": "OperationalError"' in line or '"error": "ProgrammingError"' in line


def test_nobody_is_let_in_while_the_store_cannot_tell_who_it_is(api: AdminApi) -> None:
    with api.store.begin() as connection:
        connection.exec_driver_sql("DROP TABLE admin_tokens")
    assert api.code("GET", "/status") == (500, "internal_error")
    assert load_snapshot(api.store, api.now).projects == {}
