"""The life of an operating point over the admin API."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from service.console.point_bodies import Decision
from service.console.points import Points
from service.core.roles import Admin, Role
from service.errors import Conflict
from service.store import load_snapshot, revision
from tests.real_parts.admin import AdminApi

WHY = {"reason": "ticket 4711"}
NEW: dict[str, Any] = {
    "detector": "lexical",
    "category": "any",
    "part": "prompt",
    "threshold": 0.9,
    "action": "block",
    **WHY,
}


def proposed(api: AdminApi, **more: object) -> str:
    return str(api.good("POST", "/points", NEW | more, role=Role.ANALYST)["id"])


def promoted(api: AdminApi, **more: object) -> str:
    id_ = proposed(api, **more)
    api.good("POST", f"/points/{id_}/promote", WHY, role=Role.OPERATOR)
    return id_


def another(api: AdminApi, id_: str, **more: object) -> Any:  # noqa: ANN401
    """Propose another version of a point, and promote it."""
    api.good("POST", f"/points/{id_}/propose", {**WHY, **more})
    return api.good("POST", f"/points/{id_}/promote", WHY)


def applied(api: AdminApi) -> dict[str, tuple[int, float]]:
    """Return what gateways apply: the version and the threshold of each point."""
    known = load_snapshot(api.store, api.now).points
    return {id_: (it.version, it.threshold) for id_, it in known.items()}


def refusal(api: AdminApi, body: object, path: str = "/points") -> tuple[int, str, str]:
    answer = api.ask("POST", path, body)
    error = answer.json()["error"]
    return answer.status_code, str(error["param"]), str(error["message"])


def test_a_point_is_proposed_by_an_analyst_and_applies_once_an_operator_promoted_it(
    api: AdminApi,
) -> None:
    id_ = proposed(api)
    assert applied(api) == {}
    promote = f"/points/{id_}/promote"
    assert api.code("POST", promote, WHY, role=Role.ANALYST) == (403, "forbidden")
    assert api.code("POST", "/points", NEW, role=Role.OPERATOR) == (403, "forbidden")
    told = api.good("POST", promote, WHY, role=Role.OPERATOR)
    assert (told["state"], told["applies"], told["version"]) == ("active", True, 1)
    assert applied(api) == {id_: (1, 0.9)}


def test_what_was_proposed_is_told_with_its_scope_its_owner_and_its_error_rates(
    api: AdminApi,
) -> None:
    api.good("POST", "/projects", {"name": "search"})
    measured = {"flagged": {"count": 4, "total": 4000}, "recall": {"count": 30, "total": 100}}
    scope = {"tier": 1, "models": ["org/model:7b"], "project": "search", "surface": "chat"}
    more = {"owner": "security", "expires_in_s": 3600, "measured": measured}
    told = api.good("POST", "/points", NEW | scope | more)
    assert {name: told[name] for name in scope} == scope
    assert (told["owner"], told["expires_at"]) == ("security", api.now + 3600)
    flagged = told["measured"]["flagged"]
    assert (flagged["count"], flagged["total"]) == (4, 4000)
    assert 0 < flagged["low"] < 0.001 < flagged["high"] < 0.0026
    assert (told["reason"], told["created_at"]) == ("ticket 4711", api.now)
    assert told["created_by"].startswith("token:adm_")


def test_a_rollback_undoes_the_last_promotion_and_a_guard_keeps_it_from_doing_more(
    api: AdminApi,
) -> None:
    id_ = promoted(api)
    assert another(api, id_, threshold=0.8)["replaces"] == 1
    assert applied(api) == {id_: (2, 0.8)}
    rollback, guarded = f"/points/{id_}/rollback", WHY | {"version": 2}
    told = api.good("POST", rollback, guarded, role=Role.OPERATOR)
    assert (told["version"], told["state"]) == (1, "active")
    assert applied(api) == {id_: (1, 0.9)}
    assert api.code("POST", rollback, guarded) == (409, "conflict")
    assert applied(api) == {id_: (1, 0.9)}
    assert api.good("POST", rollback, WHY)["state"] == "retired"
    assert applied(api) == {}
    assert api.code("POST", rollback, WHY) == (409, "conflict")


def test_a_new_version_changes_what_is_given_and_keeps_no_error_rates(api: AdminApi) -> None:
    measured = {"flagged": {"count": 0, "total": 10}}
    id_ = promoted(api, expires_in_s=100, measured=measured, tier=1)
    path = f"/points/{id_}/propose"
    told = api.good("POST", path, {"action": "page", "expires_in_s": None, **WHY})
    assert (told["version"], told["state"], told["applies"]) == (2, "proposed", False)
    assert (told["action"], told["threshold"], told["tier"]) == ("page", 0.9, 1)
    assert (told["expires_at"], told["measured"]) == (None, None)


def test_promoting_what_is_promoted_and_retiring_what_is_retired_changes_nothing(
    api: AdminApi,
) -> None:
    id_ = promoted(api)
    before, entries = revision(api.store), len(api.entries())
    assert api.good("POST", f"/points/{id_}/promote", WHY)["version"] == 1
    assert (revision(api.store), len(api.entries())) == (before, entries)
    assert api.code("POST", f"/points/{id_}/promote", WHY | {"version": 9}) == (409, "conflict")
    api.good("POST", f"/points/{id_}/retire", WHY)
    before = revision(api.store)
    assert api.good("POST", f"/points/{id_}/retire", WHY)["state"] == "retired"
    assert revision(api.store) == before
    assert api.code("POST", f"/points/{id_}/promote", WHY) == (409, "conflict")


def test_the_entry_of_a_retirement_names_what_applied_and_what_was_proposed(api: AdminApi) -> None:
    id_ = promoted(api)
    api.good("POST", f"/points/{id_}/propose", {"threshold": 0.7, **WHY})
    api.good("POST", f"/points/{id_}/retire", WHY)
    before = api.entries()[0].before
    assert (before["version"], before["threshold"]) == (1, 0.9)
    assert (before["proposed"]["version"], before["proposed"]["threshold"]) == (2, 0.7)
    for make in (promoted, proposed):
        api.good("POST", f"/points/{make(api, action='record')}/retire", WHY)
        assert api.entries()[0].before["version"] == 1
        assert "proposed" not in api.entries()[0].before


def test_a_retired_point_comes_back_by_a_new_version(api: AdminApi) -> None:
    id_ = promoted(api)
    api.good("POST", f"/points/{id_}/retire", WHY, role=Role.OPERATOR)
    assert applied(api) == {}
    assert another(api, id_)["version"] == 2
    assert applied(api) == {id_: (2, 0.9)}


def test_every_step_needs_a_reason_and_is_kept_with_who_when_and_why(api: AdminApi) -> None:
    id_ = promoted(api)
    api.now += 60
    for step in ("propose", "promote", "rollback", "retire"):
        assert api.code("POST", f"/points/{id_}/{step}", {}) == (422, "invalid_request")
    another(api, id_, threshold=0.8)
    api.good("POST", f"/points/{id_}/rollback", {"reason": "too loud"})
    told = api.good("GET", f"/points/{id_}", role=Role.VIEWER)
    steps = [(it["step"], it["version"], it["at"]) for it in told["changes"]]
    first, later = api.now - 60, api.now
    assert steps == [
        ("propose", 1, first), ("promote", 1, first),
        ("propose", 2, later), ("promote", 2, later), ("rollback", 1, later),
    ]  # fmt: skip
    assert told["changes"][-1]["reason"] == "too loud"
    assert [it["state"] for it in told["versions"]] == ["active", "retired"]
    entry = api.entries()[0]
    assert (entry.action, entry.object, entry.reason) == (
        "point.rollback", f"point/{id_}", "too loud",
    )  # fmt: skip
    assert (entry.before["threshold"], entry.after["threshold"]) == (0.8, 0.9)
    assert api.code("GET", "/points/op_nothing") == (404, "not_found")


def test_the_list_has_the_settings_points_first_and_goes_on_page_by_page(api: AdminApi) -> None:
    for tier in (None, 1):
        promoted(api, tier=tier)
    proposed(api, threshold=0.5)
    api.good("POST", f"/points/{promoted(api, action='record')}/retire", WHY)
    listed = api.good("GET", "/points", role=Role.VIEWER)
    assert [it["source"] for it in listed] == ["settings", "store", "store", "store"]
    assert (listed[0]["id"], listed[0]["version"]) == ("lexical/any/prompt/page", 0)
    found, after = [], None
    while page := api.good("GET", "/points", params={"limit": 1, "after": after}):
        found += page
        after = page[-1]["ref"]
    assert found == listed
    assert len(api.good("GET", "/points?state=active")) == 3
    assert [it["threshold"] for it in api.good("GET", "/points?state=proposed")] == [0.5]
    assert [it["action"] for it in api.good("GET", "/points?state=retired")] == ["record"]
    assert api.code("GET", "/points?after=nonsense") == (422, "invalid_request")


@pytest.mark.parametrize(
    ("changes", "param", "words"),
    [
        ({"threshold": 1.5}, "threshold", "less than or equal to 1"),
        ({"threshold": "0.5"}, "threshold", "valid number"),
        ({"action": "shout"}, "action", "'block'"),
        ({"detector": "lexicul"}, "detector", "there are: lexical, slow"),
        ({"category": "bio"}, "category", "no score for bio"),
        ({"part": "exchange", "action": "page"}, "part", "it does score: answer, prompt"),
        ({"detector": "slow"}, "action", "too slow"),
        ({"detector": "slow", "part": "exchange"}, "action", "nothing is left to block"),
        ({"part": "answer"}, "action", "those of the model 'llama' are observed"),
        ({"models": ["gpt"]}, "models", "No model is named 'gpt'"),
        ({"tier": 2}, "tier", "no such model of tier 2"),
        ({"surface": "telex"}, "surface", "there are: chat"),
        ({"measured": {"flagged": {"count": 3, "total": 2}}}, "measured.flagged", "at most"),
        ({"modle": "llama"}, "modle", "not known"),
        ({"expires_in_s": 0}, "expires_in_s", "greater than 0"),
    ],
)
def test_a_point_that_could_not_do_what_it_says_is_refused_in_words(
    api: AdminApi, changes: dict[str, object], param: str, words: str
) -> None:
    status, named, said = refusal(api, NEW | changes)
    assert (status, named) == (422, param)
    assert words in said
    assert api.good("GET", "/points?state=proposed") == []


def test_a_point_of_a_project_that_is_not_there_is_refused(api: AdminApi) -> None:
    assert api.code("POST", "/points", NEW | {"project": "nobody"}) == (404, "not_found")


def test_two_points_that_differ_in_nothing_but_the_threshold_are_not_both_promoted(
    api: AdminApi,
) -> None:
    first = promoted(api)
    second = proposed(api, threshold=0.5)
    answer = api.ask("POST", f"/points/{second}/promote", WHY)
    assert answer.status_code == 409
    assert f"{first!r}, which is active, has the same" in answer.text
    third = proposed(api, action="page")
    answer = api.ask("POST", f"/points/{third}/promote", WHY)
    assert "'lexical/any/prompt/page', which is in the settings" in answer.text
    promoted(api, action="page", tier=1)


def test_what_has_expired_meanwhile_is_not_promoted_and_does_not_apply(api: AdminApi) -> None:
    late = proposed(api, expires_in_s=10)
    ends = promoted(api, expires_in_s=10)
    api.now += 10
    assert api.code("POST", f"/points/{late}/promote", WHY) == (409, "conflict")
    (told,) = api.good("GET", f"/points/{ends}")["versions"]
    assert (told["state"], told["applies"]) == ("active", False)
    promoted(api)


def test_a_rollback_makes_no_two_points_of_one_place(api: AdminApi) -> None:
    first = promoted(api)
    another(api, first, action="case")
    second = promoted(api, threshold=0.5)
    answer = api.ask("POST", f"/points/{first}/rollback", WHY)
    assert answer.status_code == 409
    assert f"{second!r}, which is active, has the same" in answer.text
    assert applied(api) == {first: (2, 0.9), second: (1, 0.5)}
    api.good("POST", f"/points/{second}/retire", WHY)
    assert api.good("POST", f"/points/{first}/rollback", WHY)["version"] == 1


def test_of_points_of_one_place_that_are_promoted_at_the_same_time_one_is(api: AdminApi) -> None:
    ids = [proposed(api, threshold=threshold) for threshold in (0.5, 0.6, 0.7, 0.8)]
    at_once = threading.Barrier(len(ids))
    who = Admin("cli:tests", Role.OPERATOR)

    def promote(id_: str) -> bool:
        at_once.wait()
        try:
            Points(api.office).promote(id_, Decision(**WHY), who)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(len(ids)) as threads:
        done = list(threads.map(promote, ids))

    assert sorted(done) == [False, False, False, True]
    assert list(applied(api)) == [ids[done.index(True)]]
