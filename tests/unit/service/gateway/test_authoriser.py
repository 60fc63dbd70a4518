"""What is remembered of a caller is that caller's alone."""

from service.core.access import ModelTerms
from service.core.callers import Caller
from service.core.directory import Organisation, Project, Rules, Snapshot
from service.gateway.authoriser import Authoriser

MODEL = ModelTerms("llama", 1)


def test_one_subject_in_two_projects_is_held_to_the_rules_of_each() -> None:
    authoriser = Authoriser([], lambda *_: None)
    projects = {
        "open": Project("open"),
        "closed": Project("closed", rules=Rules(models=("another",))),
    }
    organisations = {"default": Organisation("default")}
    authoriser.use(Snapshot(projects=projects, organisations=organisations))
    shown = [Caller("jwt:staff:alice", name, name) for name in ("open", "closed", "open")]
    assert [authoriser.may_use(caller, MODEL) for caller in shown] == [True, False, True]
