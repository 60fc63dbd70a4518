"""The results of checks, and what keeps one that fails from ending them all."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from service.core.findings import Finding, Status, unknown


@dataclass(frozen=True, slots=True)
class Result:
    """One check: what it belongs to, its name there, and how it ended."""

    group: str
    name: str
    finding: Finding

    @property
    def check(self) -> str:
        """The name by which a script knows it."""
        return f"{self.group}: {self.name}"

    @property
    def is_well(self) -> bool:
        """Say whether there is nothing to do."""
        return self.finding.status is Status.OK


Look = Callable[[], Iterable[Result]]


def looked(group: str, name: str, look: Look) -> Sequence[Result]:
    """Return the results of a check, or that it could not be made."""
    results: list[Result] = []
    try:
        results.extend(look())
    except Exception as error:  # noqa: BLE001  (whatever a broken installation does to a check)
        results.append(Result(group, name, failed(error)))
    return results


def failed(error: BaseException) -> Finding:
    """Tell of a check that did not come to an end."""
    words = (
        error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    )
    return unknown(f"the check failed: {words}", "look by hand")


def in_group(group: str, found: Iterable[tuple[str, Finding]]) -> Iterator[Result]:
    """Yield results of one group."""
    return (Result(group, name, finding) for name, finding in found)
