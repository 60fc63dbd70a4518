"""Labels over the admin API: who may set them, what is refused, what the audit log has of it."""

from typing import Any

import pytest

from service.core.roles import Role
from tests.real_parts.admin import AdminApi

ID = "ex-0123456789abcdef00000001"
OTHER = "ex-0123456789abcdef00000002"
PROMPT, ANSWER = f"/labels/{ID}/prompt", f"/labels/{ID}/answer"
MISUSE = {"label": "misuse", "categories": ["fraud", "cyber", "fraud"], "note": "a ticket"}
BENIGN = {"label": "benign"}


def said(api: AdminApi, **params: object) -> list[tuple[str, str, str]]:
    found = api.good("GET", "/labels", params=params, role=Role.VIEWER)
    return [(it["exchange_id"], it["part"], it["label"]) for it in found]


def test_an_analyst_labels_an_exchange_and_others_see_it(api: AdminApi) -> None:
    told = api.good("PUT", PROMPT, MISUSE, role=Role.ANALYST)
    (seen,) = api.good("GET", "/labels", role=Role.VIEWER)
    assert seen == told
    assert told["by"].startswith("token:adm_")
    assert (told["categories"], told["note"], told["at"]) == (
        ["cyber", "fraud"],
        "a ticket",
        api.now,
    )


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_who_does_not_judge_labels_nothing(api: AdminApi, role: Role) -> None:
    assert api.code("PUT", PROMPT, BENIGN, role=role) == (403, "forbidden")
    assert api.code("DELETE", PROMPT, role=role) == (403, "forbidden")


def test_two_people_may_disagree_and_each_has_one_label_of_a_part(api: AdminApi) -> None:
    api.good("PUT", PROMPT, MISUSE, role=Role.ANALYST)
    api.good("PUT", PROMPT, BENIGN, role=Role.ADMIN)
    api.good("PUT", ANSWER, BENIGN, role=Role.ADMIN)
    assert len(said(api)) == 3
    api.now += 60
    told = api.good("PUT", PROMPT, BENIGN, role=Role.ANALYST)
    assert (told["label"], told["categories"], told["note"]) == ("benign", [], None)
    assert told["at"] == api.now
    assert said(api, label="misuse") == []
    assert len(said(api)) == 3


def test_labels_are_listed_by_exchange_and_by_meaning_and_page_by_page(api: AdminApi) -> None:
    api.good("PUT", PROMPT, MISUSE)
    api.good("PUT", PROMPT, BENIGN, role=Role.ANALYST)
    api.good("PUT", f"/labels/{OTHER}/answer", BENIGN)
    assert said(api, exchange=OTHER) == [(OTHER, "answer", "benign")]
    assert said(api, label="misuse") == [(ID, "prompt", "misuse")]
    refs: list[str] = []
    while page := api.good(
        "GET", "/labels", params={"limit": 1, "after": refs[-1] if refs else None}
    ):
        refs += [it["ref"] for it in page]
    assert refs == [it["ref"] for it in api.good("GET", "/labels")]
    assert len(set(refs)) == 3


def test_one_removes_ones_own_label_or_by_name_that_of_somebody_else(api: AdminApi) -> None:
    theirs = api.good("PUT", PROMPT, MISUSE, role=Role.ANALYST)["by"]
    assert api.code("DELETE", PROMPT) == (404, "not_found")
    api.good("PUT", PROMPT, BENIGN)
    api.good("DELETE", PROMPT)
    assert said(api) == [(ID, "prompt", "misuse")]
    gone = api.good("DELETE", PROMPT, params={"by": theirs, "reason": "left us"})
    assert gone["by"] == theirs
    assert said(api) == []
    entry = api.entries()[0]
    assert (entry.action, entry.object, entry.reason) == (
        "label.remove",
        f"label/{ID}/prompt",
        "left us",
    )
    assert (entry.before["by"], entry.before["label"], entry.after) == (theirs, "misuse", None)


def test_a_change_has_its_entry_and_a_repetition_none(api: AdminApi) -> None:
    api.good("PUT", PROMPT, MISUSE | {"reason": "seen twice"})
    entry = api.entries()[0]
    assert (entry.action, entry.object, entry.reason) == (
        "label.set",
        f"label/{ID}/prompt",
        "seen twice",
    )
    assert entry.before == {"label": None, "categories": [], "note": None}
    assert entry.after == {"label": "misuse", "categories": ["cyber", "fraud"], "note": "a ticket"}
    known, first = len(api.entries()), api.now
    api.now += 60
    assert api.good("PUT", PROMPT, MISUSE)["at"] == first
    assert len(api.entries()) == known
    api.good("PUT", PROMPT, MISUSE | {"note": None})
    assert api.entries()[0].after == {"note": None}


@pytest.mark.parametrize(
    ("path", "body", "param", "words"),
    [
        ("/labels/ex-1/prompt", BENIGN, "exchange", "`ex-` and 24 hexadecimal digits"),
        (f"/labels/{ID}/exchange", BENIGN, "part", "expected 'prompt' or 'answer'"),
        (f"/labels/{ID}/title", BENIGN, "part", "'prompt', 'answer'"),
        (PROMPT, {"label": "bad"}, "label", "'benign' or 'misuse'"),
        (PROMPT, {}, "label", "is missing"),
        (PROMPT, BENIGN | {"categories": ["cyber"]}, "categories", "of no kind of misuse"),
        (PROMPT, MISUSE | {"categories": ["any"]}, "categories.0", "expected a kind of misuse"),
        (PROMPT, MISUSE | {"categories": ["theft"]}, "categories.0", "'bio', 'chem'"),
        (PROMPT, BENIGN | {"note": "x" * 501}, "note", "at most 500 characters"),
        (PROMPT, BENIGN | {"note": "a\nb"}, "note", "one line"),
        (PROMPT, BENIGN | {"text": "what was asked"}, "text", "is not known"),
    ],
)
def test_what_is_no_label_is_refused_in_words_that_say_what_would_be(
    api: AdminApi, path: str, body: dict[str, Any], param: str, words: str
) -> None:
    answer = api.ask("PUT", path, body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (422, param)
    assert words in error["message"]
    assert said(api) == []


def test_a_place_in_the_list_that_is_none_is_refused(api: AdminApi) -> None:
    for wrong in ("nonsense", f"{ID}:exchange:cli:a"):
        assert api.code("GET", "/labels", params={"after": wrong}) == (422, "invalid_request")
