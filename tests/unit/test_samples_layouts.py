"""Layouts of trainers and well-known data sets: read as such, and written back as they were."""

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samples.files import write_records
from samples.formats import make_sample, parse_record, with_responses
from samples.layouts import COLUMNS
from samples.neighbors import Neighbors
from samples.reader import open_data
from samples.sample import DataError, Exchange, Format, Sample
from samples.trainers import (
    DPO_TRAINERS,
    SFT_TRAINERS,
    DpoTrainer,
    Pair,
    SftTrainer,
    pair_record,
    sft_record,
)
from tests import samples_records
from tests.samples_opened import opened

USER, ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
HUMAN, GPT = {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}
SAID = {"role": "user", "parts": [{"text": "q"}]}
ONE = (Exchange("q", "", "a"),)


@pytest.mark.parametrize(
    ("record", "format", "exchanges"),
    [
        ({"prompt": "q", "completion": "a"}, "prompt-completion", ONE),
        ({"prompt": [USER], "completion": [ANSWER]}, "prompt-completion", ONE),
        ({"prompt": json.dumps([USER]), "completion": json.dumps([ANSWER])}, "prompt-completion", ONE),
        ({"prompt": "q", "response": "a"}, "prompt-response", ONE),
        ({"query": "q", "response": "a"}, "query-response", ONE),
        (
            {"query": "q", "response": "a", "history": [["p", "b"]], "system": "s"},
            "query-response",
            (Exchange("p", "", "b"), *ONE),
        ),
        (
            {"instruction": "q", "context": "c", "response": "a", "category": "open_qa"},
            "dolly",
            (Exchange("q", "c", "a"),),
        ),
        ({"instruction": "q", "response": "a"}, "instruction-response", ONE),
        ({"instruction": "q", "completion": "a"}, "instruction-completion", ONE),
        ({"question": "q", "completion": "a"}, "question-completion", ONE),
        (
            {"instruction": "q", "input": "i", "response": "a"},
            "instruction-response",
            (Exchange("q", "i", "a"),),
        ),
        ({"id": "1", "system_prompt": "s", "question": "q", "response": "a"}, "orca", ONE),
        ({"instruction": "q", "generation": "a", "prompt_id": "m"}, "distilabel", ONE),
        ({"question": "q", "answer": "a"}, "question-answer", ONE),
        ({"kind": "Couplet", "input": "q", "target": "a"}, "firefly", ONE),
        ({"input": "q", "output": "a"}, "input-output", ONE),
        ({"inputs": "q", "targets": "a"}, "inputs-targets", ONE),
        ({"problem": "q", "solution": "a"}, "problem-solution", ONE),
        ({"instruction": "q", "output": "a", "system_prompt": "s"}, "alpaca-system-prompt", ONE),
        ({"source": "x", "conversation": [{"input": "q", "output": "a"}]}, "conversation", ONE),
        ({"conversation": [{"human": "q", "assistant": "a"}] * 2}, "conversation", ONE * 2),
        ({"conversation": [USER, ANSWER]}, "conversation", ONE),
        ({"id": "1", "data": ["q", "a", "q", "a"]}, "ultrachat", ONE * 2),
        ({"conversations": ["q", "a", "q", "a"], "source": "x"}, "sharegpt", ONE * 2),
        ({"conversation": ["q", "a"]}, "conversation", ONE),
        ({"messages": ["q", "a", "q"]}, "messages", ONE),
        ({"messages": json.dumps([USER, ANSWER])}, "messages", ONE),
        ({"contents": [SAID, SAID | {"role": "model", "parts": [{"text": "a"}]}]}, "gemini", ONE),
        ({"conversations": {"from": ["human", "gpt"], "value": ["q", "a"]}}, "sharegpt", ONE),
        (
            {"instruction": "q", "input": "", "output": "a", "history": [["p", "b"]]},
            "alpaca",
            (Exchange("p", "", "b"), *ONE),
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "value": "q"}], "loss_weight": 0.0},
                    {"role": "assistant", "content": [{"type": "text", "value": "a"}], "loss_weight": 1.0},
                ]
            },
            "messages",
            ONE,
        ),
        # A list is meant, whatever is next to it.
        ({"prompt": "q", "prompt_id": "1", "messages": [USER, ANSWER]}, "messages", ONE),
        ({"problem": "q", "solution": "z", "messages": [USER, ANSWER]}, "messages", ONE),
        ({"prompt": "q", "completion": "a", "data": "2024"}, "prompt-completion", ONE),
    ],
)
def test_a_documented_layout_is_read_as_such(
    tmp_path: Path, record: dict[str, Any], format: str, exchanges: tuple[Exchange, ...]
) -> None:
    data = opened(tmp_path, [record])
    (sample,) = data.samples()
    assert (data.format, sample.skip, sample.exchanges) == (format, None, exchanges)
    assert (sample.read, sample.read_as) == (record, format)
    if any(name in record for name in ("system", "system_prompt")):
        assert sample.system == "s"
    # The graphs take the sample in a format of theirs.
    assert parse_record(sample.record, sample.format).exchanges == exchanges
    changed = with_responses(sample, ["b!"] * len(exchanges))
    assert list(changed) == list(record)
    again = make_sample(0, "0", changed, format)
    assert [e.response for e in again.exchanges] == ["b!"] * len(exchanges)
    assert [e.instruction for e in again.exchanges] == [e.instruction for e in exchanges]
    assert with_responses(again, [e.response for e in exchanges]) == record


