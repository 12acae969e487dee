"""Data sets on the Hugging Face Hub: which files a split has, and where they are after their download."""

import re
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from samples.fields import brief
from samples.file_names import is_data
from samples.sample import DataError

PREFIX = "hf://"

_NAME = re.compile(
    r"hf://datasets/(?P<repo>[^/@\s]+/[^/@\s]+)(@(?P<revision>[^/@\s]+))?"
    r"(/(?P<config>[^/\s]+)(?=/))?(/(?P<split>[^/\s]+))?"
)


class HubFiles(NamedTuple):
    """The files of a data set on the Hub."""

    files: list[Path]
    """Those to read, after their download."""
    names: list[str]
    """Their names in the data set."""
    others: list[str]
    """All that it has, where its card does not say which ones are data."""
    split: str
    """The split that was named; empty if none was."""


def hub_files(name: str) -> HubFiles:
    """Download the files of `hf://datasets/OWNER/NAME[@REVISION][/[CONFIGURATION/]SPLIT]`.

    Which files those are is up to `datasets`, and where they are kept and which token is sent is up to
    `huggingface_hub`; `HF_ENDPOINT` names another Hub. A slash in a revision is written as %2F.

    Raises:
        DataError: the name cannot be read, there is no such data set, or it has several splits.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise DataError(f"{name}: expected hf://datasets/OWNER/NAME[@REVISION][/SPLIT]")
    if found["split"] and is_data(Path(found["split"])):
        data_set = f"{PREFIX}datasets/{found['repo']}"
        raise DataError(f"{name} is a file: name its split, such as {data_set}/train, or download it")
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
        config, wanted = found["config"], found["split"]
        configs = [] if config else datasets.get_dataset_config_names(found["repo"], revision=revision)
        if len(configs) > 1:
            if wanted in configs:
                config, wanted = wanted, None
            elif not datasets.get_dataset_default_config_name(found["repo"], revision=revision):
                base = name if wanted is None else name.removesuffix(f"/{wanted}")
                shown = ", ".join(map(brief, configs[:8])) + ", …" * (len(configs) > 8)
                raise DataError(
                    f"{name} has the configurations {shown}: name one, such as {base}/{configs[0]}"
                )
        builder = datasets.load_dataset_builder(found["repo"], config, revision=revision)
        by_split = {str(k): list(v) for k, v in (builder.config.data_files or {}).items()}
        split = _split(name, by_split, wanted)
        others: list[str] = []
        if not huggingface_hub.constants.HF_HUB_OFFLINE:
            info = huggingface_hub.HfApi().dataset_info(found["repo"], revision=revision)
            if not (info.card_data and info.card_data.get("configs")):
                others = [each.rfilename for each in info.siblings or []]
        remote: Any = huggingface_hub.HfFileSystem()
        places = [remote.resolve_path(url) for url in by_split[split]]
        files = [_download(huggingface_hub, place) for place in places]
        return HubFiles(files, [place.path_in_repo for place in places], others, found["split"] or "")
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


def _download(hub: Any, place: Any) -> Path:
    return Path(
        hub.hf_hub_download(
            place.repo_id, place.path_in_repo, repo_type=place.repo_type, revision=place.revision
        )
    )
