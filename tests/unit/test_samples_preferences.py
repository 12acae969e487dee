"""Preference records: one side is improved, the other stays; and what is asked about before."""

from pathlib import Path
from typing import Any

import pytest

from samples.formats import make_sample, same_as_other_side, with_responses
from samples.reader import open_data
from samples.sample import DataError, Exchange, Format
from tests.samples_opened import opened, sample_of

USER, ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
HUMAN, GPT = {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}


PREFERENCES: list[dict[str, Any]] = [
    {"prompt": "q", "chosen": "a", "rejected": "b"},
    {"prompt": [USER], "chosen": [ANSWER], "rejected": [ANSWER | {"content": "b"}]},
    {"chosen": [USER, ANSWER], "rejected": [USER, ANSWER | {"content": "b"}]},
    {
        "prompt": "q",
        "chosen": [USER, ANSWER],
        "rejected": [USER, ANSWER | {"content": "b"}],
        "messages": [USER, ANSWER],
    },
    {"conversations": [HUMAN], "chosen": GPT, "rejected": GPT | {"value": "b"}},
    {"instruction": "q", "input": "", "chosen": "a", "rejected": "b"},
    {"system": "s", "question": "q", "chosen": "a", "rejected": "b"},
]


@pytest.mark.parametrize("record", PREFERENCES)
def test_one_side_of_a_preference_record_is_improved(tmp_path: Path, record: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="with --improve chosen or --improve rejected"):
        opened(tmp_path, [record])
    for side, other, old in (("chosen", "rejected", "a"), ("rejected", "chosen", "b")):
        (sample,) = opened(tmp_path, [record], improve=side).samples()
        assert sample.exchanges == (Exchange("q", "", old),)
        changed = with_responses(sample, ["new"])
        assert changed == record | {side: changed[side]}
        assert changed[other] == record[other]
        (again,) = opened(tmp_path, [changed], improve=side).samples()
        assert again.exchanges == (Exchange("q", "", "new"),)


TALK = "\n\nHuman: p\n\nAssistant: b\n\nHuman: q \n\nAssistant: "
BETTER, WORSE = [USER, ANSWER], [USER, ANSWER | {"content": "b"}]