@pytest.mark.parametrize(
    ("record", "formats"),
    [
        ({"prompt": "q", "completion": "a", "response": "b"}, "prompt-completion or prompt-response"),
        ({"question": "q", "answer": "a", "response": "b"}, "orca or question-answer"),
        ({"instruction": "q", "response": "a", "generation": "b"}, "instruction-response or distilabel"),
        ({"messages": [USER, ANSWER], "conversations": [HUMAN, GPT]}, "sharegpt or messages"),
    ],
)
def test_where_two_layouts_may_be_meant_the_message_names_the_option(
    tmp_path: Path, record: dict[str, Any], formats: str
) -> None:
    with pytest.raises(DataError) as raised:
        opened(tmp_path, [record])
    assert str(raised.value).endswith(f": may be of several formats: name it with --format {formats}")
    for name in formats.split(" or "):
        assert opened(tmp_path, [record], format=name).format == name


def test_any_other_layout_is_named_by_its_columns(tmp_path: Path) -> None:
    record = {"key": "k", "ask": "q", "more": "i", "reply": "a", "role": "s", "n": 1}
    columns = {"request": "ask", "input": "more", "response": "reply", "system": "role", "id": "key"}
    data = opened(tmp_path, [record], columns=columns)
    (sample,) = data.samples()
    assert data.describe() == (
        "records of request=ask, response=reply, input=more, system=role, id=key in JSON lines"
    )
    assert (sample.id, sample.system, sample.exchanges) == ("k", "s", (Exchange("q", "i", "a"),))
    assert with_responses(sample, ["b"]) == record | {"reply": "b"}
    assert with_responses(sample, ["b"], "alpaca") == {
        "key": "k", "instruction": "q", "input": "i", "output": "b", "system": "s", "n": 1,
    }  # fmt: skip
    for wrong, message in (({"request": "ask"}, "needs response=COLUMN"), ({"answer": "x"}, "unknown part")):
        with pytest.raises(DataError, match=message):
            open_data(data.path, columns=wrong)


def test_every_field_that_is_named_must_be_in_a_record(tmp_path: Path) -> None:
    records = [{"ask": "q", "reply": "a"}, {"ask": "q", "reply": "a", "more": "i"}]
    named = {"request": "ask", "response": "reply"}
    assert opened(tmp_path, records, columns={**named, "input": "more"}).check().count == 2
    for part in ("input", "system", "history", "id"):
        with pytest.raises(
            DataError, match=r'no record has the field "mroe" \(--columns\); the first has .* ask'
        ):
            opened(tmp_path, records, columns={**named, part: "mroe"})
    # A run of an earlier version, which took such a name, goes on.
    data = open_data(tmp_path / "data.jsonl", columns={**named, "input": "mroe"})
    data.resume(data.format)
    assert data.check().count == 2


@pytest.mark.parametrize(
    "columns",
    [
        {"request": "ask", "response": "ask"},
        {"request": "ask", "response": "reply", "input": "ask"},
        {"request": "ask", "response": "reply", "input": "more", "system": "more"},
    ],
)
def test_a_field_is_named_for_one_part(tmp_path: Path, columns: dict[str, str]) -> None:
    with pytest.raises(DataError, match=r"--columns has '\w+' for \w+ and for \w+; name another field"):
        opened(tmp_path, [{"ask": "q", "reply": "a", "more": "i"}], columns=columns)


def test_named_fields_do_not_go_unheeded_in_preference_records(tmp_path: Path) -> None:
    record = {"ask": "x", "prompt": "q", "chosen": "a", "rejected": "b"}
    columns = {"request": "ask", "response": "chosen"}
    with pytest.raises(DataError, match="--columns has no say in preference records"):
        opened(tmp_path, [record], columns=columns, improve="chosen")
    data = open_data(tmp_path / "data.jsonl", columns=columns, improve="chosen")
    data.resume("preference chosen")  # as a run of an earlier version has it
    assert data.check().count == 1


