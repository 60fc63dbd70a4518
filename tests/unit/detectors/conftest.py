import random
from pathlib import Path

import pytest

from detectors.compiling import compile_library
from detectors.features import BUCKETS
from detectors.native import Library, load_library

STRICT = ("-Werror", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")
"""A warning fails the compilation, undefined behaviour ends the test run."""


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of `words.c`; needs a C compiler (Debian: gcc, libc6-dev)."""
    return compile_library(tmp_path_factory.mktemp("words"), *STRICT)


@pytest.fixture(scope="session")
def library(compiled: Path) -> Library:
    found = load_library(compiled.parent)
    assert found, f"{compiled} cannot be loaded"
    return found


@pytest.fixture(scope="session")
def random_weights() -> list[int]:
    """Weights by which any word that is missed, or seen twice, shows."""
    generator = random.Random(0)  # noqa: S311 - the same in every run
    return [generator.randint(-1_024, 1_024) for _ in range(BUCKETS)]
