"""The Dockerfile, as far as it can be looked at where no container engine runs."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from scripts import sbom
from tests.real_parts.helm import ROOT, given, pods, rendered

DOCKERFILE = (ROOT / "Dockerfile").read_text()
STAGES = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
FINAL = STAGES[-1]
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s\\]+)", re.MULTILINE)
COPIED = re.compile(r"^COPY (?!--from)(.+)$", re.MULTILINE)


def pins(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return {name.lower().replace("_", "-"): version for name, version in PIN.findall(text)}


def test_hadolint_finds_nothing() -> None:
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [program, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_both_stages_are_of_one_base_that_can_be_pinned() -> None:
    assert len(STAGES) == 2
    assert all(stage.startswith("${BASE_IMAGE}") for stage in STAGES)
    before = DOCKERFILE[: DOCKERFILE.index("FROM ")]
    assert "ARG BASE_IMAGE=python:3.11-slim\n" in before


def test_the_image_itself_has_no_compiler_and_installs_nothing() -> None:
    for word in ("gcc", "apt-get", "pip ", "/opt/tools", "requirements"):
        assert word not in FINAL
    assert FINAL.count("COPY") == FINAL.count("COPY --from=build /opt/watchgate /opt/watchgate")


def test_it_runs_as_the_user_that_the_chart_names() -> None:
    [user] = re.findall(r"^USER (.+)$", FINAL, re.MULTILINE)
    for _, template in pods(rendered(given("minimal"))):
        security = template["spec"]["securityContext"]
        assert user == f"{security['runAsUser']}:{security['runAsGroup']}"


def test_nothing_in_its_environment_wins_over_mounted_settings() -> None:
    assert re.findall(r"WATCHGATE_\w+", DOCKERFILE) == ["WATCHGATE_CONFIG"]
    assert "WATCHGATE_CONFIG=/etc/watchgate/watchgate.yaml" in FINAL
    for _, template in pods(rendered(given("minimal"))):
        for container in template["spec"]["containers"]:
            env = {it["name"]: it.get("value") for it in container["env"]}
            assert env["WATCHGATE_CONFIG"] == "/etc/watchgate/watchgate.yaml"
            assert "command" not in container  # the image's entry point is `watchgate`
    assert 'ENTRYPOINT ["watchgate"]' in FINAL


def test_what_is_installed_is_pinned_by_hash() -> None:
    for line in re.findall(r"install .*", STAGES[0]):
        if "-r " in line:
            assert "--require-hashes" in line
    for name in ("main", "image"):
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        assert len(PIN.findall(text)) == len(
            re.findall(r"^\S+==.* \\\n +--hash", text, re.MULTILINE)
        )


def test_the_tools_of_the_build_are_those_that_the_package_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    [wanted] = project["build-system"]["requires"]
    assert wanted == f"hatchling=={pins('image')['hatchling']}"


def test_what_is_copied_is_there_and_goes_to_the_engine() -> None:
    ignored = set((ROOT / ".dockerignore").read_text().split())
    for words in COPIED.findall(DOCKERFILE):
        *sources, _target = words.split()
        for source in sources:
            assert (ROOT / source).exists(), source
            assert source.split("/")[0] not in ignored


def test_the_bill_of_materials_holds_what_is_installed_and_is_the_same_each_time(
    tmp_path: Path,
) -> None:
    file = tmp_path / "sbom.cdx.json"
    assert sbom.main([str(file)]) == 0
    found = json.loads(file.read_text())
    assert found["bomFormat"] == "CycloneDX"
    assert found["metadata"]["component"]["name"] == "watchgate"
    named = {it["name"].lower().replace("_", "-"): it["version"] for it in found["components"]}
    assert named == pins("main")
    assert all(it["purl"].startswith("pkg:pypi/") for it in found["components"])
    assert "serialNumber" not in found
    assert "timestamp" not in found["metadata"]