OWN = {
    **{"instruction": "own i", "input": "own in", "output": "own out", "system": "own s", "id": "x"},
    **{"history": "own h", "system_prompt": "own p", "messages": "own m", "original_input": "first"},
    **{"conversations": [HUMAN, GPT], "conversation": [USER], "data": ["q", "a"], "text": "t"},
}


@pytest.mark.parametrize("to", ["alpaca", "sharegpt", "messages"])
@pytest.mark.parametrize(
    ("record", "format"),
    [
        ({"problem": "q", "solution": "a"}, "problem-solution"),
        ({"messages": [USER, ANSWER]}, "messages"),
        ({"conversations": [HUMAN, GPT]}, "sharegpt"),
        ({"inputs": "q", "targets": "a"}, "inputs-targets"),
    ],
)
def test_fields_of_a_name_that_is_taken_are_kept_under_another(
    tmp_path: Path, record: dict[str, Any], format: str, to: Format
) -> None:
    own = {name: value for name, value in OWN.items() if name not in record}
    if format in ("sharegpt", "messages"):
        del own["system"], own["system_prompt"]  # which are the conversation's
    (sample,) = opened(tmp_path, [own | record], format=format).samples()
    assert parse_record(sample.record, sample.format).exchanges == ONE  # nothing of it confuses the graphs
    counted = Neighbors()
    written = with_responses(sample, ["new"], to, counted)
    if to == format:
        assert written == own | with_responses(make_sample(0, "0", record, format), ["new"])
        return
    (again,) = opened(tmp_path, [written]).samples()
    assert (again.read_as, again.id, again.system) == (to, "x", "")
    assert again.exchanges == (Exchange("q", "", "new"),)
    for name, value in own.items():
        assert value in (written.get(name), written.get(f"original_{name}"), written.get(f"original_{name}_"))
        assert (written.get(name) != value) == (name in counted.clashing)
    assert "text" not in counted.clashing


def test_fields_of_a_turn_are_kept_too() -> None:
    record = {"conversations": [HUMAN | {"role": "r"}, GPT | {"content": "c", "original_content": "d"}]}
    written = with_responses(make_sample(0, "0", record, "sharegpt"), ["new"], "messages")
    assert written["messages"] == [
        USER | {"original_role": "r"},
        {"role": "assistant", "content": "new", "original_content_": "c", "original_content": "d"},
    ]


@st.composite
def records(draw: st.DrawFn) -> tuple[dict[str, Any], str]:
    """A record of any layout, and its name."""
    texts = samples_records.TEXTS
    lists = ["sharegpt", "messages", "conversation", "ultrachat", "gemini", "texts"]
    kind = draw(st.sampled_from([*COLUMNS, *lists, *["preference"] * 4]))
    pairs = draw(st.lists(st.tuples(samples_records.REQUESTS, texts), min_size=1, max_size=3))
    extras = draw(samples_records.EXTRAS)
    (last, answer), earlier = pairs[-1], pairs[:-1]
    if kind == "sharegpt":
        turns = [
            {"from": n, "value": t} for pair in pairs for n, t in zip(("human", "gpt"), pair, strict=True)
        ]
        if draw(st.booleans()):
            columns = {name: [turn[name] for turn in turns] for name in ("from", "value")}
            return {"conversations": draw(st.sampled_from([columns, json.dumps(turns)]))} | extras, kind
        return {"conversations": turns} | extras, kind
    if kind in ("messages", "conversation"):
        turns = [
            {"role": n, "content": t} for p in pairs for n, t in zip(("user", "assistant"), p, strict=True)
        ]
        if kind == "conversation" and draw(st.booleans()):
            turns = [{"input": request, "output": response} for request, response in pairs]
        return {kind: turns} | extras, kind
    if kind == "gemini":
        contents = [
            {"role": n, "parts": [{"text": t}]}
            for p in pairs
            for n, t in zip(("user", "model"), p, strict=True)
        ]
        system = {"role": "system", "parts": [{"text": draw(texts)}]}
        return {"systemInstruction": system, "contents": contents} | extras, kind
    if kind in ("ultrachat", "texts"):
        field, format = ("data", kind) if kind == "ultrachat" else ("conversations", "sharegpt")
        return {field: [text for pair in pairs for text in pair]} | extras, format
    if kind == "preference":
        side = draw(st.sampled_from(["chosen", "rejected"]))
        answer, worse = draw(samples_records.REQUESTS), draw(samples_records.REQUESTS)
        turns = [{"role": "user", "content": last}, {"role": "assistant", "content": answer}]
        talk = [f"\n\nHuman: {last.strip()}\n\nAssistant: {text.strip() or 'x'}" for text in (answer, worse)]
        preference: dict[str, Any] = draw(
            st.sampled_from(
                [
                    {"prompt": last, "chosen": answer, "rejected": worse},
                    {"instruction": last, "output": [answer, worse]},
                    {"chosen": talk[0], "rejected": talk[1]},
                    {"messages": turns, "rejected_response": worse},
                    {
                        "chosen_messages": turns,
                        "rejected_messages": [turns[0], turns[1] | {"content": worse}],
                    },
                    {"prompt": last, "completion": answer, "label": side == "chosen"},
                ]
            )
        )
        return preference | extras, f"preference {side}"
    columns_ = COLUMNS[kind]
    record: dict[str, Any] = {columns_.request: last, columns_.response: answer}
    if columns_.input and draw(st.booleans()):
        record[columns_.input] = draw(texts)
    if columns_.system and draw(st.booleans()):
        record[columns_.system] = draw(texts)
    if columns_.history and earlier:
        record[columns_.history] = [list(pair) for pair in earlier]
    return record | extras, kind


