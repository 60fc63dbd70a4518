"""The commands that ask the admin API: what they print, where they ask, how they end."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from service.cli import main
from service.core.directory import Limits, Rules, Scope, Snapshot, Standing
from service.store import load_snapshot, open_store

CONFIG = """
data_dir: var
upstreams: [{name: local, url: "http://127.0.0.1:8000"}]
models: [{name: llama, upstream: local, tier: 1}]
"""
PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
"""
RULES = (
    "--models llama --surfaces chat,embeddings --addresses 10.0.0.0/8 --no-tools "
    "--max-tokens 4096 --max-choices 2 --max-prompt-bytes 100000"
)


class Cli:
    """Runs `watchgate WORDS` in a folder with settings."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], template: Path) -> None:
        (folder / "var").mkdir()
        shutil.copy(template, folder / "var" / "watchgate.db")  # making the tables takes a while
        self.folder = folder
        self.err = ""
        self._capsys = capsys
        (folder / "watchgate.yaml").write_text(CONFIG)

    def __call__(self, *words: str, code: int = 0) -> str:
        ended = main(words)
        captured = self._capsys.readouterr()
        self.err = captured.err
        assert ended == code, captured.err
        return captured.out

    def json(self, *words: str) -> Any:  # noqa: ANN401  (whatever JSON holds)
        return json.loads(self(*words, "--json"))

    def snapshot(self) -> Snapshot:
        """Return what a gateway would hold."""
        store = open_store(f"sqlite:///{self.folder}/var/watchgate.db")
        loaded = load_snapshot(store, 0)
        store.close()
        return loaded


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "watchgate.db"
    open_store(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def cli(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    template: Path,
) -> Cli:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WATCHGATE_ADMIN_URL", raising=False)
    return Cli(tmp_path, capsys, template)


def test_an_organisation_is_made_entitled_and_disabled(cli: Cli) -> None:
    made = cli.json("orgs", "create", "acme")
    assert (made["name"], made["disabled_at"]) == ("acme", None)
    told = cli.json("orgs", "set", "acme", "--entitlements", "identity_verified,named_user")
    assert told["entitlements"] == ["identity_verified", "named_user"]
    assert cli("orgs", "disable", "acme", "--reason", "ended") == ""
    assert "the organisation acme is disabled" in cli.err
    assert cli.snapshot().organisations["acme"].disabled
    assert cli.json("orgs", "enable", "acme")["disabled_at"] is None
    assert cli.json("orgs", "set", "acme", "--entitlements", "none")["entitlements"] == []
    assert [it["name"] for it in cli.json("orgs", "list")] == ["acme", "default"]
    assert cli.json("orgs", "show", "acme")["created_by"].startswith("cli:")


def test_all_that_a_project_may_do_is_said_and_unsaid(cli: Cli) -> None:
    (cli.folder / "key.pem").write_text(PUBLIC_KEY)
    cli("projects", "create", "search", "--end-user-key", "key.pem")
    told = cli.json("projects", "set", "search", *RULES.split(), "--entitlements", "trusted_access")
    kept = cli.snapshot().projects["search"]
    assert kept.rules == Rules(
        models=("llama",),
        surfaces=("chat", "embeddings"),
        addresses=("10.0.0.0/8",),
        tools=False,
        max_tokens=4096,
        max_choices=2,
        max_prompt_bytes=100_000,
    )
    assert kept.end_user_key == PUBLIC_KEY
    assert kept.entitlements == {"trusted_access"}
    assert told["entitlements"] == ["trusted_access"]
    cleared = cli.json(
        "projects", "set", "search", "--clear", "models,max-tokens", "--no-end-user-key"
    )
    assert "models" not in cleared["rules"]
    assert cleared["end_user_key"] is None
    cli("projects", "set", "search", code=2)
    assert "nothing to set" in cli.err


def test_service_accounts_have_keys(cli: Cli) -> None:
    cli("projects", "create", "search")
    account = cli.json("service-accounts", "create", "nightly", "--project", "search")["id"]
    key = cli.json("keys", "create", "--project", "search", "--service-account", "nightly")
    assert cli.json("keys", "show", key["id"])["service_account"] == account
    assert len(cli.json("keys", "list", "--service-account", account)) == 1
    cli("service-accounts", "set", account, "--entitlements", "named_user")
    cli("service-accounts", "disable", account)
    kept = cli.snapshot().service_accounts[account]
    assert (kept.disabled, sorted(kept.entitlements)) == (True, ["named_user"])
    cli("service-accounts", "enable", account)
    assert cli.json("service-accounts", "show", account)["disabled_at"] is None
    assert len(cli.json("service-accounts", "list", "--project", "search")) == 1


def test_a_key_is_changed(cli: Cli) -> None:
    made = cli.json("keys", "create", "--project", "p", "--models", "llama", "--name", "a job")
    told = cli.json("keys", "set", made["id"], "--clear", "models", "--expires", "30d")
    assert (told["rules"], told["name"]) == ({}, "a job")
    assert told["expires_at"] > told["created_at"]
    assert cli.json("keys", "set", made["id"], "--never-expires")["expires_at"] is None
    cli("keys", "set", made["id"], code=2)


@pytest.mark.parametrize(
    ("subject", "place"),
    [
        (["--organisation", "default"], (Scope.ORGANISATION, "default")),
        (["--project", "search"], (Scope.PROJECT, "search")),
        (["--end-user", "search"], (Scope.END_USER, "search")),
        ([], (Scope.MODEL, "llama")),
    ],
)
def test_limits_are_set_listed_and_removed(
    cli: Cli, subject: list[str], place: tuple[Scope, str]
) -> None:
    cli("projects", "create", "search")
    cli("limits", "set", *subject, "--model", "llama", "--tokens-per-day", "1000")
    model = "llama" if subject else ""
    assert cli.snapshot().limits == {place: {model: Limits(tokens_per_day=1000)}}
    (listed,) = cli.json("limits", "list", *subject)
    assert listed["tokens_per_day"] == 1000
    assert "id" not in listed
    cli("limits", "remove", *subject, "--model", "llama", "--reason", "paid")
    assert cli.snapshot().limits == {}


def test_an_account_is_suspended_and_reinstated(cli: Cli) -> None:
    cli("projects", "create", "search")
    cli("accounts", "suspend", "search", code=2)
    assert "--reason" in cli.err
    cli("accounts", "suspend", "search/bob", "--reason", "ticket", code=2)
    assert "24 hexadecimal digits" in cli.err
    end_user = "search/359a786a224d9cc62c6b8f6c"
    cli("accounts", "suspend", end_user, "--reason", "ticket")
    assert cli.snapshot().standings == {end_user: Standing.SUSPENDED}
    assert cli.json("accounts", "list", "--state", "suspended")[0]["reason"] == "ticket"
    cli("accounts", "reinstate", end_user)
    assert cli.json("accounts", "show", end_user)["state"] == "good"
    bob = cli.json("accounts", "find", "--project", "search", "--end-user", "bob")["account"]
    cli("accounts", "suspend", bob, "--reason", "ticket")
    assert cli.snapshot().standings == {bob: Standing.SUSPENDED}


def test_tokens_are_made_listed_and_revoked(cli: Cli) -> None:
    made = cli.json("tokens", "create", "--name", "alice", "--role", "viewer", "--expires", "1d")
    assert made["token"].startswith("wg-admin-")
    assert "shown this once" in cli.err
    cli("tokens", "revoke", made["id"])
    (listed,) = cli.json("tokens", "list")
    assert listed["revoked_at"] is not None
    assert "token" not in listed


def test_the_first_admin_is_made_once_and_another_only_if_one_insists(cli: Cli) -> None:
    first = cli.json("admin", "bootstrap")
    assert first["role"] == "admin"
    assert cli("admin", "bootstrap", code=1) == ""
    assert "--again" in cli.err
    second = cli.json("admin", "bootstrap", "--again", "--reason", "lost")
    assert second["id"] != first["id"]
    (entry, _) = cli.json("audit", "list", "--action", "admin.bootstrap")
    assert (entry["after"]["again"], entry["reason"]) == (True, "lost")
    cli("tokens", "revoke", first["id"])
    cli("tokens", "revoke", second["id"])
    cli("admin", "bootstrap")


def test_the_audit_log_is_listed_by_what_one_looks_for(cli: Cli) -> None:
    for name in "abc":
        cli("projects", "create", name)
    assert len(cli.json("audit", "list", "--limit", "2")) == 2
    (one,) = cli.json("audit", "list", "--object", "project/b", "--since", "2020-01-01")
    assert one["action"] == "project.create"
    assert cli.json("audit", "list", "--until", "2020-01-01T00:00:00Z") == []
    assert cli.json("audit", "list", "--actor", "nobody") == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("projects show nobody", 1, "no project has the name 'nobody'; watchgate projects list"),
        ("orgs disable nobody", 1, "no organisation has the name 'nobody'; watchgate orgs list"),
        ("orgs create default", 1, "There is an organisation 'default' already"),
        ("projects create p --organisation nobody", 2, "make it first"),
        ("projects create p --models gpt", 2, "No model is named 'gpt'; there are: llama"),
        ("projects create p --max-tokens 0", 2, "rules.max_tokens"),
        ("keys revoke sk-wg-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 2, "'id' is wrong"),
        ("limits set --requests-per-min 1", 2, "whose limits?"),
        ("limits set --model llama", 2, "no limit was given"),
        ("limits set --model llama --tokens-per-day 0", 2, "tokens_per_day"),
        ("limits set --project nobody --tokens-per-day 1", 1, "; watchgate projects list shows"),
        ("limits set --key key_nobody --tokens-per-day 1", 1, "; watchgate keys list shows"),
        ("keys create --project p --service-account x", 1, "; watchgate service-accounts list"),
        ("service-accounts create x --project nobody", 1, "; watchgate projects list shows"),
        ("projects set p --models llama --clear models", 2, "models is given a value too"),
        ("limits remove --model llama", 1, "no such limits"),
        ("audit list --api ftp://x", 2, "--api: expected an address"),
        ("audit list --api http://example.org", 2, "in the clear"),
        ("audit list --api https://u:p@example.org", 2, "--api: expected an address"),
        ("audit list --api http://127.0.0.1:1", 2, "WATCHGATE_ADMIN_TOKEN"),
    ],
)
def test_what_cannot_be_done_is_one_line_that_says_why(
    cli: Cli, words: str, code: int, said: str
) -> None:
    assert cli(*words.split(), code=code) == ""
    assert said in cli.err
    assert cli.err.count("\n") == 1
    assert "aaaaaaaa" not in cli.err


def test_an_admin_api_that_does_not_answer_is_a_problem(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHGATE_ADMIN_TOKEN", "wg-admin-secret")
    monkeypatch.setenv("WATCHGATE_ADMIN_URL", "http://127.0.0.1:1")
    cli("keys", "list", code=1)
    assert "http://127.0.0.1:1 does not answer: ConnectError" in cli.err
    assert [it.name for it in (cli.folder / "var").iterdir()] == ["watchgate.db"]


def test_a_store_that_fails_is_one_line_without_what_was_to_be_stored(cli: Cli) -> None:
    cli("projects", "create", "search")
    store = open_store(f"sqlite:///{cli.folder}/var/watchgate.db")
    with store.begin() as connection:
        connection.exec_driver_sql("DROP TABLE service_accounts")
    store.close()
    cli("service-accounts", "create", "nightly", "--project", "search", code=1)
    assert "watchgate: the store failed: OperationalError" in cli.err
    assert "nightly" not in cli.err


@pytest.mark.parametrize(
    "words",
    [
        ["keys", "show", "key_\udcff"],
        ["audit", "list", "--object", "\udcff"],
        ["accounts", "suspend", "search", "--reason", "\udcff"],
    ],
)
@pytest.mark.parametrize("elsewhere", [[], ["--api", "http://127.0.0.1:9"]])
def test_arguments_that_are_no_text_are_wrong_usage(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, words: list[str], elsewhere: list[str]
) -> None:
    monkeypatch.setenv("WATCHGATE_ADMIN_TOKEN", "wg-admin-x")
    cli(*words, *elsewhere, code=2)
    assert len(cli.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["audit", "list", "--limit", "0"], "a whole number over 0, and not '0'"),
        (["audit", "list", "--limit", "-1"], "a whole number over 0, and not '-1'"),
        (["orgs", "set", "default", "--entitlements", ""], "names such as a,b, or none"),
        (["keys", "create", "--project", "p", "--expires", "0d"], "a whole number over 0 and s,"),
    ],
)
def test_a_value_that_means_nothing_is_wrong_usage(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
