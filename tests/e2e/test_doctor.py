"""What `watchgate doctor` finds at a real vLLM."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.cli import main
from tests.real_parts.watchgate import Watchgate

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

OPEN = {
    "/invocations", "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages",
    "/v1/models", "/tokenize", "/metrics", "/scale_elastic_ep",
}  # fmt: skip
NOT_THERE = {
    "/sleep", "/collective_rpc", "/update_weights", "/server_info", "/pause", "/start_profile",
    "/v1/load_lora_adapter", "/v1/hooks/register", "/pooling", "/classify",
}  # fmt: skip


def found_by(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, Any]]:
    main(["doctor", "--json", *arguments])
    return {it["check"]: it for it in json.loads(capsys.readouterr().out)}


def test_a_vllm_without_key_is_a_problem_where_outsiders_reach_it(
    real_vllm: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    found = found_by(capsys, "--outside", real_vllm)
    for path in OPEN:
        assert found[f"outside {real_vllm}: {path}"]["status"] == "problem", path
    for path in NOT_THERE:
        assert found[f"outside {real_vllm}: {path}"]["found"] == "not there (404)", path


def test_behind_the_gateway_it_is_well(
    real_vllm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watchgate = Watchgate(tmp_path, real_vllm)
    found = found_by(capsys, "--config", str(watchgate.config))
    group = f"upstream local {real_vllm}: "
    of_vllm = {name.removeprefix(group): it for name, it in found.items() if group in name}
    assert {it["status"] for it in of_vllm.values()} == {"ok"}
    assert of_vllm["models"]["found"] == "it serves smollm2"
    assert of_vllm["version"]["found"] == "vLLM 0.32.0"
    assert of_vllm["reach"]["found"] == "it listens on loopback alone"
    assert "flags" in of_vllm
    assert of_vllm["dev mode"]["found"] == "off"
