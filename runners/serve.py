"""`coevol serve MODEL`: serves a model for runs on this machine, with vLLM, or with llama.cpp a GGUF file."""

import os
import shlex
import shutil
import sys
from pathlib import Path

import click

from models.secret_fields import is_secret_name, without_secrets
from runners import llama
from runners.terminal import filtered, say

FLAGS = (
    # Calls of a round share most of their prompts, and calls of a run their beginnings.
    "--enable-prefix-caching",
    # Without it replies do not report how much of their prompt was cached.
    "--enable-prompt-tokens-details",
    # A line for each of a hundred thousand calls is useless.
    "--disable-uvicorn-access-log",
)
"""Suitable for a run with any model."""


@click.command()
@click.argument("model")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8000,
    metavar="NUMBER",
    help="The port to listen on. Default: 8000.",
)
@click.option(
    "--slots",
    type=click.IntRange(min=1),
    metavar="NUMBER",
    help=f"GGUF: how many calls are answered at the same time. Default: {llama.SLOTS}.",
)
@click.option(
    "--context",
    type=click.IntRange(min=llama.MIN_CONTEXT),
    metavar="TOKENS",
    help="GGUF: the longest prompt with its reply, of each call. "
    f"Default: {llama.CONTEXT}, or as many as the model takes if these are fewer.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="NUMBER",
    help="GGUF: the threads that compute. Default: as many as there are cores.",
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[-- VLLM OPTIONS]")
def serve(
    model: str,
    port: int,
    slots: int | None,
    context: int | None,
    threads: int | None,
    options: tuple[str, ...],
) -> int:
    """Serve MODEL for runs on this machine, until Ctrl+C.

    A GGUF file is served by llama.cpp (the extra `local`), with or without a GPU: MODEL is its path, or
    hf:OWNER/REPO/FILE.gguf to fetch it from the Hugging Face hub, or hf:OWNER/REPO for the repository's
    Q4_K_M.

    Any other MODEL, a name at Hugging Face or a folder, is served by vLLM. Everything after -- goes to
    `vllm serve` and overrides what is set here, for instance `-- --tensor-parallel-size 4`. With VLLM_API_KEY
    in the environment, that server requires the key and the other commands send it.
    """
    if llama.is_meant(model):
        if options:
            raise click.UsageError("options after -- are for vLLM, and a GGUF file is served by llama.cpp")
        return llama.serve(model, port, slots or llama.SLOTS, context, threads)
    if slots or context or threads:
        raise click.UsageError(
            f"--slots, --context and --threads are for a GGUF file, and {model} is served by vLLM: "
            "give vLLM its own options after --"
        )
    program = _vllm()
    command = [program, "serve", model, "--host", "127.0.0.1", "--port", str(port), *FLAGS, *options]
    with filtered():
        say(shlex.join(_shown(command)))
        say(
            "When it is up: coevol evolve DATA -o RUN "
            f"--model {shlex.quote(f'vllm:{_name(model, options)}')} --base-url http://127.0.0.1:{port}/v1"
        )
        os.execv(program, command)  # noqa: S606 - the command that was asked for


def _shown(command: list[str]) -> list[str]:
    """Return a command as it is printed: without the value of `--api-key`, for instance."""
    options = zip(["", *command], command, strict=False)
    return [
        "…" if before.startswith("--") and is_secret_name(before) else without_secrets(word)
        for before, word in options
    ]


def _vllm() -> str:
    """Return the `vllm` command of this environment, or else the one on PATH."""
    installed = Path(sys.executable).with_name("vllm")
    found = str(installed) if os.access(installed, os.X_OK) else shutil.which("vllm")
    if found is None:
        raise click.UsageError(
            "vllm is not installed: run `pip install -e '.[vllm]'` in the folder of coevol, "
            "or install it in an environment of its own and put that on PATH"
        )
    return found


def _name(model: str, options: tuple[str, ...]) -> str:
    """Return the name the model is served under."""
    for index, option in enumerate(options):
        flag, sign, value = option.partition("=")
        if flag == "--served-model-name":
            return value if sign else next(iter(options[index + 1 :]), model)
    return model
