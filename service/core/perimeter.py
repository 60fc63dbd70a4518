"""Who can reach vLLM: what an answer, or none, to a harmless probe says of a path.

A probe is a GET, HEAD or OPTIONS without key. vLLM answers a GET of a path that takes POST with
405, which tells that it is there and that no key was asked for; it does not run what is behind.
The paths are those of vLLM 0.32 (`vllm/entrypoints`) and of the plugin vllm-lens.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from service.core.findings import Finding, ok, problem, unknown


class Kind(StrEnum):
    """What a path of vLLM gives to whoever reaches it."""

    INFERENCE = "gives answers that nobody watches"
    TOKENS = "works for whoever asks"
    DEV_MODE = "controls the engine, and is there in dev mode alone"
    ADAPTERS = "loads and unloads adapters"
    HOOKS = "runs code that the client sends (vllm-lens)"
    PROFILER = "starts and stops the profiler, which slows everybody down"
    CONTROL = "changes how the server runs"
    FACTS = "tells what is served, how, and how much"


@dataclass(frozen=True, slots=True)
class Route:
    """A path of vLLM that nobody but the gateway, or ops, should reach."""

    path: str
    kind: Kind
    probe: str = "GET"
    """The method of the probe: HEAD, which vLLM does not take, where a GET would make it work."""


_PATHS: Final = {
    Kind.INFERENCE: (
        "/invocations",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/messages",
        "/v1/embeddings",
        "/inference/v1/generate",
        "/generative_scoring",
        "/cohere/v2/chat",
        "/pooling",
        "/classify",
        "/score",
        "/v1/score",
        "/rerank",
        "/v1/audio/transcriptions",
    ),
    Kind.TOKENS: ("/tokenize", "/detokenize"),
    Kind.DEV_MODE: (
        "/collective_rpc",
        "/update_weights",
        "/start_weight_update",
        "/init_weight_transfer_engine",
        "/reset_prefix_cache",
        "/reset_mm_cache",
        "/sleep",
        "/wake_up",
        "/pause",
        "/resume",
    ),
    Kind.ADAPTERS: ("/v1/load_lora_adapter", "/v1/unload_lora_adapter"),
    Kind.HOOKS: ("/v1/hooks/register", "/v1/hooks/collect", "/v1/hooks/clear", "/v1/hooks"),
    Kind.PROFILER: ("/start_profile", "/stop_profile"),
    Kind.CONTROL: ("/scale_elastic_ep", "/abort_requests", "/fault_tolerance/apply"),
    Kind.FACTS: ("/metrics", "/v1/models", "/version", "/load", "/tokenizer_info", "/openapi.json"),
}
ROUTES: Final = (
    *(Route(path, kind) for kind, paths in _PATHS.items() for path in paths),
    # a GET makes vLLM start programs that look the machine over
    Route("/server_info", Kind.DEV_MODE, "HEAD"),
)
"""What must fail from outside."""


class Silence(StrEnum):
    """Why no answer came."""

    UNRESOLVED = "the name has no address"
    REFUSED = "the connection is refused"
    UNREACHABLE = "there is no way to the address"
    NO_CONNECTION = "nothing takes the connection"
    NO_CERTIFICATE = "a certificate is asked of the client"
    NO_TLS = "the connection is taken, and the TLS handshake fails"
    SILENT = "the connection is taken, and no answer comes"
    DROPPED = "the connection is taken, and closed without an answer in HTTP"


CLOSED: Final = frozenset(
    {Silence.UNRESOLVED, Silence.REFUSED, Silence.UNREACHABLE, Silence.NO_CONNECTION}
)
"""Nobody gets in, whatever the path."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer, and the code of its error object, if it is one with a text code."""

    status: int
    code: str | None = None


Outcome = Answer | Silence

OURS: Final = frozenset({"not_found", "method_not_allowed", "model_not_found", "invalid_api_key"})
"""Codes by which Watchgate's gateway itself refuses a probe. vLLM's codes are numbers."""

SHUT: Final = (
    "let nothing but the gateway connect to vLLM: "
    "docs/vllm.md, section 'Only the gateway may reach vLLM', says how"
)
_BESIDE: Final = "give doctor an address of vLLM itself, or look from there by hand"
_NO_ANSWER: Final = (
    "find out what takes the connection: if it speaks TLS, give the address with https://; so look "
    "a vLLM that is stuck, and a server that asks its clients for certificates"
)


_ABSENT: Final = (404, 410)
_GUARDED: Final = (401, 403, 407)
_IN_BETWEEN: Final = (408, 421, 429, 501, 502, 503, 504)
"""Statuses that something before the server gives."""
_OTHER_METHOD: Final = 405
"""There, for another method."""


def judge(route: Route, seen: Outcome, options: Outcome | None, control: Outcome) -> Finding:
    """Say whether a path is shut to outsiders.

    Args:
        route: the path.
        seen: what came of its probe.
        options: what came of an OPTIONS, which vLLM never asks a key for; None: not asked.
        control: what came of the probe of a path that nobody serves.
    """
    if isinstance(seen, Silence):
        return _of_silence(seen)
    if seen.code in OURS:
        return ok(f"Watchgate itself refuses it ({seen.status} {seen.code})")
    if seen.status in _ABSENT:
        return ok(f"not there ({seen.status})")
    if seen.status in _GUARDED:
        there = options is not None and is_there(options, control)
        words = "there, but guarded" if there else "guarded"
        return ok(f"{words}: without a key the answer is {seen.status}")
    return _in_doubt(seen.status, control) or problem(_open(route, seen.status), SHUT)


def of_address(control: Outcome) -> Finding | None:
    """Judge an address as a whole where no path needs to be asked for; None: ask for them."""
    if isinstance(control, Silence) and control in CLOSED | {Silence.NO_CERTIFICATE}:
        return _of_silence(control)
    return None


def is_there(seen: Outcome, control: Outcome) -> bool:
    """Say whether an answer shows that a path exists: it is not what every path gets."""
    if isinstance(seen, Silence) or seen.code in OURS or _is_same(seen.status, control):
        return False
    return seen.status < 300 or seen.status == _OTHER_METHOD  # noqa: PLR2004  (success)


def _of_silence(silence: Silence) -> Finding:
    if silence is Silence.UNRESOLVED:
        return unknown(silence, "give an address that resolves, or the IP address")
    if silence in CLOSED or silence is Silence.NO_CERTIFICATE:
        return ok(f"shut: {silence}")
    return unknown(silence, _NO_ANSWER)


def _in_doubt(status: int, control: Outcome) -> Finding | None:
    if 300 <= status < 400:  # noqa: PLR2004  (redirects)
        return unknown(
            f"answers with a redirect ({status}), which was not followed",
            "give doctor the address that it leads to",
        )
    if status in _IN_BETWEEN:
        return unknown(
            f"something in between answers {status}, so what is behind it is not seen",
            "ask again when that is well: it may let this path through",
        )
    if _is_same(status, control):
        return unknown(f"answers {status}, as it does on every path", _BESIDE)
    return None


def _is_same(status: int, control: Outcome) -> bool:
    return isinstance(control, Answer) and control.status == status


def _open(route: Route, status: int) -> str:
    if status == _OTHER_METHOD:
        how = "reachable: it is there (405), and no key was asked for"
    elif status < 300:  # noqa: PLR2004  (success)
        how = f"wide open: it answers {status}, and no key was asked for"
    else:
        how = f"reachable: it answers {status}, and no key was asked for"
    return f"{how}; it {route.kind}"
