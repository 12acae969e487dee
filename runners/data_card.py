"""The data card of an exported file: where its records come from, and how far they can be trusted."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from graph.settings import WHERE_NOT_WHAT
from ledger.decisions import DecisionKind
from models.providers.rehearsal import NOTICE
from models.settings import ModelSettings
from nodes.decision import STOPPED
from reporting.comparison_table import PERCENT
from reporting.labels import AGREEMENT, CHECKING, DECISIONS, ENDINGS, JUDGING, USER_AGREES, is_judged
from reporting.manifest import LaterLimit, RunError, is_rehearsed
from runners.contamination import COLUMN
from runners.provenance import COLUMNS, PREFIX, public_model, public_name
from samples.fields import percent, plural
from samples.files import layout_to_write
from samples.hub import PREFIX as HUB
from samples.layouts import describe
from samples.printable import printable
from samples.sample import Format
from samples.trainers import DpoTrainer, SftTrainer

Form = Format | SftTrainer | DpoTrainer | None
"""The layout of a file; None is that of the data."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds."""

    summary: str
    decided: Mapping[DecisionKind, int]
    """Exchanges as a user decided them, by kind of decision."""
    columns: Sequence[str] = ()
    """The columns that coevol added to the records."""
    compared: Mapping[str, str] = field(default_factory=dict)
    """What was compared with benchmarks, and found; empty if nothing was."""
    changed: int = 0
    """Records with new responses."""


def card_path(file: Path) -> Path:
    """Return the path of a file's card: `README.md` next to it, or `FILE-README.md` if that is another file.

    Raises:
        RunError: both are other files.
    """
    for path in (file.with_name("README.md"), file.with_name(f"{file.name}-README.md")):
        if not path.exists() or (path.is_file() and _mark(file).encode() in path.read_bytes()):
            return path
    raise RunError(
        f"{path} is needed for the card of {file.name} and is another file: move it, or choose another name"
    )


