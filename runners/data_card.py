"""The data card of a trainer's file: where its records come from, and how far they can be trusted."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from graph.settings import WHERE_NOT_WHAT
from ledger.decisions import DecisionKind
from models.providers.rehearsal import NOTICE
from models.settings import ModelSettings
from nodes.decision import STOPPED
from reporting.labels import AGREEMENT, DECISIONS, ENDINGS, JUDGING, USER_AGREES, is_judged, plural
from reporting.manifest import LaterLimit, RunError, is_rehearsed
from samples.files import layout_to_write
from samples.printable import printable
from samples.trainers import DpoTrainer, SftTrainer


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds."""

    summary: str
    decided: Mapping[DecisionKind, int]
    """Exchanges as a user decided them, by kind of decision."""


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


def card(
    file: Path, to: SftTrainer | DpoTrainer, mode: str, contents: Contents, run: Mapping[str, Any], use: str
) -> str:
    """Return the card as Markdown. `run` is the object of `stats --json`."""
    made = run["run"]
    parts = [
        f"---\nconfigs:\n- config_name: default\n  data_files: {json.dumps(file.name)}\ntags:\n- coevol\n---",
        f"{_mark(file)}\n# {_inline(file.name)}",
        f"Instruction data in the layout of {_code(to)}. Its responses were revised by language models, in "
        f"mode {_code(mode)} of coevol (method of CoEvol, arXiv 2406.07054){_by_users(contents.decided)}.",
    ]
    if is_rehearsed(made):
        parts.append(f"**Not for training.** {NOTICE[0].upper()}{NOTICE[1:]}")
    parts += [
        f"## Contents\n\n{_inline(contents.summary[0].upper() + contents.summary[1:])}.",
        _FIELDS[to],
        f"## Use\n\n{use}",
        _table("Source", _source(made)),
        _table("Models", ((role, _code(model)) for role, model in made["models"].items())),
        _table("Settings", [*_settings(made["settings"]), *_later(made["later"])]),
        _table(f"The whole run in mode {mode}", _numbers(run, mode)),
        "## License\n\nNot stated here. It depends on the license of the source and on the terms of the "
        "models; state it when you pass the file on.",
    ]
    return "\n\n".join(parts) + "\n"


def usage(file: Path, to: SftTrainer | DpoTrainer) -> str:
    """Describe how to give the file to the trainer, as Markdown."""
    loader = "parquet" if layout_to_write(file) == "Parquet" else "json"
    load = f'load_dataset("{loader}", data_files={json.dumps(file.name, ensure_ascii=False)}, split="train")'
    match to:
        case "trl-sft":
            return (
                f"{_python(load)}\n\nTo learn from the responses alone, give `SFTTrainer` a configuration "
                "with `assistant_only_loss=True`; the model's chat template has to be one that TRL knows, or "
                "one that marks them with `{% generation %}`."
            )
        case "trl-dpo":
            return _python(load)
        case "llamafactory" | "llamafactory-dpo":
            stage = "dpo" if to == "llamafactory-dpo" else "sft"
            return (
                "`dataset_info.json` next to the file has its entry:\n\n```yaml\n"
                f"stage: {stage}\n"
                "dataset_dir: .  # the folder of the file\n"
                f"dataset: {json.dumps(file.stem)}\n```"
            )
        case "axolotl":
            return f"{_code(axolotl_path(file).name)} has the lines for the configuration."
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
_FIELDS: dict[SftTrainer | DpoTrainer, str] = {
    "trl-sft": _SFT_FIELDS,
    "llamafactory": _SFT_FIELDS,
    "axolotl": _SFT_FIELDS,
    "openai": "Each record is a conversation.",
    "trl-dpo": _PAIR_FIELDS,
    "llamafactory-dpo": _PAIR_FIELDS,
}


def _by_users(decided: Mapping[DecisionKind, int]) -> str:
    kinds = "; ".join(
        f"{label} ({decided[kind]:,})" for kind, label in DECISIONS.items() if decided.get(kind)
    )
    exchanges = plural(sum(decided.values()), "exchange")
    return f", and by users, who decided on {exchanges}: {kinds}" if kinds else ""


def _python(load: str) -> str:
    return f"```python\nfrom datasets import load_dataset\n\ntrain_dataset = {load}\n```"


def _mark(file: Path) -> str:
    return f"<!-- coevol: the card of {quote(file.name)} -->"


def _source(made: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    data = made["data"]
    # The whole path should not leave this machine.
    yield "data", _code(Path(data["path"]).name)
    yield "SHA-256", _code(data["sha256"])
    yield "records", f"{data['records']:,} {data['format']}"
    yield "prompts", _code(made["prompts"]["pack"])
    yield "run created", made["created"]
    yield "coevol", made["versions"]["coevol"]


def _settings(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    models = ("model", "role_models", "rehearsal_wins")
    left_out = {
        *WHERE_NOT_WHAT,
        *models,
        *(n for n in ModelSettings.model_fields if n.endswith("extra_body")),
    }
    for name, value in settings.items():
        if name not in left_out and value is not None:
            yield name, _code(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _later(limits: Sequence[LaterLimit]) -> Iterator[tuple[str, str]]:
    for limit in limits:
        yield f"max_tokens since {limit['at']}", _code(str(limit["max_tokens"]))


def _numbers(run: Mapping[str, Any], mode: str) -> Iterator[tuple[str, str]]:
    samples, numbers, calls = run["samples"], run["modes"][mode], run["calls"]["total"]
    yield "samples worked on", f"{numbers['finished']:,} of {samples['records']:,}"
    yield "samples with a new response", _share(numbers["changed"], numbers["finished"])
    yield "samples with a failure", _share(numbers["failed"], numbers["finished"])
    for reason, count in samples["skipped_by_reason"].items():
        yield f"skipped: {_inline(reason)}", f"{count:,}"
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
    yield "samples that grew more than 2×", _figure(lengths["doubled"], ".0%")
    if judging := numbers["judging"]:
        yield "judged rounds", f"{judging['rounds']:,}"
        yield JUDGING["accepted"], _share(judging["accepted"], judging["rounds"])
        yield AGREEMENT, _figure(judging["agreement"], ".0%")
        yield JUDGING["contradicted"], _share(judging["contradicted"], judging["rounds"])
    if deciding := numbers["deciding"]:
        for kind, label in DECISIONS.items():
            yield f"by users: {label}", f"{deciding[kind]:,}"
        yield USER_AGREES, _figure(deciding["agreement"], ".0%")
    yield "model calls (all modes)", f"{calls['calls']:,}"
    yield "tokens in and out", f"{calls['input_tokens']:,} and {calls['output_tokens']:,}"


def _table(title: str, rows: Iterator[tuple[str, str]] | Sequence[tuple[str, str]]) -> str:
    lines = [f"| {name} | {value} |" for name, value in rows]
    return "\n".join([f"## {title}\n", "| | |", "|---|---|", *lines])


def _code(text: str) -> str:
    """Format a text as code, whatever it holds."""
    return "`" + _line(text).replace("`", "'").replace("|", "\\|") + "`"


def _inline(text: str) -> str:
    """Escape a text so that Markdown reads it as plain text."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#&" else letter for letter in _line(text))


def _line(text: str) -> str:
    return " ".join(printable(text).split())


def _share(number: int, of: int) -> str:
    return f"{number:,}" + (f" ({number / of:.0%})" if of else "")


def _figure(value: float | None, form: str, unit: str = "") -> str:
    return "–" if value is None else f"{value:{form}}{unit}"
