import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.findings import Status
from service.core.perimeter import (
    CLOSED,
    OURS,
    ROUTES,
    Answer,
    Kind,
    Outcome,
    Route,
    Silence,
    is_there,
    judge,
    of_address,
)

INVOCATIONS = Route("/invocations", Kind.INFERENCE)
NOT_FOUND = Answer(404)
OK, PROBLEM, UNKNOWN = Status.OK, Status.PROBLEM, Status.UNKNOWN

CASES: dict[str, tuple[Outcome, Outcome | None, Outcome, Status, str]] = {
    "open": (Answer(200), None, NOT_FOUND, PROBLEM, "wide open"),
    "there for POST": (Answer(405), None, NOT_FOUND, PROBLEM, "reachable"),
    "refuses the request": (Answer(422), None, NOT_FOUND, PROBLEM, "reachable"),
    "fails": (Answer(500), None, NOT_FOUND, PROBLEM, "reachable"),
    "not there": (NOT_FOUND, None, NOT_FOUND, OK, "not there"),
    "gone": (Answer(410), None, NOT_FOUND, OK, "not there"),
    "guarded": (Answer(401), Answer(404), NOT_FOUND, OK, "guarded: "),
    "there but guarded": (Answer(401), Answer(405), NOT_FOUND, OK, "there, but guarded"),
    "forbidden": (Answer(403), Answer(403), Answer(403), OK, "guarded: "),
    "OPTIONS allowed everywhere": (Answer(401), Answer(204), Answer(204), OK, "guarded: "),
    "OPTIONS dropped": (Answer(401), Silence.DROPPED, NOT_FOUND, OK, "guarded: "),
    "Watchgate has it": (Answer(405, "method_not_allowed"), None, NOT_FOUND, OK, "Watchgate"),
    "Watchgate's key": (Answer(401, "invalid_api_key"), None, NOT_FOUND, OK, "Watchgate"),
    "redirected": (Answer(308), None, NOT_FOUND, UNKNOWN, "redirect"),
    "a proxy without server": (Answer(502), None, NOT_FOUND, UNKNOWN, "in between"),
    "too often": (Answer(429), None, NOT_FOUND, UNKNOWN, "in between"),
    "a page for every path": (Answer(200), None, Answer(200), UNKNOWN, "every path"),
    "not HTTPS": (Answer(400), None, Answer(400), UNKNOWN, "every path"),
    "refused": (Silence.REFUSED, None, Silence.REFUSED, OK, "shut"),
    "filtered": (Silence.NO_CONNECTION, None, NOT_FOUND, OK, "shut"),
    "mutual TLS": (Silence.NO_CERTIFICATE, None, NOT_FOUND, OK, "shut"),
    "a typing error": (Silence.UNRESOLVED, None, NOT_FOUND, UNKNOWN, "no address"),
    "silent": (Silence.SILENT, None, Silence.SILENT, UNKNOWN, "no answer comes"),
    "dropped": (Silence.DROPPED, None, NOT_FOUND, UNKNOWN, "without an answer"),
    "no TLS": (Silence.NO_TLS, None, NOT_FOUND, UNKNOWN, "handshake"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_probe_saw_is_judged(case: str) -> None:
    seen, options, control, status, words = CASES[case]
    finding = judge(INVOCATIONS, seen, options, control)
    assert finding.status is status
    assert words in finding.found
    assert bool(finding.to_do) is (status is not OK)


outcomes = st.one_of(
    st.sampled_from(Silence),
    st.builds(Answer, st.integers(100, 599), st.none() | st.sampled_from(sorted(OURS))),
)


@given(outcomes, st.none() | outcomes, outcomes, st.sampled_from(ROUTES))
def test_whatever_is_seen_a_path_is_well_only_where_nobody_got_in(
    seen: Outcome, options: Outcome | None, control: Outcome, route: Route
) -> None:
    finding = judge(route, seen, options, control)
    assert bool(finding.to_do) is (finding.status is not OK)
    if finding.status is OK:
        is_refused = isinstance(seen, Answer) and (
            seen.code in OURS or seen.status in {401, 403, 404, 407, 410}
        )
        assert is_refused or seen in CLOSED | {Silence.NO_CERTIFICATE}
    if isinstance(seen, Answer) and seen.code is None and seen.status in {200, 405}:
        assert finding.status is not OK


@pytest.mark.parametrize("silence", sorted(CLOSED | {Silence.NO_CERTIFICATE}))
def test_an_address_that_takes_no_connection_is_judged_as_a_whole(silence: Silence) -> None:
    finding = of_address(silence)
    assert finding is not None
    assert finding.status is (UNKNOWN if silence is Silence.UNRESOLVED else OK)


@pytest.mark.parametrize("control", [NOT_FOUND, Silence.SILENT, Silence.DROPPED])
def test_an_address_that_takes_connections_is_asked_path_by_path(control: Outcome) -> None:
    assert of_address(control) is None


THERE: list[tuple[Outcome, Outcome, bool]] = [
    (Answer(405), NOT_FOUND, True),
    (Answer(200), NOT_FOUND, True),
    (Answer(200), Answer(200), False),
    (Answer(405, "method_not_allowed"), NOT_FOUND, False),
    (NOT_FOUND, NOT_FOUND, False),
    (Answer(401), NOT_FOUND, False),
    (Silence.SILENT, NOT_FOUND, False),
]


@pytest.mark.parametrize(("seen", "control", "expected"), THERE)
def test_a_path_is_there_if_it_answers_unlike_every_other(
    seen: Outcome, control: Outcome, expected: bool
) -> None:
    assert is_there(seen, control) is expected


MUST_FAIL = [
    "/invocations", "/update_weights", "/collective_rpc", "/v1/load_lora_adapter",
    "/v1/unload_lora_adapter", "/v1/hooks/register", "/metrics", "/v1/chat/completions",
    "/v1/models", "/sleep", "/wake_up", "/reset_prefix_cache", "/pause", "/server_info",
    "/tokenize", "/start_profile", "/scale_elastic_ep", "/pooling", "/classify", "/score",
    "/inference/v1/generate",
]  # fmt: skip


def test_every_path_that_must_fail_is_asked_for_once() -> None:
    paths = [route.path for route in ROUTES]
    assert set(MUST_FAIL) <= set(paths)
    assert len(paths) == len(set(paths))


def test_no_probe_has_a_method_that_changes_anything() -> None:
    assert {route.probe for route in ROUTES} <= {"GET", "HEAD", "OPTIONS"}
