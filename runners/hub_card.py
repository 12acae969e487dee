"""The data card of a data set on the Hugging Face Hub: its front matter, and what readers should know."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.providers.rehearsal import NOTICE
from reporting.manifest import is_rehearsed
from runners.data_card import (
    Contents,
    Form,
    by_users,
    code,
    column_notes,
    field_notes,
    inline,
    later_rows,
    model_rows,
    number_rows,
    settings_rows,
    source_rows,
    table,
)
from runners.provenance import public_model
from samples.hub import PREFIX
from samples.printable import printable
from samples.trainers import DPO_TRAINERS

SPLIT = "train"

_MARK = re.compile(r"<!-- coevol: run ([0-9a-f]{16}) -->")
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---[ ]*(?:\n|\Z)", re.DOTALL)
_SIZES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")

_MOST_FIELDS, _LONGEST_VALUE = 50, 1000


@dataclass(frozen=True, slots=True)
class Configuration:
    """One configuration of a data set: the results of a mode, in a layout."""

    name: str
    is_default: bool
    mode: str
    form: Form
    contents: Contents
    example: Mapping[str, Any]
    """A record."""
    shards: Sequence[Path]
    """Parquet files, in one folder."""


@dataclass(frozen=True, slots=True)
class License:
    """The license of a data set, as the Hub names it."""

    key: str
    name: str | None
    """Where the key is `other`."""


def hub_card(
    repo: str,
    run: Mapping[str, Any],
    configurations: Sequence[Configuration],
    license: License,
    languages: Sequence[str],
    fingerprint: str,
) -> str:
    """Return the card as Markdown. `run` is the object of `stats --json`."""
    made, first = run["run"], configurations[0]
    modes = list(dict.fromkeys(each.mode for each in configurations))
    with_new = " with a new response" if first.contents.changed else ""
    parts = [
        f"---\n{_front_matter(repo, made, configurations, license, languages)}---",
        f"<!-- coevol: run {fingerprint} -->\n# {inline(repo.partition('/')[2])}",
        "Instruction data whose responses were revised by language models with coevol, by the method of "
        "CoEvol ([arXiv 2406.07054](https://arxiv.org/abs/2406.07054)): agents discuss a response, an editor "
        "rewrites it, and where the mode has a judge, it compares the two.",
    ]
    if is_rehearsed(made):
        parts.append(f"**Not for training.** {NOTICE[0].upper()}{NOTICE[1:]}")
    parts.append("## Configurations")
    for each in configurations:
        parts += _described(repo, each)
    parts += [
        column_notes(configurations[0].contents.columns),
        f"## Example\n\nThe first record of {code(first.name)}{with_new}; long values are cut:",
        _fenced(_row(first.example)),
        table("Source", source_rows(made)),
        table("Models", model_rows(made)),
        table("Settings", [*settings_rows(made["settings"]), *later_rows(made["later"])]),
        *(table(f"The run in mode {mode}", number_rows(run, mode)) for mode in modes),
        _limits(made),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def made_by(card: str) -> str | None:
    """Return the fingerprint of the run that a card was made for; None if it is no card of coevol."""
    found = _MARK.search(card)
    return found[1] if found else None


def is_blank(card: str) -> bool:
    """Whether a card has no more than front matter, as the Hub makes one for a new data set."""
    return not _FRONT_MATTER.sub("", card.replace("\r\n", "\n").lstrip()).strip()


def _front_matter(
    repo: str,
    made: Mapping[str, Any],
    configurations: Sequence[Configuration],
    license: License,
    languages: Sequence[str],
) -> str:
    from huggingface_hub import DatasetCardData

    first = configurations[0]
    infos = {each.name: _info(each) for each in configurations}
    pairs = [each for each in configurations if each.form in DPO_TRAINERS]
    path = made["data"]["path"]
    source = path.removeprefix(f"{PREFIX}datasets/").split("/") if path.startswith(PREFIX) else []
    data = DatasetCardData(
        license=license.key,
        license_name=license.name,
        language=list(languages) or None,
        pretty_name=repo.partition("/")[2],
        size_categories=[_size_category(infos[first.name]["splits"][0]["num_examples"])],
        source_datasets=[f"{source[0]}/{source[1].partition('@')[0]}"] if len(source) > 1 else None,
        task_categories=["text-generation"],
        tags=["synthetic", "coevol", "instruction-tuning", *(["preference", "dpo"] if pairs else [])],
        configs=[
            {
                "config_name": each.name,
                **({"default": True} if each.is_default and each.name != "default" else {}),
                "data_files": [
                    {"split": SPLIT, "path": f"{each.shards[0].parent.name}/{SPLIT}-*"},
                ],
            }
            for each in configurations
        ],
        dataset_info=[{"config_name": name, **info} for name, info in infos.items()],
    )
    return data.to_yaml(line_break="\n") + "\n"


def _info(configuration: Configuration) -> dict[str, Any]:
    """Return the `dataset_info` of a configuration."""
    import pyarrow.parquet as pq
    from datasets import DatasetInfo, Features, SplitDict, SplitInfo

    footers = [pq.read_metadata(shard) for shard in configuration.shards]
    groups = [footer.row_group(number) for footer in footers for number in range(footer.num_row_groups)]
    in_memory = sum(group.total_byte_size for group in groups)
    rows = sum(footer.num_rows for footer in footers)
    info: dict[str, Any] = DatasetInfo(
        features=Features.from_arrow_schema(pq.read_schema(configuration.shards[0])),
        splits=SplitDict({SPLIT: SplitInfo(SPLIT, in_memory, rows)}),
        download_size=sum(shard.stat().st_size for shard in configuration.shards),
        dataset_size=in_memory,
    )._to_yaml_dict()
    return info


def _size_category(rows: int) -> str:
    at = 0
    while at < len(_SIZES) and rows >= 1000 * 10**at:
        at += 1
    if not at:
        return f"n<{_SIZES[0]}"
    return f"{_SIZES[at - 1]}<n<{_SIZES[at]}" if at < len(_SIZES) else f"n>{_SIZES[-1]}"


def _described(repo: str, configuration: Configuration) -> Iterator[str]:
    contents = configuration.contents
    yield f"### {configuration.name}"
    summary = inline(contents.summary[0].upper() + contents.summary[1:])
    yield f"{summary}. Results of mode {code(configuration.mode)}{by_users(contents.decided)}."
    yield from field_notes(configuration.form, contents, heading="####")
    name = "" if configuration.is_default else f", {json.dumps(configuration.name)}"
    load = f'load_dataset({json.dumps(repo)}{name}, split="{SPLIT}")'
    yield f"```python\nfrom datasets import load_dataset\n\ndata = {load}\n```"


def _limits(made: Mapping[str, Any]) -> str:
    models = ", ".join(dict.fromkeys(code(public_model(model)) for model in made["models"].values()))
    return (
        "## Limits\n\n"
        f"- The responses are the output of these models, or were chosen by them: {models}. The terms of "
        "some models do not allow their output to be used to train models that compete with them, or set "
        "other conditions. Check the terms of each before you train on this data or pass it on.\n"
        "- The license above is what the publisher stated. Requests and original responses come from the "
        "source, whose license applies to them too.\n"
        "- Models wrote and judged these responses. They can be wrong, biased, or longer than they need to "
        "be, and a judge of the same family may share the faults of the editor."
    )


def _row(record: Mapping[str, Any]) -> str:
    """Return a record as JSON with a line a field, cut where it is long."""
    lines = []
    for name, value in list(record.items())[:_MOST_FIELDS]:
        try:
            text = json.dumps(value, ensure_ascii=False, default=str)
        except (ValueError, RecursionError):
            text = "…"
        text = text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
        lines.append(f"  {json.dumps(name[:_LONGEST_VALUE], ensure_ascii=False)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}"


def _fenced(text: str) -> str:
    """Return a text as a block of code that it cannot end."""
    shown = printable(text)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", shown)), default=0))
    return f"{fence}json\n{shown}\n{fence}"
