"""The rules of the layers hold, and each of them bites."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS: list[str] = [it["name"] for it in PYPROJECT["tool"]["importlinter"]["contracts"]]

VIOLATIONS: Mapping[str, tuple[str, str]] = {
    "Dependencies point one way": ("service/store/planted_layer.py", "service.gateway.pipeline"),
    "Detectors know nothing of the service": ("detectors/planted_service.py", "service.errors"),
    "The plugin in vLLM knows nothing of Watchgate's other packages": (
        "vllm_probe/planted_service.py",
        "service.errors",
    ),
    "Detectors know nothing of HTTP, Kafka or SQL": ("detectors/planted_io.py", "socket"),
    "The detectors' seam imports no ML library": ("detectors/api.py", "numpy"),
    "The service knows detectors by their seam, and wiring by their registry": (
        "service/workers/planted_detector.py",
        "detectors.lexical",
    ),
    "The core is pure": ("service/core/planted_io.py", "pathlib"),
    "Only the Kafka event log imports kafka": ("service/workers/planted_kafka.py", "kafka"),
    "Neither the gateway nor the event log imports SQL": (
        "service/gateway/planted_sql.py",
        "sqlalchemy",
    ),
}
"""For each contract a file and the import in it that the contract forbids."""


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    return subprocess.run(
        command,
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def copy_of_the_tree(target: Path) -> Path:
    for package in ("service", "detectors", "vllm_probe"):
        only_python = shutil.ignore_patterns("__pycache__", "models")
        shutil.copytree(ROOT / package, target / package, ignore=only_python)
    shutil.copy(ROOT / "pyproject.toml", target)
    return target


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What lint-imports says of a tree with every violation planted in it."""
    tree = copy_of_the_tree(tmp_path_factory.mktemp("planted"))
    for file, imported in VIOLATIONS.values():
        with (tree / file).open("a", encoding="utf-8") as planted:
            planted.write(f"\nimport {imported}\n")
    return lint_imports(tree).stdout


def test_the_tree_as_it_is_keeps_every_contract() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout


def test_every_contract_has_a_violation_here() -> None:
    assert list(VIOLATIONS) == CONTRACTS


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_contract_is_broken_by_the_import_that_it_forbids(contract: str, report: str) -> None:
    file, _ = VIOLATIONS[contract]
    module = file.removesuffix(".py").replace("/", ".")
    assert f"{contract} BROKEN" in report
    assert module in details_of(contract, report)


def details_of(contract: str, report: str) -> str:
    """Return what stands under the contract's own heading."""
    heading = f"\n{contract}\n{'-' * len(contract)}\n"
    assert heading in report
    rest = report.split(heading, 1)[1]
    return rest.split("\n---", 1)[0]


BANNED: list[str] = list(
    PYPROJECT["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"],
)


def ruff(file: str, code: str) -> str:
    command = [str(Path(sys.executable).with_name("ruff")), "check", "--select", "TID251"]
    command += ["--no-cache", "--output-format", "concise", "--stdin-filename", file, "-"]
    done = subprocess.run(
        command, cwd=ROOT, input=code, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout


def use_of(name: str) -> str:
    """Return a line that uses the banned name, as a person would write it.

    >>> use_of("os.environ")
    'import os\\nprint(os.environ)\\n'
    """
    module = name.split(".", maxsplit=1)[0]
    return f"import {module}\nprint({name})\n"


@pytest.mark.parametrize("name", BANNED)
def test_ruff_refuses_time_randomness_and_io_in_the_core(name: str) -> None:
    assert "TID251" in ruff("service/core/planted.py", use_of(name))


def test_shells_may_read_the_clock() -> None:
    assert "TID251" not in ruff("service/workers/planted.py", use_of("time.time"))


IO_BUILTINS = {"open", "print", "input", "exec", "eval", "__import__", "breakpoint"}


def io_builtins(code: str) -> set[str]:
    """Return the builtins in the code that a pure function has no use for (no rule of ruff's).

    >>> io_builtins("x = open('y')")
    {'open'}
    """
    names = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    return names & IO_BUILTINS


def test_a_builtin_that_does_io_is_found() -> None:
    assert io_builtins("text = open('file').read()") == {"open"}


@pytest.mark.parametrize(
    "file", sorted((ROOT / "service" / "core").rglob("*.py")), ids=lambda it: it.stem
)
def test_the_core_uses_no_builtin_that_does_io(file: Path) -> None:
    assert not io_builtins(file.read_text(encoding="utf-8"))