@pytest.mark.parametrize(
    ("record", "fields"),
    [
        ({"messages": BETTER, "rejected_response": "b"}, ("messages", "rejected_response")),
        ({"messages": BETTER, "rejected_messages": WORSE}, ("messages", "rejected_messages")),
        ({"messages": BETTER, "rejected_messages": WORSE[1:]}, ("messages", "rejected_messages")),
        ({"query": "q", "response": "a", "rejected_response": "b"}, ("response", "rejected_response")),
        ({"prompt": "q", "response": "a", "rejected": "b"}, ("response", "rejected")),
        ({"instruction": "q", "output": "a", "rejected_output": "b"}, ("output", "rejected_output")),
        ({"problem": "q", "solution": "a", "rejected": "b"}, ("solution", "rejected")),
        ({"messages": BETTER, "rejected": WORSE[1:]}, ("messages", "rejected")),
        ({"conversation": [{"input": "q", "output": "a"}], "rejected_response": "b"},
         ("conversation", "rejected_response")),
        ({"chosen_messages": BETTER, "rejected_messages": WORSE}, ("chosen_messages", "rejected_messages")),
        ({"prompt": "q", "chosen_response": "a", "rejected_response": "b"},
         ("chosen_response", "rejected_response")),
        ({"prompt": "q", "response_chosen": "a", "response_rejected": "b"},
         ("response_chosen", "response_rejected")),
        ({"instruction": "q", "input": "", "output": ["a", "b"]}, ("output", "output")),
        ({"chosen": f"{TALK}a", "rejected": f"{TALK}b"}, ("chosen", "rejected")),
        ({"messages": [USER, ANSWER | {"content": "0"}, *BETTER], "rejected_response": "b"},
         ("messages", "rejected_response")),
        ({"instruction": "q", "chosen": "a", "rejected": "b", "history": [["p", "0"]]},
         ("chosen", "rejected")),
        ({"input": {"messages": [USER], "tools": [], "parallel_tool_calls": True},
          "preferred_output": [ANSWER], "non_preferred_output": [ANSWER | {"content": "b"}]},
         ("preferred_output", "non_preferred_output")),
        ({"input": {"messages": [*BETTER[:1], ANSWER | {"content": "0"}, USER]}, "preferred_output": [ANSWER],
          "non_preferred_output": [ANSWER | {"content": "b"}]}, ("preferred_output", "non_preferred_output")),
    ],
)  # fmt: skip
def test_one_side_of_other_preference_records_is_improved(
    tmp_path: Path, record: dict[str, Any], fields: tuple[str, str]
) -> None:
    with pytest.raises(DataError, match=r"a preference record.*--improve chosen or --improve rejected"):
        opened(tmp_path, [record])
    for side, field, old in zip(("chosen", "rejected"), fields, "ab", strict=True):
        (sample,) = opened(tmp_path, [record], improve=side).samples()
        assert (sample.skip, [e.response for e in sample.exchanges if not e.fixed]) == (None, [old])
        assert sample.exchanges[-1].instruction == "q"
        kept = [e.response for e in sample.exchanges[:-1]]
        changed = with_responses(sample, [*kept, "new"])
        assert changed == record | {field: changed[field]}
        (again,) = opened(tmp_path, [changed], improve=side).samples()
        assert [e.response for e in again.exchanges] == [*kept, "new"]
        assert with_responses(again, [*kept, old]) == record
        to: Format
        for to in ("alpaca", "sharegpt", "messages"):
            one = with_responses(sample, [*kept, "new"], to)
            (plain,) = opened(tmp_path, [one]).samples()  # without a question: it is no preference record
            assert plain.exchanges[-1].response == "new"
            assert not any("rejected" in name or "chosen" in name for name in one)


def test_a_record_that_lacks_the_side_to_improve_is_left_alone(tmp_path: Path) -> None:
    records: list[Any] = [{"messages": BETTER, "rejected_response": "b"}]
    for worse in (None, ""):
        records.append({"messages": BETTER, "rejected_response": worse})
    found = [*opened(tmp_path, records, improve="rejected").samples()]
    assert [e.response for sample in found for e in sample.exchanges] == ["b", ""]
    assert found[1].skip == "no answered request"
    with pytest.raises(DataError, match=r"line 2 .*and .rejected_response., found the fields messages"):
        opened(tmp_path, [records[0], {"messages": BETTER}], improve="rejected")


@pytest.mark.parametrize(
    ("record", "format"),
    [
        ({"prompt": "q", "completion": "a", "label": True}, "prompt-completion"),
        ({"prompt": "q", "completion": "a", "label": 0}, "prompt-completion"),
        ({"messages": BETTER, "label": "False"}, "messages"),
        ({"instruction": "q", "input": "", "output": "a", "kto_tag": 1}, "alpaca"),
        ({"messages": BETTER, "rejected_response": "b"}, "messages"),
    ],
)
def test_what_is_more_than_a_conversation_is_asked_about(
    tmp_path: Path, record: dict[str, Any], format: str
) -> None:
    with pytest.raises(
        DataError, match=f"--improve chosen or --improve rejected, or read .*--format {format}$"
    ):
        opened(tmp_path, [record])
    with pytest.raises(DataError, match=r"line 2 \(record 2\): "):
        opened(tmp_path, [record | dict.fromkeys(("label", "kto_tag", "rejected_response")), record])
    assert opened(tmp_path, [record], format=format).format == format
    data = open_data(tmp_path / "data.jsonl")
    data.resume(format)  # as a run of an earlier version has it
    assert data.check().count == 1


