"""What `make setup` and `make run` write and leave alone."""

import shutil
import sys
from pathlib import Path

import pytest

from scripts import run, setup
from service.settings import load
from service.vllm.home import digest_of

ROOT = Path(__file__).resolve().parents[3]


def a_finished_setup(root: Path) -> Path:
    """Return an environment that bears the stamps of a set-up; nothing in it works."""
    for file in (*setup.LOCKS, setup.WEIGHTS, *setup.BUILT_FROM):
        (root / file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / file, root / file)
    venv = root / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").touch()
    packages = digest_of(
        *(root / it for it in (*setup.LOCKS, setup.WEIGHTS)), sys.version, str(venv)
    )
    (venv / "packages-stamp").write_text(packages)
    (venv / "itself-stamp").write_text(setup.digest_of_itself(root, packages))
    return venv


def test_a_setup_that_is_up_to_date_does_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setup.ensure_environment(tmp_path, a_finished_setup(tmp_path))
    assert capsys.readouterr().err == ""


def test_the_first_run_writes_settings_with_the_operating_points_of_the_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GATEWAY", "OPS", "CONSOLE"):
        monkeypatch.setenv(f"WATCHGATE_{name}__PORT", "0")
    prepared = run.prepare(tmp_path, "http://127.0.0.1:8000/v1/", "mine")
    example = load(ROOT / "watchgate.example.yaml")
    assert prepared.settings.operating_points == example.operating_points
    assert (prepared.upstream, prepared.model) == ("http://127.0.0.1:8000", "mine")
    assert not prepared.local


def test_a_vllm_that_is_started_here_has_probes_where_a_socket_fits(tmp_path: Path) -> None:
    probed, too_long = tmp_path / "probed.yaml", tmp_path / "too-long.yaml"
    run._write(probed, "http://127.0.0.1:8000", "smollm2", sockets=Path("/run/probes"))
    settings = load(probed)
    assert settings.upstreams[0].probes is not None
    assert settings.upstreams[0].probes.sockets == Path("/run/probes")
    assert [it.kind for it in settings.detectors] == ["lexical", "rules", "probe"]
    started = run._parts(run.Run(tmp_path, probed, settings, local=True))
    assert started[1].command[-2:] == ["--probe-sockets", "/run/probes"]
    run._write(too_long, "http://127.0.0.1:8000", "smollm2", sockets=Path("/" + "x" * 100))
    settings = load(too_long)
    assert settings.upstreams[0].probes is None
    started = run._parts(run.Run(tmp_path, too_long, settings, local=True))
    assert "--probe-sockets" not in started[1].command


def test_all_folders_that_the_first_run_makes_are_its_owners_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GATEWAY", "OPS", "CONSOLE"):
        monkeypatch.setenv(f"WATCHGATE_{name}__PORT", "0")
    run.prepare(tmp_path / "var" / "run", "http://127.0.0.1:8000", "mine")
    modes = [it.stat().st_mode & 0o777 for it in (tmp_path / "var", tmp_path / "var" / "run")]
    assert modes == [0o700, 0o700]


def test_the_key_of_the_upstream_stays_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GATEWAY", "OPS", "CONSOLE"):
        monkeypatch.setenv(f"WATCHGATE_{name}__PORT", "0")
    monkeypatch.setenv("VLLM_API_KEY", "stand-in")
    prepared = run.prepare(tmp_path, "http://127.0.0.1:8000", "mine")
    assert "stand-in" not in prepared.config.read_text()
    key = prepared.settings.upstreams[0].api_key
    assert key is not None
    assert key.get_secret_value() == "stand-in"


def test_an_upstream_that_does_not_answer_is_said_to(tmp_path: Path) -> None:
    with pytest.raises(run.CannotRun, match="lists no model"):
        run.prepare(tmp_path, "http://127.0.0.1:9", None)


def test_a_model_without_its_upstream_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run.main(["--model", "mine"])
    assert end.value.code == 2
    assert "MODEL names a model of UPSTREAM" in capsys.readouterr().err
