"""Commands on another machine: over HTTP and HTTPS to a console in its own process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real_parts.certificates import Certificate, self_signed
from tests.real_parts.installation import ROOT, Installation, get, installation
from tests.real_parts.serving import until


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("admin")) as running:
        yield running


@pytest.fixture(scope="module")
def token(one: Installation) -> str:
    return str(json.loads(one.command("admin", "bootstrap", "--json").stdout)["token"])


class Elsewhere:
    """Runs commands in a folder without settings, as on another machine."""

    def __init__(self, folder: Path, url: str, token: str, **environment: str) -> None:
        self._folder = folder
        self.url = url
        names = {"WATCHGATE_ADMIN_URL": url, "WATCHGATE_ADMIN_TOKEN": token}
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), **names, **environment}

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "service.cli", *words],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def json(self, *words: str) -> Any:  # noqa: ANN401  (whatever JSON holds)
        done = self(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def elsewhere(one: Installation, token: str, tmp_path: Path) -> Elsewhere:
    return Elsewhere(tmp_path, f"http://127.0.0.1:{one.ports['console']}", token)


def test_a_key_that_is_made_elsewhere_is_served_here_until_it_is_revoked(
    one: Installation, elsewhere: Elsewhere
) -> None:
    made = elsewhere.json("keys", "create", "--project", "remote", "--name", "a job")
    one.key, own = made["key"], one.key
    try:
        until(lambda: one.chat_status() == 200)
        elsewhere("keys", "revoke", made["id"], "--reason", "done")
        until(lambda: one.chat_status() == 401)
    finally:
        one.key = own
    entries = elsewhere.json("audit", "list", "--object", f"key/{made['id']}")
    assert [it["action"] for it in entries] == ["key.revoke", "key.create"]
    assert entries[0]["actor"].startswith("token:adm_")


def test_a_disabled_project_is_refused_and_served_again(
    one: Installation, elsewhere: Elsewhere
) -> None:
    until(lambda: one.chat_status() == 200)
    elsewhere("projects", "disable", "test")
    until(lambda: one.chat_status() == 401)
    elsewhere("projects", "enable", "test")
    until(lambda: one.chat_status() == 200)


def test_the_address_may_be_the_one_that_the_start_tells(elsewhere: Elsewhere) -> None:
    listed = elsewhere.json("orgs", "list", "--api", f"{elsewhere.url}/admin/v1/")
    assert [it["name"] for it in listed] == ["default"]


def test_a_lesser_role_and_a_revoked_token_are_told_so(
    one: Installation, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    made = elsewhere.json("tokens", "create", "--name", "v", "--role", "viewer")
    viewer = Elsewhere(tmp_path, f"http://127.0.0.1:{one.ports['console']}", made["token"])
    assert viewer.json("keys", "list")
    refused = viewer("keys", "create", "--project", "p")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "write_directory, which the role viewer does not hold" in refused.stderr
    elsewhere("tokens", "revoke", made["id"])
    ended = viewer("keys", "list")
    assert ended.returncode == 1
    assert "an admin token that is valid" in ended.stderr
    assert made["token"] not in refused.stderr + ended.stderr + one.words()


def test_no_secret_is_in_what_the_processes_say_or_keep(
    one: Installation, elsewhere: Elsewhere, token: str
) -> None:
    key = elsewhere.json("keys", "create", "--project", "canary")["key"]
    get(f"http://127.0.0.1:{one.ports['console']}/admin/v1/keys?token={token}")
    one.admin(f"/admin/v1/keys/{key}", token=token)
    written = [path for path in one.folder.rglob("*") if path.is_file()]
    assert one.log in written
    assert one.data_dir / "watchgate.db" in written
    for secret in (key, token):
        assert not [path for path in written if secret[20:].encode() in path.read_bytes()]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return self_signed(tmp_path_factory.mktemp("certificate"), "IP:127.0.0.1")


def test_the_console_serves_with_a_certificate(
    certificate: Certificate, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    folder = tmp_path_factory.mktemp("secure")
    with installation(folder) as running:
        running.stop()
        settings = json.loads(running.config.read_text())
        tls = {"cert_file": str(certificate.certificate), "key_file": str(certificate.key)}
        settings["console"]["tls"] = tls
        running.config.write_text(json.dumps(settings))
        running.start()
        made = running.command("admin", "bootstrap", "--json")
        url = f"https://127.0.0.1:{running.ports['console']}"
        token = json.loads(made.stdout)["token"]
        trusting = Elsewhere(tmp_path, url, token, SSL_CERT_FILE=str(certificate.certificate))
        assert trusting.json("keys", "list")
        stranger = Elsewhere(tmp_path, url, token)("keys", "list")
        assert stranger.returncode == 1
        assert "does not answer: ConnectError" in stranger.stderr