@pytest.mark.parametrize("rejected", ["0", "no", "True"])
def test_a_short_worse_response_is_one(tmp_path: Path, rejected: str) -> None:
    record = {"prompt": "q", "response": "a", "rejected_response": rejected}
    (sample,) = opened(tmp_path, [record], improve="rejected").samples()
    assert sample.exchanges[0].response == rejected


@pytest.mark.parametrize("rejected", [False, 0, "no", "False", None])
def test_a_flag_of_what_was_rejected_is_no_response(tmp_path: Path, rejected: Any) -> None:
    record = {"prompt": "q", "response": "a", "rejected": rejected}
    assert opened(tmp_path, [record]).format == "prompt-response"


@pytest.mark.parametrize("label", ["math", 3, None, 1])
def test_a_label_of_anything_else_is_none_of_a_response(tmp_path: Path, label: Any) -> None:
    assert opened(tmp_path, [{"question": "q", "answer": "a", "label": label}]).format == "question-answer"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        (
            {"completions": [{"model": "m", "response": "a", "overall_score": 8}, {"response": "b"}]},
            "completions",
        ),
        ({"generations": ["a", "b", "c"]}, "generations"),
        ({"output": ["a", "b", "c"]}, "output"),
        ({"response_0": "a", "response_1": "b", "better_response_id": 0}, "response_0, response_1"),
        ({"human_ref_A": "a", "human_ref_B": "b"}, "human_ref_A, human_ref_B"),
    ],
)
def test_several_responses_are_refused_with_what_would_do(
    tmp_path: Path, fields: dict[str, Any], named: str
) -> None:
    for request, how in (("prompt", {}), ("instruction", {}), ("instruction", {"improve": "chosen"})):
        if request == "prompt" and "output" in fields:
            continue
        with pytest.raises(DataError) as raised:
            opened(tmp_path, [{request: "q"} | fields], **how)
        assert f'several responses to one request ({named}): put the better one into "chosen"' in str(
            raised.value
        )


def test_labeled_records_are_improved_by_their_label(tmp_path: Path) -> None:
    records = [{"prompt": "q", "completion": "a", "label": label} for label in (True, False, None)]
    for side, skips in (
        ("chosen", [None, "labeled as not chosen", "no label that is true or false"]),
        ("rejected", ["labeled as not rejected", None, "no label that is true or false"]),
    ):
        assert [sample.skip for sample in opened(tmp_path, records, improve=side).samples()] == skips
    with pytest.raises(DataError, match="--improve chosen is for preference records"):
        opened(tmp_path, [{"prompt": "q", "completion": "a"}], improve="chosen")


def test_what_only_later_records_have_is_seen(tmp_path: Path) -> None:
    none = {"prompt": "q", "chosen": "a", "rejected": None}
    records = [none, none | {"rejected": "b"}]
    with pytest.raises(DataError, match=r"line 1 .*: a preference record: choose the response"):
        opened(tmp_path, records)
    assert [sample.skip for sample in opened(tmp_path, records, improve="rejected").samples()] == [
        "no answered request",
        None,
    ]
    plain = {"messages": BETTER, "chosen": None, "rejected": None}
    with pytest.raises(DataError, match=r"line 2 .*or the conversation alone with --format messages$"):
        opened(tmp_path, [plain, plain | {"chosen": "a", "rejected": "b"}])


def test_a_label_that_is_the_reference_is_not_asked_about(tmp_path: Path) -> None:
    record = {"question": "Is it so?", "answer": "Yes.", "label": "true"}
    assert opened(tmp_path, [record], reference="label").format == "question-answer"


@pytest.mark.parametrize("other", [None, "", " ", [], [{"role": "assistant", "content": ""}]])
def test_a_preference_record_with_an_empty_other_side_is_skipped(tmp_path: Path, other: Any) -> None:
    whole = {"prompt": "p", "chosen": "good", "rejected": "bad"}
    data = opened(tmp_path, [whole, whole | {"rejected": other}], improve="chosen")
    first, second = data.samples()
    assert (first.skip, second.skip) == (None, "an empty rejected side")
    assert with_responses(second, ["good"]) == second.read


