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
  turns are trained on, without those whose `train` is false.
- `openai`: OpenAI, "Supervised fine-tuning": JSON lines: at least `OPENAI_LEAST` objects, each with
  `messages`, and `tools` and `parallel_tool_calls` where there are tools. Responses with a `weight` of 0 are
  not learned from.

All of them take `tools`, the definitions of tools that may be called: a list, or for LLaMA-Factory its JSON.

All turns of a record are written. Responses that are not to be learned from are marked in the trainer's way;
TRL and LLaMA-Factory have none (`UNHEEDED`), so their mark is for those who filter by it.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from samples.bounds import load_json
from samples.exchanges import LATE_SYSTEM
from samples.fields import join_distinct
from samples.files import Layout, is_compressed, layout_to_write
from samples.formats import parse_record, turns_with_responses
from samples.neighbors import Neighbors
from samples.reply import without_marks
from samples.sample import DataError, Sample
from samples.thoughts import thoughts_next_to, with_thoughts
from samples.tool_definitions import as_text, tools_of
from samples.turns import TOOL_CALL, Turn

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
    layout, plain = layout_to_write(path), not is_compressed(path)
    if to == "openai" and not (layout == "JSON lines" and plain):
        raise DataError(f"{path}: openai takes JSON lines: give the file a name that ends in .jsonl")
    if layout in ("CSV", "TSV") or not plain:
        raise DataError(f"{path}: {to} takes neither tables nor compressed files: write .jsonl or .parquet")
    return layout


class MarksFound(Exception):
    """A record has turns that are not to be learned from, so all records of the file need the field."""


class ToolsFound(Exception):
    """A record has tools, so all records of the file need the column."""


def sft_record(
    sample: Sample,
    responses: Sequence[str],
    to: SftTrainer,
    *,
    marks: bool = False,
    tools: bool = False,
    neighbors: Neighbors | None = None,
) -> dict[str, Any]:
    """Build a training record from a sample and one response for each of its exchanges.

    All turns are in it, but for an unanswered last request. Thoughts are in the text of their response, since
    trainers have no field for them in common; `neighbors` says whether a new response has old ones. `marks`
    says of each response whether it is to be learned from, `tools` that the record has the column for them.
    Raises DataError if a response is empty or the trainer cannot hold a turn, MarksFound and ToolsFound if
    `marks` or `tools` is not set and needed.
    """
    turns = turns_with_responses(sample, responses, neighbors)
    while turns and turns[-1].role != "assistant":
        turns.pop()
    if not all((turn.text or "").strip() for turn in turns if turn.role == "assistant" and not turn.obstacle):
        raise _empty(sample, to)
    said = _BY_MARK[_MARK[to]]
    if not marks and any(said(turn.weight) != said(1) for turn in turns if turn.role == "assistant"):
        raise MarksFound
    mark = _MARK[to] if marks else None
    try:
        if to == "llamafactory":
            system, spoken = _split(turns)
            record = {"id": sample.id, "system": system, "conversations": _sharegpt(spoken, mark)}
            return record | _tools(sample, turns, to, column=tools)
        messages = {"messages": _messages(turns, mark)} | _tools(sample, turns, to, column=tools)
    except DataError as error:
        raise DataError(f"sample {sample.id} cannot be written as {to}: {error}") from error
    return messages if to == "openai" else {"id": sample.id} | messages


def pair_record(
    sample: Sample,
    responses: Sequence[str],
    pair: Pair,
    to: DpoTrainer,
    neighbors: Neighbors | None = None,
    *,
    tools: bool = False,
) -> dict[str, Any]:
    """Build a preference record: the pair and the conversation before it, with these responses.

    Both responses are without thoughts, and without marks of a template around them.

    `responses` must be those that preceded the pair when it was written and judged. Raises DataError if one
    of them, or one of the pair, is empty, and ToolsFound as `sft_record` does.
    """
    if not (pair.chosen.strip() and pair.rejected.strip()):
        raise _empty(sample, to)
    earlier = [*responses[: pair.exchange], *(e.response for e in sample.exchanges[pair.exchange :])]
    if not all(response.strip() for response in earlier[: pair.exchange]):
        raise _empty(sample, to)
    turns = turns_with_responses(sample, earlier, neighbors)
    place = parse_record(sample.read, sample.read_as).responses[pair.exchange]
    turns = turns[: next(index for index, turn in enumerate(turns) if turn.path == place)]
    record: dict[str, Any] = {
        "id": sample.id,
        "exchange": pair.exchange,
        "pair": pair.kind,
        "round": pair.round,
        "score_chosen": pair.score_chosen,
        "score_rejected": pair.score_rejected,
    }
    answers = {
        name: [Turn("assistant", "assistant", text, None, ())]
        for name, text in (("chosen", without_marks(pair.chosen)), ("rejected", without_marks(pair.rejected)))
    }
    try:
        if to == "llamafactory-dpo":
            system, spoken = _split(turns)
            record |= {"system": system, "conversations": _sharegpt(spoken)}
            record |= {name: _sharegpt(turn, begins=False)[0] for name, turn in answers.items()}
        else:
            record["prompt"] = _messages(turns)
            record |= {name: _messages(turn) for name, turn in answers.items()}
        return record | _tools(sample, turns, to, column=tools)
    except DataError as error:
        raise DataError(f"sample {sample.id} cannot be written as {to}: {error}") from error


def llamafactory_entry(file_name: str, to: SftTrainer | DpoTrainer, *, tools: bool = False) -> dict[str, Any]:
    """Return the `dataset_info.json` entry for a file of LLaMA-Factory records, which may have `tools`."""
    entry: dict[str, Any] = {"file_name": file_name, "formatting": "sharegpt"}
    columns = {"messages": "conversations", "system": "system"}
    if to == "llamafactory-dpo":
        entry["ranking"] = True
        columns |= {"chosen": "chosen", "rejected": "rejected"}
    if tools:
        columns["tools"] = "tools"
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
        "    message_field_training: train\n"
    )


