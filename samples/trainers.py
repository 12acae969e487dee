"""Build the records that `coevol export --to` writes for each trainer.

They contain the system prompt, requests and responses of a sample but not the record's other fields, since
trainers infer the type of a data set from its columns. The documented formats:

- `trl-sft`: TRL, "Dataset formats and types": conversational language modeling uses `messages`, a list of
  {role, content}. Other columns are ignored. The loss covers all turns unless `SFTConfig` sets
  `assistant_only_loss=True`.
- `trl-dpo`: same page: conversational preference uses `prompt`, `chosen` and `rejected`, each a list of
  messages; the last two contain only what follows the prompt.
- `llamafactory`, `llamafactory-dpo`: LLaMA-Factory, `data/README.md`: the sharegpt `formatting` uses
  `conversations` of {from, value}, human and gpt in turn, and a `system` column; with `ranking`, the
  conversation ends with the request, and `chosen` and `rejected` are one turn each. A data set is registered
  in `dataset_info.json`.
- `axolotl`: Axolotl, "Conversation": type `chat_template` uses `messages` of {role, content}; only assistant
  turns are trained on.
- `openai`: OpenAI, "Supervised fine-tuning": JSON lines: at least `OPENAI_LEAST` objects, each with
  `messages` only.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from samples.files import Layout, layout_to_write
from samples.sample import DataError, Exchange, Sample

SftTrainer = Literal["trl-sft", "llamafactory", "axolotl", "openai"]
DpoTrainer = Literal["trl-dpo", "llamafactory-dpo"]
SFT_TRAINERS: tuple[SftTrainer, ...] = get_args(SftTrainer)
DPO_TRAINERS: tuple[DpoTrainer, ...] = get_args(DpoTrainer)

OPENAI_LEAST = 10
"""The minimum number of examples in an OpenAI fine-tuning job."""

PairKind = Literal["final", "step", "rejected", "overruled"]
PAIR_KINDS: tuple[PairKind, ...] = get_args(PairKind)


@dataclass(frozen=True, slots=True)
class Pair:
    """A preferred and a rejected response to the request of one exchange."""

    exchange: int  # its index in the sample, from 0
    kind: PairKind
    """final: result over original; step: accepted draft over the response its round started from; rejected:
    that response over a draft the judge scored lower; overruled: a human's choice over the judge's result."""
    round: int  # of the draft (the last accepted one for a result); 0 if a human overruled the judge
    chosen: str
    rejected: str
    score_chosen: float | None  # the judge's, averaged over both orders; None if it never compared the two
    score_rejected: float | None  # likewise


def check_layout(path: Path, to: SftTrainer | DpoTrainer) -> Layout:
    """Return the layout for a path's extension. Raises DataError if the trainer does not support it."""
    layout = layout_to_write(path)
    if to == "openai" and layout != "JSON lines":
        raise DataError(f"{path}: openai takes JSON lines: give the file a name that ends in .jsonl")
    return layout


def sft_record(sample: Sample, responses: Sequence[str], to: SftTrainer) -> dict[str, Any]:
    """Build a training record from a sample and one response for each of its exchanges.

    An unanswered last request is left out. Raises DataError if a response is empty.
    """
    turns = _turns(sample, responses, to)
    match to:
        case "llamafactory":
            return {"id": sample.id, "system": sample.system, "conversations": _sharegpt(turns)}
        case "openai":
            return {"messages": _messages(sample, turns)}
        case "trl-sft" | "axolotl":
            return {"id": sample.id, "messages": _messages(sample, turns)}


def pair_record(sample: Sample, responses: Sequence[str], pair: Pair, to: DpoTrainer) -> dict[str, Any]:
    """Build a preference record: the pair and the conversation before it, with these responses.

    `responses` must be those that preceded the pair when it was written and judged. Raises DataError if one
    of them, or one of the pair, is empty.
    """
    if not (pair.chosen.strip() and pair.rejected.strip()):
        raise _empty(sample, to)
    turns = _turns(sample, responses[: pair.exchange], to)
    turns.append(("user", _request(sample.exchanges[pair.exchange])))
    record: dict[str, Any] = {
        "id": sample.id,
        "exchange": pair.exchange,
        "pair": pair.kind,
        "round": pair.round,
        "score_chosen": pair.score_chosen,
        "score_rejected": pair.score_rejected,
    }
    answers = {"chosen": pair.chosen, "rejected": pair.rejected}
    if to == "llamafactory-dpo":
        record |= {"system": sample.system, "conversations": _sharegpt(turns)}
        return record | {name: _sharegpt([("assistant", text)])[0] for name, text in answers.items()}
    record["prompt"] = _messages(sample, turns)
    return record | {name: [{"role": "assistant", "content": text}] for name, text in answers.items()}


def llamafactory_entry(file_name: str, to: SftTrainer | DpoTrainer) -> dict[str, Any]:
    """Return the `dataset_info.json` entry for a file of LLaMA-Factory records."""
    entry: dict[str, Any] = {"file_name": file_name, "formatting": "sharegpt"}
    columns = {"messages": "conversations", "system": "system"}
    if to == "llamafactory-dpo":
        entry["ranking"] = True
        columns |= {"chosen": "chosen", "rejected": "rejected"}
    return entry | {"columns": columns}


def axolotl_lines(file: Path) -> str:
    """Return the lines of an Axolotl configuration that refer to a file."""
    kind = "parquet" if layout_to_write(file) == "Parquet" else "json"
    return (
        "datasets:\n"
        f"  - path: {json.dumps(str(file), ensure_ascii=False)}\n"
        f"    ds_type: {kind}\n"
        "    type: chat_template\n"
        "    field_messages: messages\n"
        '    roles_to_train: ["assistant"]\n'
    )


def _turns(sample: Sample, responses: Sequence[str], to: str) -> list[tuple[str, str]]:
    """Return the leading exchanges as (role, text), one for each of the responses."""
    turns = []
    for exchange, response in zip(sample.exchanges, responses, strict=False):
        if not response.strip():
            raise _empty(sample, to)
        turns += [("user", _request(exchange)), ("assistant", response)]
    return turns


def _empty(sample: Sample, to: str) -> DataError:
    return DataError(f"sample {sample.id} cannot be written as {to}: it has an empty response")


def _request(exchange: Exchange) -> str:
    # LLaMA-Factory joins the two parts of an Alpaca request in the same way.
    return "\n".join(filter(None, (exchange.instruction, exchange.input)))


def _messages(sample: Sample, turns: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    system = [("system", sample.system)] if sample.system else []
    return [{"role": role, "content": text} for role, text in (*system, *turns)]


def _sharegpt(turns: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    names = {"user": "human", "assistant": "gpt"}
    return [{"from": names[role], "value": text} for role, text in turns]