@pytest.mark.parametrize(
    ("record", "new"),
    [
        (
            {"prompt": "q", "chosen": ["q", "a"], "rejected": ["q", "w"]},
            {"prompt": "q", "chosen": ["q", "new"], "rejected": ["q", "w"]},
        ),
        (
            {"prompt": [USER], "chosen": ["q", "a"], "rejected": ["q", "w"]},
            {"prompt": [USER], "chosen": ["q", "new"], "rejected": ["q", "w"]},
        ),
        ({"chosen": ["q", "a"], "rejected": ["q", "w"]}, {"chosen": ["q", "new"], "rejected": ["q", "w"]}),
        (
            {"prompt": "q", "chosen": ["q", "a", "r", "b"], "rejected": "w"},
            {"prompt": "q", "chosen": ["q", "a", "r", "new"], "rejected": "w"},
        ),
        (
            {"prompt": "q", "chosen": ["a"], "rejected": ["w"]},
            {"prompt": "q", "chosen": ["new"], "rejected": ["w"]},
        ),
        ({"instruction": "q", "output": ["a", "w"]}, {"instruction": "q", "output": ["new", "w"]}),
    ],
)
def test_a_side_that_is_a_list_of_texts_gets_its_response(
    record: dict[str, Any], new: dict[str, Any]
) -> None:
    sample = make_sample(0, "0", record, "preference chosen")
    texts = [each.response if each.fixed else "new" for each in sample.exchanges]
    assert with_responses(sample, texts) == new


def test_several_responses_on_the_other_side_stay() -> None:
    record = {"prompt": "q", "chosen": "a", "rejected": ["w", "v", "u"]}
    sample = sample_of(record, "chosen")
    assert not same_as_other_side(sample, ["b"])
    assert with_responses(sample, ["b"]) == {**record, "chosen": "b"}


@pytest.mark.parametrize("side", [["b", "c"], ["a", "b", "c"]])
@pytest.mark.parametrize("prompt", ["q", [USER]])
def test_several_responses_on_a_side_are_refused(tmp_path: Path, side: list[str], prompt: Any) -> None:
    with pytest.raises(DataError, match=r"several responses to one request \(rejected\): put the better"):
        opened(tmp_path, [{"prompt": prompt, "chosen": side, "rejected": side}], improve="rejected")


def test_results_of_earlier_versions_have_the_exchange_of_a_side_with_two_responses() -> None:
    record = {"prompt": "q", "chosen": ["a", "b"], "rejected": ["w", "v"]}
    sample = make_sample(0, "0", record, "preference rejected")
    assert sample.skip is not None
    assert "several responses to one request (rejected)" in sample.skip
    assert with_responses(sample, ["new"])["rejected"] == ["w", "new"]


@pytest.mark.parametrize("field", ["context", "context_messages"])
@pytest.mark.parametrize("request_", ["q", [{"from": "human", "content": "q"}]])
def test_the_request_of_a_preference_record_may_be_its_context(field: str, request_: Any) -> None:
    record = {field: request_, "chosen": "a", "rejected": "w"}
    sample = sample_of(record, "chosen")
    assert sample.exchanges == (Exchange("q", "", "a"),)
    assert with_responses(sample, ["b"]) == {**record, "chosen": "b"}


def test_the_rationale_of_a_rater_is_no_thought() -> None:
    record = {
        "input": "q",
        "chosen": "a",
        "rejected": "w",
        "rating": [9, 1],
        "rationale": "The first is right.",
    }
    sample = make_sample(0, "0", record, "preference chosen", "skip")
    assert (sample.skip, sample.exchanges) == (None, (Exchange("q", "", "a"),))
    new = with_responses(sample, ["b"])
    assert new == {
        **{"input": "q", "chosen": "b", "rejected": "w"},
        **{"original_rating": [9, 1], "original_rationale": "The first is right."},
    }
    plain = {"instruction": "q", "output": "a", "rationale": "It is right."}
    assert make_sample(0, "0", plain, "alpaca", "skip").skip


