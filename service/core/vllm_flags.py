"""What vLLM's command line says of how it may be misused. The flags are those of vLLM 0.32."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from service.core.findings import Finding, ok, problem


@dataclass(frozen=True, slots=True)
class _Risk:
    does: str
    to_do: str


_FLAGS: Final[Mapping[str, _Risk]] = {
    "trust-request-chat-template": _Risk(
        "a request may bring a chat template of its own, which decides what the model reads",
        "start vLLM without --trust-request-chat-template",
    ),
    "allowed-local-media-path": _Risk(
        "a request may have vLLM read files under a folder of its machine",
        "start vLLM without --allowed-local-media-path",
    ),
    "api-key": _Risk(
        "the key is on the command line, which every user of the machine can read",
        "give vLLM the key in the environment variable VLLM_API_KEY",
    ),
    "enable-log-requests": _Risk(
        "prompts go into vLLM's log, where nobody's rules for evidence hold",
        "start vLLM without --enable-log-requests",
    ),
    "enable-log-outputs": _Risk(
        "answers go into vLLM's log, where nobody's rules for evidence hold",
        "start vLLM without --enable-log-outputs",
    ),
}


def of_command(arguments: Sequence[str]) -> list[tuple[str, Finding]]:
    """Return a finding for each risky flag of a vLLM's command line; one if there is none."""
    given = {name for name in map(_name_of, arguments) if name}
    found = [
        (f"--{name}", problem(risk.does, risk.to_do))
        for name, risk in _FLAGS.items()
        if name in given
    ]
    if not found:
        found.append(("flags", ok("none of those that doctor knows to be risky")))
    if "enable-request-id-headers" in given:
        words = "on: harmless, and slower under load; Watchgate does not need it"
        found.append(("--enable-request-id-headers", ok(words)))
    return found


def _name_of(argument: str) -> str | None:
    """Return a flag's name as vLLM reads it: `--a_b=c` is `--a-b c`."""
    if not argument.startswith("--"):
        return None
    return argument[2:].partition("=")[0].replace("_", "-")
