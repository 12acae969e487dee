"""The records that trainers take: what `coevol export --to` writes for each of them.

Each is made from what the method knows of a sample (system prompt, requests, responses) and does not carry
along the record's other fields: trainers tell the kind of a data set by its columns. What each one documents:

- `trl-sft`: TRL, "Dataset formats and types": conversational language modeling is `messages`, a list of
  {role, content}. Further columns are passed over. The loss is over all turns unless `SFTConfig` has
  `assistant_only_loss=True`.
- `trl-dpo`: the same page: conversational preference is `prompt`, `chosen` and `rejected`, all three lists of
  messages; the answers hold only what follows the prompt.
- `llamafactory`, `llamafactory-dpo`: LLaMA-Factory, `data/README.md`: `formatting` sharegpt takes
  `conversations` of {from, value} by human and gpt in turn, and `system` as a column; with `ranking`, the
  conversation ends with the request, and `chosen` and `rejected` are one turn each. A data set is known by
  its entry in `dataset_info.json`.
- `axolotl`: Axolotl, "Conversation": type `chat_template` takes `messages` of {role, content}; only the
  assistant's turns are trained on.
- `openai`: OpenAI, "Supervised fine-tuning": JSON lines, each an object of `messages` alone, at least
  `OPENAI_LEAST` of them.
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
"""The fewest examples that OpenAI accepts for a fine-tuning job."""

PairKind = Literal["final", "step", "rejected", "overruled"]
PAIR_KINDS: tuple[PairKind, ...] = get_args(PairKind)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two responses to the request of one exchange, the first of them preferred.

    `kind` says which they are: the result against the original, a draft against the response that its round
    started from, that response against a draft the judge liked less, or what a person wants against the
    judge's result. `round` is the round of the draft (the last accepted one for the result), 0 where a person
    decided otherwise than the judge. The scores are the judge's points for these two, averaged over both
    orders; None where it never compared them directly, as a result of several rounds against the original.
    """

    exchange: int
    kind: PairKind
    round: int
    chosen: str
    rejected: str
    score_chosen: float | None
    score_rejected: float | None


def check_layout(path: Path, to: SftTrainer | DpoTrainer) -> Layout:
    """The kind of file that the path's ending asks for. Raises DataError where the trainer takes no such."""
    layout = layout_to_write(path)
    if to == "openai" and layout != "JSON lines":
        raise DataError(f"{path}: openai takes JSON lines: give the file a name that ends in .jsonl")
    return layout


def sft_record(sample: Sample, responses: Sequence[str], to: SftTrainer) -> dict[str, Any]:
    """The sample with one response for each of its exchanges, to learn from.

    A last request without an answer is left out. Raises DataError where a response is empty.
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
    """A pair with the conversation before it, whose exchanges have these responses.

    They are to be those that the two responses of the pair were written after, and compared after. Raises
    DataError where one of them, or one of the two, is empty.
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
    """What `dataset_info.json` says of a file with records for LLaMA-Factory."""
    entry: dict[str, Any] = {"file_name": file_name, "formatting": "sharegpt"}
    columns = {"messages": "conversations", "system": "system"}
    if to == "llamafactory-dpo":
        entry["ranking"] = True
        columns |= {"chosen": "chosen", "rejected": "rejected"}
    return entry | {"columns": columns}


def axolotl_lines(file: Path) -> str:
    """The lines of an Axolotl configuration that name a file."""
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
    """The first exchanges with these responses, as (role, text)."""
    turns = []
    for exchange, response in zip(sample.exchanges, responses, strict=False):
        if not response.strip():
            raise _empty(sample, to)
        turns += [("user", _request(exchange)), ("assistant", response)]
    return turns


def _empty(sample: Sample, to: str) -> DataError:
    return DataError(f"sample {sample.id} cannot be written as {to}: it has an empty response")


def _request(exchange: Exchange) -> str:
    # The two parts of an Alpaca request are joined as LLaMA-Factory does.
    return "\n".join(filter(None, (exchange.instruction, exchange.input)))


def _messages(sample: Sample, turns: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    system = [("system", sample.system)] if sample.system else []
    return [{"role": role, "content": text} for role, text in (*system, *turns)]


def _sharegpt(turns: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    names = {"user": "human", "assistant": "gpt"}
    return [{"from": names[role], "value": text} for role, text in turns]
