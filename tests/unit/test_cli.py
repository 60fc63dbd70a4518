"""What every command promises: --help with an example, exit codes, errors of one line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from scripts.docs_commands import leaves, whole_parser
from service.cli import main

COMMANDS = [parser.prog.split()[1:] for parser in leaves(whole_parser())]
MINIMAL = """\
upstreams: [{name: local, url: "http://127.0.0.1:8000"}]
models: [{name: smollm2, upstream: local, tier: 1}]
"""
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        path = tmp_path / "watchgate.yaml"
        path.write_text(text)
        return path

    return written


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main([*command, "--help"])
    said = capsys.readouterr().out
    assert end.value.code == 0
    assert "example" in said
    assert f"watchgate {' '.join(command)}" in said.split("example")[-1]


@pytest.mark.parametrize("arguments", [[], ["up", "--nonsense"], ["dance"], ["keys", "dance"]])
def test_wrong_usage_is_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert not capsys.readouterr().out


POINT = """\
operating_points:
  - {detector: lexical, category: any, part: prompt, threshold: 0.9, action: page}
"""
UNKNOWN = "gateway.prot: unknown setting; the nearest is port (line 1)"
WRONG = {
    "unknown key": ("gateway: {prot: 8080}\n" + MINIMAL, UNKNOWN),
    "unknown section": (
        "gatway: {}\n" + MINIMAL,
        "gatway: unknown setting; the nearest is gateway (line 1)",
    ),
    "wrong type": ("gateway: {port: eighty}\n" + MINIMAL, "gateway.port: "),
    "out of range": ("gateway: {port: 70000}\n" + MINIMAL, "gateway.port: "),
    "missing variable": (
        "auth: {pepper: '${WATCHGATE_TEST_IS_NOT_SET}'}\n" + MINIMAL,
        "auth.pepper: the environment variable WATCHGATE_TEST_IS_NOT_SET is not set",
    ),
    "unknown upstream": (
        MINIMAL.replace("upstream: local", "upstream: remote"),
        "models[0].upstream: no upstream is named 'remote'",
    ),
    "a tier that cannot be kept": (MINIMAL.replace("tier: 1", "tier: 3"), "models[0].tier: "),
    "a model without a tier": (MINIMAL.replace(", tier: 1", ""), "models[0].tier: "),
    "nothing to serve": (
        MINIMAL.splitlines()[0] + "\nmodels: []\n",
        "models: there are none, so nothing could be served: name at least one, such as {name: ",
    ),
    "no upstreams": (MINIMAL.splitlines()[1], "upstreams: required, and missing"),
    "a key twice": (
        "gateway:\n  port: 1\n  host: a\n  port: 2\n" + MINIMAL,
        "gateway.port: comes again in line 4: keep one (line 2)",
    ),
    "not a mapping": ("- gateway\n", "expected a mapping of settings"),
    "not YAML": ("gateway: {port: 1\n", "not YAML: line 2, column 1: expected"),
    "an unknown kind of event log": ("event_log: {kind: carrier}\n" + MINIMAL, "event_log: "),
    "a setting of another kind of event log": (
        "event_log: {kind: journal, partitions: 3}\n" + MINIMAL,
        "event_log.partitions: unknown setting; there are: kind",
    ),
    "a tier that there is not": (
        "screening: {tiers: {9: {}}}\n" + MINIMAL,
        "screening.tiers.9: must be less than or equal to 4",
    ),
    "a mode that there is not": (
        "screening: {tiers: {1: {answer: {mode: windw}}}}\n" + MINIMAL,
        "screening.tiers.1.answer.mode: must be 'observe', 'window' or 'buffer'",
    ),
    "an address that is none": (
        MINIMAL.replace("http://", ""),
        "upstreams[0].url: expected an address such as http://127.0.0.1:8000",
    ),
    "an address with a password": (
        MINIMAL.replace("http://", "http://user:word@"),
        "upstreams[0].url: expected an address such as http://127.0.0.1:8000",
    ),
    "an address with a port that there is not": (
        MINIMAL.replace("8000", "80000"),
        "upstreams[0].url: expected a host in ASCII, and a port from 1 to 65535 or none",
    ),
    "an address without a host": (MINIMAL.replace("127.0.0.1", ""), "upstreams[0].url: expected"),
    "an Alertmanager's port that is none": (
        "alerts: {alertmanagers: ['http://a:b']}\n" + MINIMAL,
        "alerts.alertmanagers[0]: expected a host in ASCII",
    ),
    "a key that no header takes": (
        MINIMAL.replace('8000"', '8000", api_key: "ключ"'),
        "upstreams[0].api_key: expected ASCII without control characters",
    ),
    "two topics of one name": (
        "event_log: {kind: kafka, bootstrap_servers: [a], topics: {verdicts: t, exchanges: t}}\n"
        + MINIMAL,
        "event_log.topics: two topics share a name",
    ),
    "a day that there is not": ("log_level: 2001-99-99\n", "not YAML: "),
    "a key that is left out": (
        MINIMAL.replace(", upstream: local", ""),
        "models[0].upstream: required, and missing (line 2)",
    ),
    "a point of a model that there is not": (
        MINIMAL + POINT.replace("page", "page, models: [smollm3]"),
        "operating_points[0].models[0]: no model is named 'smollm3'; there are: smollm2",
    ),
    "the same name twice": (
        MINIMAL.replace("models: [", "models: [{name: smollm2, upstream: local, tier: 1}, "),
        "models[1]: 'smollm2' is already taken",
    ),
    "two servers on one port": (
        "gateway: {port: 9000}\nconsole: {port: 9000}\n" + MINIMAL,
        "console.port: 9000 is taken by gateway.port",
    ),
    "an upstream without an address": (
        MINIMAL.replace(', url: "http://127.0.0.1:8000"', ""),
        "upstreams[0]: expected either url, or urls for several replicas",
    ),
    "an upstream with one address and several": (
        MINIMAL.replace("url:", 'urls: ["http://127.0.0.1:8001"], url:'),
        "upstreams[0]: expected either url, or urls for several replicas",
    ),
    "the same replica twice": (
        MINIMAL.replace('url: "http://127.0.0.1:8000"', 'urls: ["http://a:1", "http://a:1/"]'),
        "upstreams[0]: each of urls must be another replica's",
    ),
    "a certificate without its key": (
        MINIMAL.replace('8000"', '8000", cert_file: cert.pem'),
        "upstreams[0]: cert_file and key_file belong together",
    ),
    "an origin with a path": (
        "gateway: {cors: {allow_origins: ['https://app.example.org/']}}\n" + MINIMAL,
        "gateway.cors.allow_origins[0]: ",
    ),
    "no origin at all": (
        "gateway: {cors: {allow_origins: []}}\n" + MINIMAL,
        "gateway.cors.allow_origins: ",
    ),
    "an unknown detector": (
        MINIMAL + POINT.replace("lexical", "lexicul"),
        "operating_points[0].detector: no detector is named 'lexicul'; there are: lexical",
    ),
    "a category that the detector does not score": (
        MINIMAL + POINT.replace("any", "jailbreak"),
        "operating_points[0].category: lexical gives no score for 'jailbreak'; it does for: any",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_settings_are_one_line_with_the_key_and_exit_code_2(
    wrong: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    text, said = WRONG[wrong]
    assert main(["check-config", "--config", str(write(text))]) == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("watchgate: ")
    assert said in captured.err


MANY = """\
gateway: {prot: 8080, port: eighty}
console: {port: 70000}
upstreams:
  - {name: local, url: "127.0.0.1:8000"}
