import pytest

from service.core.findings import Status
from service.core.vllm_flags import of_command

SERVE = ["python", "-m", "vllm.entrypoints.cli.main", "serve", "model", "--port", "8000"]
RISKY = [
    "--trust-request-chat-template",
    "--trust_request_chat_template",
    "--allowed-local-media-path=/srv",
    "--api-key",
    "--enable-log-requests",
    "--enable-log-outputs",
]


@pytest.mark.parametrize("flag", RISKY)
def test_a_risky_flag_is_a_problem_with_what_to_do(flag: str) -> None:
    [(name, finding)] = of_command([*SERVE, flag])
    assert name == flag.partition("=")[0].replace("_", "-")
    assert finding.status is Status.PROBLEM
    assert finding.to_do


def test_a_key_on_the_command_line_is_told_of_and_not_told() -> None:
    [(_, finding)] = of_command([*SERVE, "--api-key=sk-secret"])
    assert "sk-secret" not in finding.found + finding.to_do


def test_without_risky_flags_all_is_well() -> None:
    assert [it.status for _, it in of_command(SERVE)] == [Status.OK]
    assert [it.status for _, it in of_command([*SERVE, "--no-enable-log-requests"])] == [Status.OK]


def test_request_id_headers_are_a_note() -> None:
    found = dict(of_command([*SERVE, "--enable-request-id-headers"]))
    assert found["--enable-request-id-headers"].status is Status.OK