@settings(max_examples=150, deadline=None)
@given(records(), st.sampled_from([".json", ".jsonl"]))
def test_a_record_of_any_layout_is_read_written_and_read_again(
    found: tuple[dict[str, Any], str], ending: str
) -> None:
    record, layout = found
    how = {"improve": layout.split()[1]} if layout.startswith("preference") else {"format": layout}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"data{ending}")

        def again(records: list[dict[str, Any]], **how: Any) -> list[Sample]:
            write_records(path, records)
            data = open_data(path, **how)
            data.check()
            return list(data.samples())

        (sample,) = again([record], **how)
        assert sample.skip is None
        new = [f"new {number}" for number in range(len(sample.exchanges))]
        (changed,) = again([with_responses(sample, new)], **how)
        assert [e.response for e in changed.exchanges] == new
        assert with_responses(changed, [e.response for e in sample.exchanges]) == record
        asked = [(e.instruction, e.input) for e in sample.exchanges]
        assert [(e.instruction, e.input) for e in changed.exchanges] == asked
        whole = ["\n".join(filter(None, pair)) for pair in asked]
        to: Format
        for to in ("alpaca", "sharegpt", "messages"):
            (turned,) = again(
                [with_responses(sample, new, to)], **({"format": to} if "label" in record else {})
            )
            assert turned.read_as == to
            assert [e.response for e in turned.exchanges] == new
            assert [e.whole_request for e in turned.exchanges] == whole
        trainer: SftTrainer
        for trainer in SFT_TRAINERS:
            (turned,) = again([sft_record(sample, new, trainer)])
            assert [(e.instruction, e.response) for e in turned.exchanges] == list(
                zip(whole, new, strict=True)
            )
            assert turned.system == sample.system
        dpo: DpoTrainer
        for dpo in DPO_TRAINERS:
            pair = Pair(len(new) - 1, "final", 1, new[-1], "old", None, None)
            (turned,) = again([pair_record(sample, new, pair, dpo)], improve="chosen")
            assert (turned.exchanges[-1].instruction, turned.exchanges[-1].response) == (whole[-1], new[-1])


def test_two_conversations_of_one_record_are_named_with_what_would_do(tmp_path: Path) -> None:
    record = {"conversation_a": [USER, ANSWER], "conversation_b": [USER, ANSWER], "winner": "model_a"}
    with pytest.raises(
        DataError, match=r'"conversation_a" and "conversation_b" have turns: rename the better'
    ):
        opened(tmp_path, [record])


def test_turns_under_another_name_and_sides_without_a_request_are_refused_with_what_would_do(
    tmp_path: Path,
) -> None:
    with pytest.raises(
        DataError, match=r'rename "dialogue", which has turns, to messages; or name the fields'
    ):
        opened(tmp_path, [{"id": "1", "dialogue": [USER, ANSWER]}])
    with pytest.raises(DataError, match=r"in a field such as prompt, as turns, or as Human: and Assistant:"):
        opened(tmp_path, [{"chosen": "Human hi", "rejected": "x"}], improve="chosen")