models:
  - {name: a b, upstream: local, tier: 1}
  - {name: m, tier: 1}
auth: {pepper: "${WATCHGATE_TEST_IS_NOT_SET}"}
operating_points:
  - {detector: lexicul, category: any, part: prompt, threshold: 0.9, action: page}
  - {detector: lexical, category: any, part: prompt, threshold: 0.9, action: page, models: [x]}
"""


def test_all_mistakes_are_told_in_the_order_of_the_file(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check-config", "--config", str(write(MANY))]) == 2
    told = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in told] == [
        "gateway.prot",
        "gateway.port",
        "console.port",
        "upstreams[0].url",
        "models[0].name",
        "models[1].upstream",
        "auth.pepper",
        "operating_points[0].detector",
    ]
    assert [line.rpartition("(line ")[2] for line in told] == [
        f"{n})" for n in (1, 1, 2, 4, 6, 7, 8, 10)
    ]


def test_names_are_compared_once_the_sections_that_hold_them_are_right(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write(MANY.replace("a b", "ab").replace("m, tier", "m, upstream: lokal, tier"))
    assert main(["check-config", "--config", str(config)]) == 2
    said = capsys.readouterr().err
    assert "operating_points[1].models[0]: no model is named 'x'; there are: ab, m" in said
    assert "models[1].upstream" not in said  # while upstreams[0] is wrong, nobody knows


@pytest.mark.parametrize("secret", ["sk-secret", "http://u:sk-secret@h:1/?sk-secret"])
@pytest.mark.parametrize(
    "where",
    ["upstreams: [{name: {S}, url: {S}, api_key: [{S}]}]", "gateway: {tls: {S}, port: {S}}"],
)
def test_no_mistake_quotes_what_is_not_a_name(
    secret: str, where: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check-config", "--config", str(write(where.replace("{S}", f"'{secret}'")))]) == 2
    assert "secret" not in capsys.readouterr().err


def test_a_mistake_in_the_environment_names_its_variable(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WATCHGATE_GATEWAY__PORT", "eighty")
    monkeypatch.setenv("WATCHGATE_MODELS", "sk-secret")
    monkeypatch.setenv("WATCHGATE_UPSTREAMS", '[{"nam": "local"}]')
    assert main(["check-config", "--config", str(write("gateway: {port: 80}\n" + MINIMAL))]) == 2
    said = capsys.readouterr().err
    assert "gateway.port: must be a valid integer" in said
    assert "(from WATCHGATE_GATEWAY__PORT)" in said
    assert "upstreams[0].nam: unknown setting; the nearest is name (from WATCHGATE_UPST" in said
    assert "WATCHGATE_MODELS: expected JSON" in said
    assert "secret" not in said


def test_the_store_is_in_the_data_folder_unless_it_is_told_where_to_be(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write("data_dir: ../elsewhere\n" + MINIMAL)
    assert main(["check-config", "--json", "--config", str(config)]) == 0
    settings = json.loads(capsys.readouterr().out)
    elsewhere = config.parent.parent / "elsewhere"
    assert settings["data_dir"] == str(elsewhere)
    assert settings["store"]["url"] == f"sqlite:///{elsewhere}/watchgate.db"


def test_a_missing_file_is_one_line_that_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check-config", "--config", str(tmp_path / "none.yaml")]) == 2
    assert "no such file; name one with --config" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["up", "gateway", "screener", "enforcer", "shipper", "console"])
def test_no_process_starts_under_wrong_settings(
    command: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write("gateway: {prot: 8080}\n" + MINIMAL)
    assert main([command, "--config", str(config)]) == 2
    assert capsys.readouterr().err == f"watchgate: {UNKNOWN}\n"


@pytest.mark.parametrize("command", ["up", "gateway", "screener", "enforcer", "console"])
def test_a_data_folder_that_cannot_be_is_told_in_one_line(
    command: str, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("a file")
    config = write("data_dir: taken/var\n" + MINIMAL)
    assert main([command, "--config", str(config)]) == 2
    said = f"watchgate: data_dir: {tmp_path}/taken/var cannot be used: Not a directory\n"
    assert capsys.readouterr().err == said


def test_the_installed_command_gives_the_exit_code_and_one_line(write: Write) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("watchgate")), "check-config", "--config", write("[]")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_who_stops_reading_ends_a_command_without_a_word(write: Write) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "check-config", "--config", write(MINIMAL)],
        stdout=_closed_pipe(),
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, "BrokenPipe" in done.stderr) == (1, False)


def _closed_pipe() -> int:
    reads, writes = os.pipe()
    os.close(reads)
    return writes


SECRETS = [
    "the-pepper-of-the-test", "the-key-of-vllm", "the-password-of-kafka",
    "the-password-of-an-alertmanager",
]  # fmt: skip


def test_check_config_prints_the_settings_in_effect_without_secrets(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    pepper, key, password, basic = SECRETS
    config = write(
        f"auth: {{pepper: {pepper}}}\n"
        f"alerts: {{alertmanagers: ['https://user:{basic}@127.0.0.1:9093/prefix', 'http://a:1']}}\n"
        "event_log: {kind: kafka, bootstrap_servers: ['127.0.0.1:9092'], "
        f"security: {{protocol: SASL_SSL, username: u, password: {password}}}}}\n"
        + MINIMAL.replace("8000", f'8000", api_key: "{key}')
    )
    assert main(["check-config", "--json", "--config", str(config)]) == 0
    printed = capsys.readouterr().out
    settings = json.loads(printed)
    assert settings["gateway"]["port"] == 8080
    assert settings["upstreams"][0]["api_key"] == settings["auth"]["pepper"] == "**********"
    addresses = ["https://**********@127.0.0.1:9093/prefix", "http://a:1"]
    assert settings["alerts"]["alertmanagers"] == addresses
    assert [secret for secret in SECRETS if secret in printed] == []
    assert main(["check-config", "--config", str(config)]) == 0
    printed = capsys.readouterr().out
    assert [secret for secret in SECRETS if secret in printed] == []
    assert yaml.safe_load(printed) == settings


def test_the_environment_wins_over_the_file(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WATCHGATE_GATEWAY__PORT", "9000")
    config = write("gateway: {port: 8000, backlog: 2}\n" + MINIMAL)
    assert main(["check-config", "--json", "--config", str(config)]) == 0
    gateway = json.loads(capsys.readouterr().out)["gateway"]
    assert (gateway["port"], gateway["backlog"]) == (9000, 2)


def test_the_environment_sets_lists_sections_and_tiers(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WATCHGATE_ALERTS__ALERTMANAGERS", '["http://127.0.0.1:9093"]')
    monkeypatch.setenv("WATCHGATE_CONSOLE", '{"host": "127.0.0.2", "port": 1}')
    monkeypatch.setenv("WATCHGATE_CONSOLE__PORT", "9001")
    monkeypatch.setenv("WATCHGATE_SCREENING__TIERS__1__PROMPT__ON_ERROR", "refuse")
    monkeypatch.setenv("watchgate_log_level", "DEBUG")
    config = write("screening: {tiers: {1: {prompt: {deadline_ms: 9}}}}\n" + MINIMAL)
    assert main(["check-config", "--json", "--config", str(config)]) == 0
    settings = json.loads(capsys.readouterr().out)
    assert settings["alerts"]["alertmanagers"] == ["http://127.0.0.1:9093"]
    assert settings["console"] == {"host": "127.0.0.2", "port": 9001, "tls": None}
    assert settings["screening"]["tiers"]["1"]["prompt"] == {
        "deadline_ms": 9.0,
        "on_error": "refuse",
    }
    assert settings["log_level"] == "DEBUG"
