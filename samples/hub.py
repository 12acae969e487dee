"""Data sets on the Hugging Face Hub: which files a split has, and where they are after their download."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from samples.sample import DataError

PREFIX = "hf://"

_NAME = re.compile(
    r"hf://datasets/(?P<repo>[^/@\s]+/[^/@\s]+)(@(?P<revision>[^/@\s]+))?"
    r"(/(?P<config>[^/\s]+)(?=/))?(/(?P<split>[^/\s]+))?"
)


def hub_files(name: str) -> list[Path]:
    """Download the files of `hf://datasets/OWNER/NAME[@REVISION][/[CONFIGURATION/]SPLIT]`.

    Which files those are is up to `datasets`, and where they are kept and which token is sent is up to
    `huggingface_hub`; `HF_ENDPOINT` names another Hub. A slash in a revision is written as %2F.

    Raises:
        DataError: the name cannot be read, there is no such data set, or it has several splits.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise DataError(f"{name}: expected hf://datasets/OWNER/NAME[@REVISION][/SPLIT]")
    try:
        import datasets
        import huggingface_hub
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError:
        raise DataError(f"{name} needs `datasets`: pip install 'coevol[hub]'") from None
    datasets.disable_progress_bars()
    disable_progress_bars()
    revision = unquote(found["revision"]) if found["revision"] else None
    try:
        builder = datasets.load_dataset_builder(found["repo"], found["config"], revision=revision)
        by_split: dict[str, list[str]] = {
            str(k): list(v) for k, v in (builder.config.data_files or {}).items()
        }
        split = _split(name, by_split, found["split"])
        return [_download(huggingface_hub, url) for url in by_split[split]]
    except DataError:
        raise
    except Exception as error:  # of many libraries: HTTP, file system, YAML of the card
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(
            f"{name} cannot be read from {huggingface_hub.constants.ENDPOINT}: {first}"
        ) from error


def _split(name: str, by_split: dict[str, list[str]], wanted: str | None) -> str:
    if wanted is None and len(by_split) == 1:
        return next(iter(by_split))
    if wanted in by_split:
        return wanted
    if not by_split:
        raise DataError(f"{name} has no files of data")
    base = name if wanted is None else name.removesuffix(f"/{wanted}")
    first = next(iter(by_split))
    raise DataError(f"{name} has the splits {', '.join(by_split)}: name one, such as {base}/{first}")


def _download(hub: Any, url: str) -> Path:
    place = hub.HfFileSystem().resolve_path(url)
    return Path(
        hub.hf_hub_download(
            place.repo_id, place.path_in_repo, repo_type=place.repo_type, revision=place.revision
        )
    )
