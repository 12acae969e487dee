"""`coevol serve MODEL`: serves a model with vLLM, with the options that suit a run."""

import os
import shlex
import shutil
import sys
from pathlib import Path

import click

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
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[-- VLLM OPTIONS]")
def serve(model: str, port: int, options: tuple[str, ...]) -> int:
    """Serve MODEL (a name at Hugging Face, or a folder) with vLLM, for runs on this machine.

    Everything after -- goes to `vllm serve` and overrides what is set here, for instance `--
    --tensor-parallel-size 4`. With VLLM_API_KEY in the environment, the server requires that key and the
    other commands send it. Ctrl+C ends it.
    """
    program = _vllm()
    command = [program, "serve", model, "--host", "127.0.0.1", "--port", str(port), *FLAGS, *options]
    click.echo(shlex.join(command))
    click.echo(
        f"When it is up: coevol evolve DATA -o RUN --model {shlex.quote(f'vllm:{_name(model, options)}')} "
        f"--base-url http://127.0.0.1:{port}/v1"
    )
    sys.stdout.flush()
    os.execv(program, command)  # noqa: S606 - the command that was asked for


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