@pytest.mark.parametrize(
    ("content", "form"),
    [
        ({"instruction": ["q", "r"], "output": ["a", "b"]}, "a table by columns, each a list"),
        (
            {"instruction": {"0": "q"}, "output": {"0": "a"}},
            "a table by columns, as pandas writes it by itself",
        ),
        ({"columns": ["instruction", "output"], "index": [0], "data": [["q", "a"]]}, 'orient="split"'),
        (
            {"features": [{"name": "output"}], "rows": [{"row_idx": 0, "row": {"instruction": "q"}}]},
            "an answer of the Hub's viewer: write the objects",
        ),
    ],
)
def test_a_table_in_one_object_is_named_with_what_would_do(
    tmp_path: Path, content: dict[str, Any], form: str
) -> None:
    for indent in (None, 2):
        (tmp_path / "a.json").write_text(json.dumps(content, indent=indent))
        for format in ("auto", "alpaca"):
            with pytest.raises(DataError, match=re.escape(form)) as error:
                open_data(tmp_path / "a.json", format).check()
            assert "--skip-bad" not in str(error.value)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"Question": "q", "Answer": "a"}, "records of request=Question, response=Answer"),
        ({"Instruction": "q", "Input": "", "OUTPUT": "a", "ID": "x"}, "records of request=Instruction, resp"),
        ({"query": "q", "answer": "a", "lang": "en"}, "query-answer records"),
        ({"instruction": "q", "input": "", "output": "a", "messages": "x"}, "alpaca records"),
    ],
)
def test_names_in_another_case_and_junk_under_a_known_name_are_read(
    tmp_path: Path, record: dict[str, Any], said: str
) -> None:
    data = opened(tmp_path, [record])
    data.check()
    assert data.describe().startswith(said)
    (sample,) = data.samples()
    assert [(each.instruction, each.response) for each in sample.exchanges] == [("q", "a")]
    new = with_responses(sample, ["new"])
    assert "new" in new.values() and list(new) == list(record)


def test_a_number_as_a_response_is_its_text(tmp_path: Path) -> None:
    for record in (
        {"question": "q", "answer": 4},
        {"instruction": "q", "input": "", "output": 4},
        {"messages": [USER, {"role": "assistant", "content": 4}]},
    ):
        (sample,) = opened(tmp_path, [record]).samples()
        assert sample.exchanges[0].response == "4"
        assert with_responses(sample, ["4"]) == record
        assert "five" in str(with_responses(sample, ["five"]))


@pytest.mark.parametrize(
    ("record", "system"),
    [
        ({"input": "q", "output": "a", "system_prompt": "s"}, "s"),
        ({"prompt": "q", "response": "a", "system_prompt": None}, ""),
        ({"question": "q", "answer": "a", "system_prompt": "s", "score": 1}, "s"),
        ({"system": [{"type": "text", "text": "s"}], "messages": [USER, ANSWER]}, "s"),
        (
            {
                "system": [{"text": "s"}],
                "messages": [
                    {"role": r, "content": [{"text": t}]} for r, t in (("user", "q"), ("assistant", "a"))
                ],
            },
            "s",
        ),
    ],
)
def test_system_prompts_are_found_where_providers_and_data_sets_have_them(
    tmp_path: Path, record: dict[str, Any], system: str
) -> None:
    data = opened(tmp_path, [record])
    (sample,) = data.samples()
    assert (sample.exchanges, sample.system) == (ONE, system)
    new = with_responses(sample, ["new"])
    assert make_sample(0, "0", new, data.format).exchanges == (Exchange("q", "", "new"),)
    turned = with_responses(sample, ["new"], "sharegpt")
    assert turned["conversations"][0]["value"] == (system or "q")
    assert not {"system", "system_prompt"} & turned.keys()


def test_a_run_that_read_no_system_prompt_resumes_without(tmp_path: Path) -> None:
    data = opened(tmp_path, [{"input": "q", "output": "a", "system_prompt": "s"}])
    data.resume("input-output")
    (sample,) = data.samples()
    assert (data.format, sample.system) == ("input-output", "")


def test_parts_of_media_and_whole_conversations_in_a_text_are_named(tmp_path: Path) -> None:
    image = {"role": "user", "content": [{"image": {"format": "png"}}]}
    (sample,) = opened(tmp_path, [{"messages": [image, ANSWER]}]).samples()
    assert sample.skip == "a non-text part (image)"
    for text in (
        "<|im_start|>user\nq<|im_end|>",
        "### Human: q### Assistant: a",
        "<s>[INST] q [/INST] a</s>",
    ):
        with pytest.raises(
            DataError, match=r'"text" has whole conversations as one text: write them as turns'
        ):
            opened(tmp_path, [{"text": text}])