def _empty(sample: Sample, to: str) -> DataError:
    return DataError(f"sample {sample.id} cannot be written as {to}: it has an empty response")


def _tools(
    sample: Sample, turns: Sequence[Turn], to: SftTrainer | DpoTrainer, *, column: bool
) -> dict[str, Any]:
    """Return the fields of a training record for the tools; `column` says that there is one without any."""
    found = tools_of(sample.read, turns)
    if to == "openai":
        if not found:
            return {}
        parallel = sample.read.get("parallel_tool_calls")
        return {"tools": found} | ({"parallel_tool_calls": parallel} if isinstance(parallel, bool) else {})
    if found and not column:
        raise ToolsFound
    if not column:
        return {}
    return {"tools": as_text(found) if to in ("llamafactory", "llamafactory-dpo") else found or None}


def _split(turns: Sequence[Turn]) -> tuple[str, list[Turn]]:
    """Return the system prompt, and the turns after it."""
    first = next((index for index, turn in enumerate(turns) if turn.role != "system"), len(turns))
    return join_distinct(turn.text or "" for turn in turns[:first]), list(turns[first:])


def _messages(turns: Sequence[Turn], mark: str | None = None) -> list[dict[str, Any]]:
    system, spoken = _split(turns)
    written: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    for turn in spoken:
        message = _message(turn)
        if mark and message["role"] == "assistant":
            message[mark] = _BY_MARK[mark](turn.weight)
        written.append(message)
    return written


def _message(turn: Turn) -> dict[str, Any]:
    """Return a turn as a message, in OpenAI's terms if it is one of tools."""
    if turn.obstacle is None:
        return {"role": turn.role, "content": with_thoughts(turn.whole, turn.thoughts)}
    source = turn.source or {}
    if turn.name in ("function_call", "tool_call"):
        return {"role": "assistant", "content": "", "tool_calls": _tool_calls(turn.text)}
    if turn.name in ("observation", "tool", "tool_response", "function"):
        known = {name: source[name] for name in ("tool_call_id", "name") if source.get(name)}
        return {"role": "tool", "content": turn.text or "", **known}
    if turn.obstacle == TOOL_CALL and source.get("tool_calls"):
        content = source.get("content")
        text = with_thoughts(content if isinstance(content, str) else "", thoughts_next_to(source))
        return {"role": "assistant", "content": text, "tool_calls": source["tool_calls"]}
    raise DataError(f"it has {turn.obstacle}")


def _tool_calls(text: str | None) -> list[dict[str, Any]]:
    """Return LLaMA-Factory's function call, an object of name and arguments or a list of them."""
    try:
        found = load_json(text or "")
        calls = [
            (call["name"], call["arguments"]) for call in (found if isinstance(found, list) else [found])
        ]
    except (ValueError, TypeError, KeyError):
        raise DataError("it has a function call that is no JSON object with name and arguments") from None
    return [
        {
            "type": "function",
            "function": {"name": name, "arguments": given if isinstance(given, str) else json.dumps(given)},
        }
        for name, given in calls
    ]


def _sharegpt(turns: Sequence[Turn], mark: str | None = None, *, begins: bool = True) -> list[dict[str, Any]]:
    """Return turns as LLaMA-Factory takes them: requests and responses by turns, a request first."""
    written: list[dict[str, Any]] = []
    for turn in turns:
        name, text = _sharegpt_turn(turn)
        is_request = name in ("human", "observation")
        if not written and not is_request and begins:
            written.append({"from": "human", "value": ""})
        if written and (written[-1]["from"] in ("human", "observation")) == is_request:
            if written[-1]["from"] != name:
                raise DataError("its turns do not alternate between request and response")
            written[-1]["value"] += f"\n\n{text}"
            continue
        written.append({"from": name, "value": text})
        if mark:
            written[-1][mark] = _BY_MARK[mark](0 if is_request else turn.weight)
    return written


def _sharegpt_turn(turn: Turn) -> tuple[str, str]:
    """Return the role and text of a turn in LLaMA-Factory's terms."""
    message = _message(turn)
    if calls := message.get("tool_calls"):
        if turn.name == "function_call":
            return turn.name, turn.text or ""
        if message["content"].strip():
            raise DataError(
                "it has a text or thoughts next to a tool call, for which this format has no place"
            )
        try:
            functions = [call["function"] for call in calls]
            found = [{"name": each["name"], "arguments": load_json(each["arguments"])} for each in functions]
        except (ValueError, TypeError, KeyError):
            raise DataError("it has a tool call without a name, or arguments that are no JSON") from None
        return "function_call", json.dumps(found[0] if len(found) == 1 else found, ensure_ascii=False)
    if message["role"] not in _SHAREGPT:
        raise DataError(f"it has {LATE_SYSTEM}")
    return _SHAREGPT[message["role"]], message["content"]


_SHAREGPT = {"user": "human", "assistant": "gpt", "tool": "observation"}

_MARK: dict[SftTrainer, str] = {
    "trl-sft": "weight",
    "llamafactory": "loss_weight",
    "axolotl": "train",
    "openai": "weight",
}
"""The field of a turn that says whether it is learned from."""
_BY_MARK: dict[str, Callable[[float], Any]] = {
    "weight": lambda weight: int(weight > 0),
    "loss_weight": float,
    "train": bool,
}

UNHEEDED: tuple[SftTrainer, ...] = ("trl-sft", "llamafactory")
"""Trainers that learn from all responses whatever their marks say."""
