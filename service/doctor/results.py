"""The results of checks, and what keeps one that fails from ending them all."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from service.core.findings import Finding, Status, unknown

Named = tuple[str, Finding]
"""A check's name within its group, and how it ended."""


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


def looked(group: str, found: Iterator[Named]) -> Iterator[Result]:
    """Yield the results of checks; where they break off, that they did."""
    try:
        for name, finding in found:
            yield Result(group, name, finding)
    except Exception as error:  # noqa: BLE001  (whatever a broken installation does to a check)
        yield Result(group, "check", _failed(error))


async def asked(group: str, found: AsyncIterator[Named]) -> list[Result]:
    """Return the results of checks that wait for others; where they break off, that they did."""
    results = []
    try:
        async for name, finding in found:
            results.append(Result(group, name, finding))
    except Exception as error:  # noqa: BLE001  (as above)
        results.append(Result(group, "check", _failed(error)))
    return results


def _failed(error: Exception) -> Finding:
    """Tell of it without the error's words, which may hold what the settings keep secret."""
    system_says = error.strerror if isinstance(error, OSError) else None
    return unknown(f"the check failed: {system_says or type(error).__name__}", "look by hand")
