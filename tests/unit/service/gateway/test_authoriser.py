"""What the authoriser remembers of callers, and of whom."""

from dataclasses import replace

import pytest

from service.core.access import ModelTerms
from service.core.callers import Caller
from service.core.directory import Project, Rules, Snapshot, Standing
from service.core.surfaces import SURFACES
from service.core.surfaces.shape import parse
from service.errors import ModelNotAllowed
from service.gateway.authoriser import Authoriser, Grant

MODEL = ModelTerms("m", 0)
REQUEST = parse(b'{"model": "m"}')
SUBJECT = "jwt:corp:0123456789abcdef"


def test_one_subject_with_tokens_of_two_projects_is_under_the_rules_of_each() -> None:
    authoriser = Authoriser((), lambda *_: None)
    projects = {
        "open": Project("open"),
        "narrow": Project("narrow", rules=Rules(models=("another",))),
    }
    authoriser.use(Snapshot(projects=projects))
    of_open, of_narrow = (Caller(SUBJECT, name, name) for name in projects)

    def ask(caller: Caller) -> Grant:
        return authoriser.authorise(caller, MODEL, SURFACES["chat"], REQUEST, None, {})

    assert ask(of_open) == Grant()
    assert not authoriser.may_use(of_narrow, MODEL, {})
    with pytest.raises(ModelNotAllowed):
        ask(of_narrow)
    assert ask(of_open) == Grant()


def test_a_model_is_not_shown_to_who_is_suspended_or_calls_from_elsewhere() -> None:
    authoriser = Authoriser((), lambda *_: None)
    here, elsewhere = ({"headers": [], "client": (it, 1)} for it in ("10.0.0.1", "192.0.2.1"))
    project = Project("p", rules=Rules(addresses=("10.0.0.0/8",)))
    caller, snapshot = Caller("key_1", "p", "p"), Snapshot(projects={"p": project})
    authoriser.use(snapshot)
    assert authoriser.may_use(caller, MODEL, here)
    assert not authoriser.may_use(caller, MODEL, elsewhere)
    authoriser.use(replace(snapshot, standings={"p": Standing.SUSPENDED}))
    assert not authoriser.may_use(caller, MODEL, here)
