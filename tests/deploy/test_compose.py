"""deploy/compose, as far as it can be looked at where no container engine runs."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from service.cli import main
from service.settings import load
from tests.real_parts.debian import debian_program
from tests.real_parts.helm import CHART, ROOT

FOLDER = ROOT / "deploy" / "compose"
FILE = FOLDER / "docker-compose.yaml"
COMPOSE = yaml.safe_load(FILE.read_text())
SERVICES = COMPOSE["services"]
EXAMPLE = dict(
    line.split("=", 1) for line in (FOLDER / ".env.example").read_text().splitlines() if "=" in line
)
STAND_IN = "0123456789abcdef0123456789abcdef"


def binds() -> list[tuple[str, str, str]]:
    """Return service, path here and path there of each mounted file or folder."""
    mounts = [
        (name, it.split(":")) for name, one in SERVICES.items() for it in one.get("volumes", ())
    ]
    return [(name, it[0], it[1]) for name, it in mounts if it[0].startswith(".")]


def test_it_is_what_the_specification_of_compose_says() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, FILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_file_that_is_mounted_is_there_and_is_mounted_to_be_read() -> None:
    assert len(binds()) >= 6
    for _, here, _ in binds():
        assert (FOLDER / here).exists(), here
    mounts = [it for one in SERVICES.values() for it in one.get("volumes", ())]
    assert all(it.endswith(":ro") for it in mounts if it.startswith("."))
    named = {it.split(":")[0] for it in mounts if not it.startswith(".")}
    assert named == COMPOSE["volumes"].keys()


def test_rules_and_dashboards_are_those_of_the_chart() -> None:
    folders = {there: (FOLDER / here).resolve() for _, here, there in binds()}
    assert folders["/etc/prometheus/rules"] == CHART / "rules"
    assert folders["/var/lib/grafana/dashboards"] == CHART / "dashboards"
    assert "/etc/prometheus/rules/" in (FOLDER / "prometheus.yaml").read_text()
    provider = yaml.safe_load((FOLDER / "grafana" / "dashboards.yaml").read_text())
    assert provider["providers"][0]["options"]["path"] == "/var/lib/grafana/dashboards"


def test_every_variable_is_in_the_example_and_no_secret_is() -> None:
    text = FILE.read_text()
    assert set(re.findall(r"\$\{(\w+)", text)) == EXAMPLE.keys()
    required = set(re.findall(r"\$\{(\w+):\?", text))
    assert all(EXAMPLE[name] == "" for name in required)


def test_only_watchgate_shares_a_network_with_vllm() -> None:
    vllm = SERVICES["vllm"]
    assert "ports" not in vllm
    for name, one in SERVICES.items():
        shared = set(one["networks"]) & set(vllm["networks"])
        assert shared == (
            {"models"} if name == "watchgate" else set(vllm["networks"]) if one is vllm else set()
        )
    assert COMPOSE["networks"]["models"] == {"internal": True}


def test_ports_are_for_this_machine_alone() -> None:
    ports = [port for one in SERVICES.values() for port in one.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_every_image_has_a_version() -> None:
    for one in SERVICES.values():
        name, _, version = one["image"].partition(":")
        assert name
        assert version not in {"", "latest"}


def test_watchgate_reads_its_settings_with_what_compose_gives_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in SERVICES["watchgate"]["environment"]:
        monkeypatch.setenv(name, STAND_IN)
    settings = FOLDER / "watchgate.yaml"
    assert main(["check-config", "--json", "--config", str(settings)]) == 0
    effective = json.loads(capsys.readouterr().out)
    assert effective["event_log"]["kind"] == "kafka"
    hosts = re.findall(r"(?:://|@|\[\")([a-z]+):\d", settings.read_text())
    assert {"vllm", "kafka", "postgres", "redis", "alertmanager"} == set(hosts) <= SERVICES.keys()
    grace_s = int(SERVICES["watchgate"]["stop_grace_period"].removesuffix("s"))
    assert grace_s > load(settings).gateway.drain_s + 15


def test_prometheus_and_alertmanager_take_their_settings(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.symlink_to(CHART / "rules")
    prometheus = tmp_path / "prometheus.yaml"
    text = (FOLDER / "prometheus.yaml").read_text()
    prometheus.write_text(text.replace("/etc/prometheus/rules", str(rules)))
    for package, program, words in (
        ("prometheus", "promtool", ["check", "config", str(prometheus)]),
        ("prometheus-alertmanager", "amtool", ["check-config", str(FOLDER / "alertmanager.yaml")]),
    ):
        tool = debian_program(package, program)
        done = subprocess.run([tool, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
