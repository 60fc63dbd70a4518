from collections.abc import AsyncIterator, Iterator

from service.core.findings import ok
from service.doctor.results import Named, asked, looked


def breaking(error: Exception) -> Iterator[Named]:
    yield "first", ok("well")
    raise error


async def breaking_while_asking(error: Exception) -> AsyncIterator[Named]:
    yield "first", ok("well")
    raise error


def test_a_check_that_breaks_is_one_that_could_not_be_made_and_keeps_what_came_before() -> None:
    first, broken = looked("group", breaking(PermissionError(13, "Permission denied")))
    assert (first.check, first.is_well) == ("group: first", True)
    assert (broken.check, broken.finding.status) == ("group: check", "could-not-check")
    assert "Permission denied" in broken.finding.found


async def test_so_is_one_that_waits_for_others() -> None:
    first, broken = await asked("group", breaking_while_asking(ValueError("a secret")))
    assert first.is_well
    assert not broken.is_well


def test_an_errors_own_words_are_not_told() -> None:
    *_, broken = looked("group", breaking(ValueError("a secret")))
    assert "ValueError" in broken.finding.found
    assert "a secret" not in broken.finding.found