def card(file: Path, to: Form, mode: str, contents: Contents, run: Mapping[str, Any], use: str) -> str:
    """Return the card as Markdown. `run` is the object of `stats --json`."""
    made = run["run"]
    layout = code(to) if to else inline(describe(made["data"]["format"]))
    parts = [
        f"---\nconfigs:\n- config_name: default\n  data_files: {json.dumps(file.name)}\n"
        "tags:\n- synthetic\n- coevol\n---",
        f"{_mark(file)}\n# {inline(file.name)}",
        f"Instruction data in the layout of {layout}. Its responses were revised by language models, in mode "
        f"{code(mode)} of coevol (method of CoEvol, arXiv 2406.07054){by_users(contents.decided)}.",
    ]
    if is_rehearsed(made):
        parts.append(f"**Not for training.** {NOTICE[0].upper()}{NOTICE[1:]}")
    parts += [
        f"## Contents\n\n{inline(contents.summary[0].upper() + contents.summary[1:])}.",
        *field_notes(to, contents),
        column_notes(contents.columns),
        f"## Use\n\n{use}",
        table("Source", source_rows(made)),
        table("Models", model_rows(made)),
        table("Settings", [*settings_rows(made["settings"]), *later_rows(made["later"])]),
        table(f"The whole run in mode {mode}", number_rows(run, mode)),
        "## License\n\nNot stated here. It depends on the license of the source and on the terms of the "
        "models; state it when you pass the file on.",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


_LOADERS = {
    **dict.fromkeys(("JSON array", "JSON lines"), ("json", "")),
    "Parquet": ("parquet", ""),
    "CSV": ("csv", ", keep_default_na=False"),  # a text may be NA
    "TSV": ("csv", ', sep="\t", keep_default_na=False'),
}
"""The loaders of `datasets`, and what they have to be given."""


def usage(file: Path, to: Form, entry: str) -> str:
    """Describe how to give the file to the trainer, as Markdown. LLaMA-Factory knows it as `entry`."""
    loader, how = _LOADERS[layout_to_write(file)]
    name = json.dumps(file.name, ensure_ascii=False)
    load = f'load_dataset("{loader}", data_files={name}, split="train"{how})'
    match to:
        case "trl-sft":
            return (
                f"{_python(load)}\n\nTo learn from the responses alone, give `SFTTrainer` a configuration "
                "with `assistant_only_loss=True`; the model's chat template has to be one that TRL knows, or "
                "one that marks them with `{% generation %}`."
            )
        case "trl-dpo" | "alpaca" | "sharegpt" | "messages" | None:
            return _python(load)
        case "llamafactory" | "llamafactory-dpo":
            stage = "dpo" if to == "llamafactory-dpo" else "sft"
            return (
                "`dataset_info.json` next to the file has its entry:\n\n```yaml\n"
                f"stage: {stage}\n"
                "dataset_dir: .  # the folder of the file\n"
                f"dataset: {json.dumps(entry)}\n```"
            )
        case "axolotl":
            return f"{code(axolotl_path(file).name)} has the lines for the configuration."
        case "openai":
            return 'Upload the file with `purpose="fine-tune"`.'


def axolotl_path(file: Path) -> Path:
    """Return where the lines for Axolotl's configuration go."""
    return file.with_name(f"{file.name}.axolotl.yaml")


_PAIR_FIELDS = (
    "Besides the conversation so far, `chosen` and `rejected`: `id` of the sample and number of the "
    "`exchange`; `pair` says what was compared: `final` (the result against the original), `step` (a draft "
    "against the response it replaced), `rejected` (a response against a draft the judge liked less) or "
    "`overruled` (what a user wants against the judge's result); `round` is that of the draft, 0 where a "
    "user overruled the judge. `score_chosen` and `score_rejected` are the judge's points for the two, null "
    "where it never compared them directly. The conversation before a pair is the one in which its two "
    "responses were written and compared: it has the run's results, whatever a user decided there."
)
_SFT_FIELDS = "Each record is a conversation as it came out in the end; `id` is that of the sample."
_DATA_FIELDS = "Each record has the fields that it had before, with new responses."
_FIELDS: dict[Form, str] = {
    None: _DATA_FIELDS,
    "alpaca": _DATA_FIELDS,
    "sharegpt": _DATA_FIELDS,
    "messages": _DATA_FIELDS,
    "trl-sft": _SFT_FIELDS,
    "llamafactory": _SFT_FIELDS,
    "axolotl": _SFT_FIELDS,
    "openai": "Each record is a conversation.",
    "trl-dpo": _PAIR_FIELDS,
    "llamafactory-dpo": _PAIR_FIELDS,
}


def field_notes(to: Form, contents: Contents, heading: str = "##") -> Iterator[str]:
    """Yield the paragraphs about the fields of a file, and what its records were compared with."""
    yield _FIELDS[to]
    if contents.compared:
        compared = [(name, inline(value)) for name, value in contents.compared.items()]
        yield table("Decontamination", compared, heading)
        if COLUMN in contents.columns:
            yield f"{code(COLUMN)} marks these records."


def column_notes(columns: Sequence[str]) -> str:
    """Describe the columns that say how records came about; empty if there are none."""
    known = [name for name in COLUMNS if f"{PREFIX}{name}" in columns]
    lines = [f"- `{PREFIX}{name}`: {COLUMNS[name]}" for name in known]
    return "\n".join(["## How each record came about\n", *lines]) if lines else ""


def by_users(decided: Mapping[DecisionKind, int]) -> str:
    """Describe how many exchanges users decided, and how; empty if none."""
    kinds = "; ".join(
        f"{label} ({decided[kind]:,})" for kind, label in DECISIONS.items() if decided.get(kind)
    )
    exchanges = plural(sum(decided.values()), "exchange")
    return f", and by users, who decided on {exchanges}: {kinds}" if kinds else ""


def _python(load: str) -> str:
    return f"```python\nfrom datasets import load_dataset\n\ntrain_dataset = {load}\n```"


def _mark(file: Path) -> str:
    return f"<!-- coevol: the card of {quote(file.name)} -->"


def source_rows(made: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield where the records of a run come from, for a table."""
    data = made["data"]
    # A path should not leave this machine; a name on the Hub may.
    path = data["path"]
    yield "data", code(path if path.startswith(HUB) else Path(path).name)
    yield "SHA-256", code(data["sha256"])
    yield "records", f"{data['records']:,} {data['format']}"
    if reference := data.get("reference"):
        yield "field of the right answers", code(reference)
    yield "prompts", code(public_name(made["prompts"]["pack"]))
    yield "run created", made["created"]
    yield "coevol", made["versions"]["coevol"]


def model_rows(made: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the models of a run by role, for a table."""
    for role, model in made["models"].items():
        yield role, code(public_model(model))


def settings_rows(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the settings of a run that may leave this machine, for a table."""
    models = ("model", "role_models", "rehearsal_wins")
    left_out = {
        *WHERE_NOT_WHAT,
        *models,
        *(n for n in ModelSettings.model_fields if n.endswith("extra_body")),
    }
    for name, value in settings.items():
        if name not in left_out and value is not None:
            if name == "check":  # paths of this machine say nothing elsewhere
                value = " ".join(word.rpartition("/")[2] for word in value.split())
            value = public_name(value) if name == "tokenizer" else value
            yield name, code(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def later_rows(limits: Sequence[LaterLimit]) -> Iterator[tuple[str, str]]:
    """Yield the later limits on replies of a run, for a table."""
    for limit in limits:
        yield f"max_tokens since {limit['at']}", code(str(limit["max_tokens"]))


def number_rows(run: Mapping[str, Any], mode: str) -> Iterator[tuple[str, str]]:
    """Yield the statistics of a run in a mode, for a table."""
    samples, numbers, calls = run["samples"], run["modes"][mode], run["calls"]["total"]
    yield "samples worked on", f"{numbers['finished']:,} of {samples['records']:,}"
    yield "samples with a new response", _share(numbers["changed"], numbers["finished"])
    yield "samples with a failure", _share(numbers["failed"], numbers["finished"])
    for reason, count in samples["skipped_by_reason"].items():
        yield f"skipped: {inline(reason)}", f"{count:,}"
    exchanges = numbers["exchanges"]
    yield "exchanges worked on", f"{exchanges:,}"
    yield "exchanges with a new response", _share(numbers["changed_exchanges"], exchanges)
    if is_judged(mode):
        for rounds, count in numbers["accepted_rounds"].items():
            yield f"exchanges with accepted rounds: {rounds}", _share(count, exchanges)
    for ending in STOPPED:
        if stopped := numbers["endings"].get(ending):
            yield f"exchanges kept: {ENDINGS[ending]}", _share(stopped, exchanges)
    if failed := numbers["endings"].get("failed"):
        yield "exchanges that failed", _share(failed, exchanges)
    lengths = numbers["lengths"]
    yield (
        "tokens of a response before, on average (estimated)",
        _figure(lengths["average_original_tokens"], ".0f"),
    )
    yield "and after", _figure(lengths["average_evolved_tokens"], ".0f")
    yield "growth of the median sample", _figure(lengths["median_ratio"], ".2f", "×")
    yield "samples that grew more than 2×", PERCENT.text(lengths["doubled"])
    if judging := numbers["judging"]:
        yield "judged rounds", f"{judging['rounds']:,}"
        yield JUDGING["accepted"], _share(judging["accepted"], judging["rounds"])
        yield AGREEMENT, PERCENT.text(judging["agreement"])
        yield JUDGING["contradicted"], _share(judging["contradicted"], judging["rounds"])
    if checking := numbers["checking"]:
        yield CHECKING["with_reference"], _share(checking["with_reference"], exchanges)
        if checked := checking["checked"]:
            yield CHECKING["original_agrees"], f"{checking['original_agrees']:,} of {checked:,}"
            yield CHECKING["final_agrees"], f"{checking['final_agrees']:,} of {checked:,}"
    if deciding := numbers["deciding"]:
        for kind, label in DECISIONS.items():
            yield f"by users: {label}", f"{deciding[kind]:,}"
        yield USER_AGREES, PERCENT.text(deciding["agreement"])
    yield "model calls (all modes)", f"{calls['calls']:,}"
    yield "tokens in and out", f"{calls['input_tokens']:,} and {calls['output_tokens']:,}"


def table(
    title: str, rows: Iterator[tuple[str, str]] | Sequence[tuple[str, str]], heading: str = "##"
) -> str:
    """Return a Markdown table of names and values under a heading."""
    lines = [f"| {name} | {value} |" for name, value in rows]
    return "\n".join([f"{heading} {title}\n", "| | |", "|---|---|", *lines])


def code(text: str) -> str:
    """Format a text as code, whatever it holds."""
    return "`" + _line(text).replace("`", "'").replace("|", "\\|") + "`"


def inline(text: str) -> str:
    """Escape a text so that Markdown reads it as plain text."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#&" else letter for letter in _line(text))


def _line(text: str) -> str:
    return " ".join(printable(text).split())


def _share(number: int, of: int) -> str:
    return f"{number:,}" + (f" ({percent(number / of)})" if of else "")


def _figure(value: float | None, form: str, unit: str = "") -> str:
    return "–" if value is None else f"{value:{form}}{unit}"
