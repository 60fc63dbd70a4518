"""The settings that the chart renders are settings that Watchgate takes."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from service.cli import main
from tests.real_parts.helm import FILES, Object, given, pods, rendered, settings

STAND_INS = {
    "WATCHGATE_STORE_URL": "postgresql://watchgate:secret@db:5432/watchgate",
    "WATCHGATE_REDIS_URL": "redis://:secret@redis:6379/0",
}
ANY_SECRET = "0123456789abcdef0123456789abcdef"
GATEWAYS = re.compile(r'"gateways": (\d+)')


def processes(objects: list[Object]) -> Iterator[tuple[str, Mapping[str, Object]]]:
    """Yield each process's component and environment."""
    for component, template in pods(objects):
        for container in template["spec"]["containers"]:
            yield component, {it["name"]: it for it in container["env"]}


def secrets_of(objects: list[Object], component: str) -> set[str]:
    [env, *_] = [env for name, env in processes(objects) if name == component]
    return {name for name, it in env.items() if "valueFrom" in it}


def objects_of(name: str) -> list[Object]:
    return list(rendered(given(name)))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_process_can_read_its_settings_with_its_environment(
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    objects = list(rendered(yaml.safe_load(file.read_text())))
    for component, env in dict(processes(objects)).items():
        config = tmp_path / f"{component}.yaml"
        config.write_text(settings(objects, component))
        with monkeypatch.context() as patch:
            for name, it in env.items():
                secret = STAND_INS.get(name, ANY_SECRET)
                patch.setenv(name, str(it.get("value", secret)))
            patch.setenv("WATCHGATE_CONFIG", str(config))
            assert main(["check-config", "--json"]) == 0, capsys.readouterr().err
        effective = json.loads(capsys.readouterr().out)
        assert effective["data_dir"] == "/var/lib/watchgate/data"
        if component != "migrate":
            assert effective["ops"]["host"] == "0.0.0.0"  # noqa: S104  (the node's probes)
            assert effective["event_log"]["kind"] == "kafka"


def test_a_process_gets_the_secrets_that_it_needs_and_no_others() -> None:
    objects = objects_of("production")
    kafka, store = {"KAFKA_PASSWORD"}, {"WATCHGATE_STORE_URL"}
    callers = {"WATCHGATE_PEPPER"}
    assert secrets_of(objects, "gateway") == (
        kafka | store | callers | {"VLLM_API_KEY", "WATCHGATE_REDIS_URL"}
    )
    assert secrets_of(objects, "screener") == kafka | store
    assert secrets_of(objects, "enforcer") == kafka | store | {"WATCHGATE_AUDIT_KEY"}
    assert secrets_of(objects, "console") == kafka | store | callers | {"WATCHGATE_AUDIT_KEY"}
    assert secrets_of(objects, "migrate") == store


def test_the_key_of_a_guard_model_is_the_screeners_alone() -> None:
    objects = objects_of("judges")
    assert "GUARD_API_KEY" in secrets_of(objects, "screener")
    for component in ("gateway", "enforcer", "console", "migrate"):
        assert "GUARD" not in settings(objects, component)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_secret_stands_in_an_object(file: Path) -> None:
    objects = list(rendered(yaml.safe_load(file.read_text())))
    assert not any(one["kind"] == "Secret" for one in objects)
    for component, env in processes(objects):
        taken = {name for name, it in env.items() if "valueFrom" in it}
        assert taken == set(re.findall(r"\$\{(\w+)\}", settings(objects, component)))


def test_limits_are_shared_out_for_as_many_gateways_as_there_may_be() -> None:
    found = GATEWAYS.search(settings(objects_of("production"), "gateway"))
    assert found is not None
    assert found[1] == "12"
    fixed = given("minimal") | {"gateway": {"replicas": 4}}
    fixed["settings"]["limits"] = {"kind": "redis", "url": "${WATCHGATE_REDIS_URL}"}
    found = GATEWAYS.search(settings(list(rendered(fixed)), "gateway"))
    assert found is not None
    assert found[1] == "4"


def test_a_change_of_settings_replaces_the_pods_that_read_them_and_no_others() -> None:
    before = given("minimal")
    after = json.loads(json.dumps(before))
    after["settings"]["auth"] = {"issuers": []}
    digests = [
        {
            component: template["metadata"]["annotations"]["checksum/settings"]
            for component, template in pods(rendered(values))
        }
        for values in (before, after)
    ]
    changed = {it for it in digests[0] if digests[0][it] != digests[1][it]}
    assert changed == {"gateway", "console"}
