"""Serves a GGUF file with llama.cpp's own server, from the extra `local`."""

import re
import shlex
import signal
import socket
from http.client import HTTPConnection
from json import load
from pathlib import Path
from typing import Any

import click

from models.errors.exceptions import MissingExtra
from runners.terminal import filtered, say

SLOTS = 2
"""How many calls are answered at the same time. Without a GPU more of them only wait for each other."""

CONTEXT = 8192
"""Tokens of a slot: a round's longest prompt, about a conversation of 2,048 tokens, with a long reply."""

MIN_CONTEXT = 2048
"""The default pack's prompt about a short record, and a reply of 1,000 tokens."""

TIMEOUT = 600
"""Seconds that the suggested run waits for a reply: a CPU may take minutes for a long one."""

PROMPT_CACHE = 1024
"""MiB of memory for prompts that have left their slot. llama.cpp's 8 GiB may be all that a laptop has."""

_HUB = "hf:"
_PART = re.compile(r"(.+-)(\d{5})-of-(\d{5})\.gguf")


def is_meant(model: str) -> bool:
    """Return whether a model is for llama.cpp. vLLM's are names at Hugging Face and folders."""
    return model.startswith(_HUB) or model.lower().endswith(".gguf") or Path(model).is_file()


def serve(model: str, port: int, slots: int, context: int | None, threads: int | None) -> int:
    """Serve a GGUF file on 127.0.0.1 until SIGINT, `slots` calls at once, each with `context` tokens.

    It has the file's name without its ending. Once it is up, the command that uses it is printed.

    Raises:
        ClickException: the file cannot be had or served, or not with this context; or the port is taken.
        MissingExtra: the extra `local` is not installed.
    """
    try:
        import xllamacpp
    except ModuleNotFoundError as error:
        raise MissingExtra("`coevol serve` of a GGUF file", error.name, "local") from None
    _check_port(port)
    path = _fetched(model) if model.startswith(_HUB) else Path(model)
    _check_file(path, model)
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.model_alias = {path.stem}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    # A page in this machine's browser has no business here.
    params.cors_origins = ""
    params.n_parallel = slots
    params.n_ctx = slots * (context or CONTEXT)
    if threads:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.cache_ram_mib = PROMPT_CACHE
    params.endpoint_metrics = True
    params.verbosity = 1  # errors; more is several lines for each call
    with filtered():
        return _serve_until_interrupted(params, path, context)


def _serve_until_interrupted(params: Any, path: Path, context: int | None) -> int:
    import xllamacpp

    slots, port = params.n_parallel, params.port
    say(f"llama.cpp loads {path} …")
    # Loading takes no notice of Python's handler; so Ctrl+C ends the process.
    interrupt = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        server = xllamacpp.Server(params)
    except RuntimeError:
        raise click.ClickException(
            f"llama.cpp cannot serve {path}, for the reason above. If memory is short: fewer --slots, "
            "less --context, or a smaller model"
        ) from None
    signal.signal(signal.SIGINT, interrupt)
    try:
        served = _slot_context(port)
        needed = context or MIN_CONTEXT
        if served < needed:
            raise click.ClickException(
                f"{path} was made for a context of {served:,} tokens, which is less than "
                + (f"--context {context}" if context else f"the {MIN_CONTEXT:,} that a run needs")
            )
        url = f"{server.listening_address}/v1"
        say(f"serving {path.stem} at {url}, {slots} × {served:,} tokens, until Ctrl+C")
        say(
            "In another terminal: coevol evolve examples/alpaca_en.json -o runs/local "
            f"--model {shlex.quote(f'openai:{path.stem}')} --base-url {url} "
            f"--concurrency {slots} --timeout {TIMEOUT}"
        )
        while True:
            signal.pause()
    except KeyboardInterrupt:
        pass  # the way to end it
    return 0


def _slot_context(port: int) -> int:
    """Return how many tokens a slot has: no more than the model was trained for, whatever was asked."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/props")
        return int(load(connection.getresponse())["default_generation_settings"]["n_ctx"])
    finally:
        connection.close()


def _check_port(port: int) -> None:
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            free.bind(("127.0.0.1", port))
        except OSError as error:
            raise click.ClickException(f"--port {port} cannot be used: {error.strerror}") from None


def _check_file(path: Path, model: str) -> None:
    try:
        with path.open("rb") as file:
            begins = file.read(4)
    except FileNotFoundError:
        at_hub = re.fullmatch(r"[\w.-]+/[\w.-]+/[\w./-]+", model)
        hint = f"; to fetch it from the Hugging Face hub: {_HUB}{model}" if at_hub else ""
        raise click.ClickException(f"there is no file {path}{hint}") from None
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read: {error.strerror}") from None
    if begins != b"GGUF":
        raise click.ClickException(
            f"{path} is not a GGUF file. vLLM serves folders, with safetensors in them; "
            "models in GGUF are at the Hugging Face hub, often in a repository whose name ends in -GGUF"
        )


def _fetched(model: str) -> Path:
    """Return a file of the Hugging Face hub, from its cache on this machine or fetched now."""
    try:
        from huggingface_hub import constants, hf_hub_download, list_repo_files
        from huggingface_hub.errors import (
            LocalEntryNotFoundError,
            RemoteEntryNotFoundError,
            RepositoryNotFoundError,
        )
    except ModuleNotFoundError as error:
        raise MissingExtra(f"`coevol serve {_HUB}…`", error.name, "local") from None
    owner, _, rest = model.removeprefix(_HUB).partition("/")
    name, _, file = rest.partition("/")
    if not (owner and name):
        raise click.ClickException(f"{model}: write {_HUB}OWNER/REPO or {_HUB}OWNER/REPO/FILE.gguf")
    repository, hub = f"{owner}/{name}", constants.ENDPOINT
    try:
        file = file or _medium(list_repo_files(repository), model)
        paths = [hf_hub_download(repository, name) for name in _parts(file)]
        return Path(paths[0])
    except click.ClickException:
        raise
    except RepositoryNotFoundError:
        reason = "there is no such repository, or HF_TOKEN has to hold a token that may read it"
    except RemoteEntryNotFoundError:
        reason = f"{repository} has no such file, see {hub}/{repository}/tree/main"
    except LocalEntryNotFoundError:
        reason = "it cannot be reached, and the file was not fetched before"
    except Exception as error:  # of the library, its HTTP client, or the disk
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    raise click.ClickException(f"{model} cannot be fetched from {hub}: {reason}")


def _parts(file: str) -> list[str]:
    """Return the files of a model, the first one first: llama.cpp finds the others next to it."""
    part = _PART.fullmatch(file)
    if not part:
        return [file]
    return [f"{part[1]}{number:05}-of-{part[3]}.gguf" for number in range(1, int(part[3]) + 1)]


def _medium(files: list[str], model: str) -> str:
    """Return the GGUF file to take where none is named: the only one, or else the one in Q4_K_M."""
    found = [file for file in files if file.lower().endswith(".gguf")]
    found = [file for file in found if not (part := _PART.fullmatch(file)) or int(part[2]) == 1]
    chosen = found if len(found) == 1 else [file for file in found if "q4_k_m" in file.lower()]
    if len(chosen) == 1:
        return chosen[0]
    if not found:
        raise click.ClickException(
            f"{model} has no GGUF file; look for a repository whose name ends in -GGUF"
        )
    raise click.ClickException(
        f"{model} has several files, name one: " + ", ".join(f"{model}/{file}" for file in found[:20])
    )