ASKED = "What is up with cats?"
TALKED = f"\n\nHuman: {ASKED}\n\nAssistant:"


@pytest.mark.parametrize(
    ("request_", "before"),
    [
        ({"prompt": ASKED}, f"{ASKED} "),
        ({"prompt": f"{ASKED}\n"}, f" {ASKED}\n\n"),
        ({"prompt": [{"role": "user", "content": ASKED}]}, f"{ASKED} "),
        ({"instruction": "Say what is up:", "input": "cats"}, "Say what is up:\ncats\n"),
        ({"prompt": TALKED}, f"{TALKED} "),
        ({"prompt": ASKED}, f"{TALKED} "),
        ({"prompt": TALKED.removesuffix("\n\nAssistant:")}, f"{TALKED} "),
    ],
)
def test_sides_that_repeat_their_request_keep_it(request_: dict[str, Any], before: str) -> None:
    record = {**request_, "chosen": f"{before}They sleep.", "rejected": f"{before}No.", "score_chosen": 1}
    for side, old in (("chosen", "They sleep."), ("rejected", "No.")):
        sample = sample_of(record, side)
        (exchange,) = sample.exchanges
        assert (exchange.response, sample.skip) == (old, None)
        assert with_responses(sample, [old]) == record
        assert with_responses(sample, ["New."])[side] == f"{before}New."
        other = {"chosen": "No.", "rejected": "They sleep."}[side]
        assert same_as_other_side(sample, [other])
    both = {name: f"{before}<think>\nHm.\n</think>\n{name}" for name in ("chosen", "rejected")}
    if before.startswith(ASKED):
        sample = make_sample(0, "0", request_ | both, "preference chosen", "drop")
        new = with_responses(sample, ["New."])
        assert new == request_ | {"chosen": f"{before}New.", "rejected": f"{before}rejected"}


@pytest.mark.parametrize(
    ("prompt", "chosen", "rejected"),
    [
        ("Hi there", "Hi there! I am it.", "Hi there! No."),
        (ASKED, f"{ASKED} They sleep.", "No."),
        ("The capital of France", "The capital of Frances is", "The capital of France's is"),
    ],
)
def test_what_begins_like_a_request_is_a_response(prompt: str, chosen: str, rejected: str) -> None:
    sample = sample_of({"prompt": prompt, "chosen": chosen, "rejected": rejected}, "chosen")
    assert sample.exchanges == (Exchange(prompt, "", chosen),)
    assert with_responses(sample, ["New."])["chosen"] == "New."


def test_a_result_of_an_earlier_version_that_has_the_request_gets_no_second_one() -> None:
    record = {"prompt": ASKED, "chosen": f"{ASKED} They sleep.", "rejected": f"{ASKED} No."}
    assert with_responses(sample_of(record, "chosen"), [f"{ASKED} Well."])["chosen"] == f"{ASKED} Well."


@pytest.mark.parametrize("call", [{"tool_calls": [{"id": "1"}]}, {"function_call": {"name": "f"}}])
def test_a_call_is_no_empty_side(call: dict[str, Any]) -> None:
    record = {"prompt": [USER], "chosen": [{**ANSWER, "content": None, **call}], "rejected": [ANSWER]}
    assert sample_of(record, "chosen").skip == "a tool call"
    sample = sample_of(record, "rejected")
    assert (sample.skip, sample.exchanges) == (None, (Exchange("q", "", "a"),))


@pytest.mark.parametrize("label", ["desirable", -1, "good " * 20])
def test_a_label_that_is_neither_true_nor_false_is_named(tmp_path: Path, label: Any) -> None:
    shown = str(label)[:39]
    with pytest.raises(
        DataError, match=rf"found '{shown}…?' in \"label\", which has to be true or false, or 1 or 0$"
    ):
        opened(tmp_path, [{"prompt": "q", "completion": "a", "label": label}], improve="chosen")
