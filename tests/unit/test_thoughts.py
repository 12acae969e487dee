"""Thoughts and other neighbors of responses that a data set has."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from samples.formats import make_sample, parse_record, same_as_other_side, with_responses
from samples.json_values import to_json
from samples.neighbors import Neighbors, speaks_of_response
from samples.reply import read_response, without_marks
from samples.sample import Format, Sample
from samples.thoughts import Thoughts
from samples.trainers import Pair, pair_record, sft_record

REQUEST = "What is two and two?"
ANSWER = "It is four.\nFour, that is."
WRAPPED = [
    (f"<think>\nTwo and two.\n</think>\n\n{ANSWER}", "Two and two."),
    (f"Two and two.\n</think>\n\n{ANSWER}", "Two and two."),
    (f"Two and two.</think>\n{ANSWER}", "Two and two."),
    (f"<THINK>hm</THINK>{ANSWER}\n", "hm"),
    (f"[THINK]hm[/THINK]{ANSWER}", "hm"),
    (f"◁think▷hm◁/think▷{ANSWER}", "hm"),
    (f"<think>hm</think> <answer>{ANSWER}</answer>", "hm"),
    (f"<|im_start|>assistant\n<think>hm</think>\n{ANSWER}<|im_end|>", "hm"),
    (f"<think>hm\n</think>\n\n{ANSWER}</s>", "hm"),
    (f"{ANSWER}\n<think>\nlate\n</think>", "late"),
    (f"Here is my thought process:\nhm\nHere is my response:\n{ANSWER}", "hm"),
    (f"<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}", "hm"),
    (f"<think>\n\n</think>\n\n{ANSWER}", ""),
]
ABOUT_TAGS = [
    "The tag </think> ends a thought.",
    "</think> is the tag that ends one.",
    "<think> and </think> enclose a thought.\nDo not nest them.",
    "<think> is a tag.\nNothing closes it here.",
    "Use `<think>`, then `</think>`.",
    "```xml\n<think>\nhm\n</think>\n```\nSuch is the form.",
    "Write it like this:\n</think>\nand go on.",
]


@pytest.mark.parametrize(("text", "thoughts"), WRAPPED)
def test_a_response_is_read_apart_from_its_thoughts(text: str, thoughts: str) -> None:
    before, response, after, found = read_response(text, (REQUEST,))
    assert (response, found) == (ANSWER, thoughts)
    assert before + response + after == text


@pytest.mark.parametrize("text", ABOUT_TAGS)
def test_tags_that_a_response_is_about_cut_nothing_off(text: str) -> None:
    assert read_response(text, ("How are thoughts marked?",)) == ("", text, "", "")


PIECES = (
    "<think>",
    "</think>",
    "[THINK]",
    "<answer>",
    "</s>",
    "<|im_end|>",
    "\n",
    " ",
    "a.",
    "`",
    "<s>",
    "hm",
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_the_parts_of_a_response_are_the_whole(text: str) -> None:
    before, response, after, _ = read_response(text)
    assert before + response + after == text
    assert without_marks(text) in text


def alpaca(**fields: Any) -> dict[str, Any]:
    return {"instruction": REQUEST, "input": "", "output": ANSWER, **fields}


def turns(**fields: Any) -> dict[str, Any]:
    asked = {"role": "user", "content": REQUEST}
    return {"messages": [asked, {"role": "assistant", "content": ANSWER, **fields}]}


PARTS = [{"type": "thinking", "thinking": "hm", "signature": "x"}, {"type": "text", "text": ANSWER}]
THINKING: list[tuple[dict[str, Any], str]] = [
    (alpaca(output=f"<think>hm</think>\n{ANSWER}"), "alpaca"),
    (alpaca(reasoning_content="hm"), "alpaca"),
    (alpaca(deepseek_reasoning="hm"), "alpaca"),
    (alpaca(chain_of_thought="hm"), "alpaca"),
    ({"question": REQUEST, "Complex_CoT": "hm", "response": ANSWER}, "orca"),
    ({"instruction": REQUEST, "generation": f"<think>hm</think>\n{ANSWER}"}, "distilabel"),
    (turns(content=f"<think>hm</think>\n{ANSWER}"), "messages"),
    (turns(reasoning_content="hm"), "messages"),
    (turns(thinking="hm"), "messages"),
    (turns(reasoning_details=[{"type": "reasoning.text", "text": "hm"}]), "messages"),
    (turns(content=PARTS), "messages"),
    (turns(content=[{"type": "reasoning", "value": "hm"}, {"type": "text", "value": ANSWER}]), "messages"),
    ({**turns(), "reasoning": "hm"}, "messages"),
    ({"conversation": [{"input": REQUEST, "output": ANSWER, "reasoning": "hm"}]}, "conversation"),
    ({"prompt": REQUEST, "chosen": f"<think>hm</think>\n{ANSWER}", "rejected": "5"}, "preference chosen"),
]


@pytest.mark.parametrize(("record", "format"), THINKING)
def test_thoughts_are_kept_apart(record: dict[str, Any], format: str) -> None:
    (exchange,) = parse_record(record, format).exchanges
    assert (exchange.response, exchange.thoughts) == (ANSWER, "hm")
    assert (
        parse_record(record, format, "skip").skip
        == "thoughts in the response (--thoughts drop or keep works on it)"
    )
    sample = make_sample(0, "0", record, format)
    assert "hm" not in str(sample.record) or sample.read == sample.record
    # What the graphs take has them nowhere in its text.
    (taken,) = parse_record(sample.record, sample.format, "text").exchanges
    assert taken.response == ANSWER
    assert with_responses(sample, [ANSWER]) == record


@pytest.mark.parametrize(("record", "format"), THINKING)
@pytest.mark.parametrize("thoughts", ["keep", "drop"])
def test_a_new_response_has_the_old_thoughts_if_they_are_kept(
    record: dict[str, Any], format: str, thoughts: Thoughts
) -> None:
    sample = make_sample(0, "0", record, format)
    new = with_responses(sample, ["Four."], neighbors=Neighbors(thoughts))
    assert new.keys() <= record.keys()
    (exchange,) = parse_record(new, format).exchanges
    assert (exchange.response, exchange.thoughts) == ("Four.", "hm" if thoughts == "keep" else "")
    trained = sft_record(sample, ["Four."], "trl-sft", neighbors=Neighbors(thoughts))["messages"]
    has = {"Four."} if thoughts == "drop" else {"<think>hm</think>\nFour.", "<think>\nhm\n</think>\n\nFour."}
    assert trained[-1]["content"] in has


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<think>Let me see. Cats are", "<think>Let me see. Cats are\n</think>\n\nNew."),
        ("<think>\nCats <|im_end|>", "<think>\nCats\n</think>\n\nNew.<|im_end|>"),
        ("<think>a</think>\n<think>b", "<think>a</think>\n<think>b\n</think>\n\nNew."),
        ("[THINK]a", "[THINK]a\n[/THINK]\n\nNew."),
        ("<|begin_of_thought|>a", "<|begin_of_thought|>a\n<|end_of_thought|>\n\nNew."),
        ("<|thinking|>a", "<|thinking|>a\n<|/thinking|>\n\nNew."),
        ("<|channel>thought\na", "<|channel>thought\na\n<channel|>\n\nNew."),
        ('<details type="reasoning">a', '<details type="reasoning">a\n</details>\n\nNew.'),
        (
            "<|channel|>analysis<|message|>a",
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>New.",
        ),
    ],
)
def test_a_thought_that_was_cut_off_ends_before_a_new_response(old: str, new: str) -> None:
    for record, format in ((alpaca(output=old), "alpaca"), (turns(content=old), "messages")):
        sample = make_sample(0, "0", record, format, "keep")
        assert sample.exchanges[0].response == ""
        written = with_responses(sample, ["New."], neighbors=Neighbors("keep"))
        assert new in (written.get("output"), written.get("messages", [{}])[-1].get("content"))
        (again,) = parse_record(written, format).exchanges
        assert (again.response, again.thoughts) == ("New.", sample.exchanges[0].thoughts)
        dropped = with_responses(sample, ["New."], neighbors=Neighbors("drop"))
        assert "Cats are" not in str(dropped)


@pytest.mark.parametrize(
    "text",
    [
        "<start_of_thought>hm<end_of_thought>{}",
        "<begin_of_thinking>hm<end_of_thinking>\n{}",
        "<thinking_start>hm<thinking_end>{}",
        "<think>hm<|end_of_thought|>\n{}",
        "<think>hm<\\think>\n{}",
        "<think>hm</ think>\n{}",
        "<think>hm\n<answer>{}</answer>",
    ],
)
def test_thoughts_end_with_other_tags_too(text: str) -> None:
    sample = make_sample(0, "0", alpaca(output=text.format(ANSWER)), "alpaca")
    assert (sample.exchanges[0].response, sample.exchanges[0].thoughts) == (ANSWER, "hm")
    kept = with_responses(sample, ["4"], neighbors=Neighbors("keep"))["output"]
    assert kept == text.format("4")


WITHIN = [
    ("Sure.\n<think>hm</think>\nans", "Sure.\n\nans", "hm"),
    ("Sure. <think>hm</think> ans", "Sure.\n\nans", "hm"),
    ("Let me think\n<thinking>\nhm\n</thinking>\n\nans", "Let me think\n\nans", "hm"),
    ("<think>a</think>x<think>b</think>ans", "x\n\nans", "a\n\nb"),
    ("One.\n[THINK]a[/THINK]\nTwo.\n[THINK]b[/THINK]\nThree.", "One.\n\nTwo.\n\nThree.", "a\n\nb"),
]


@pytest.mark.parametrize(("text", "response", "thoughts"), WITHIN)
def test_thoughts_between_texts_are_thoughts(text: str, response: str, thoughts: str) -> None:
    for record, format in ((alpaca(output=text), "alpaca"), (turns(content=text), "messages")):
        assert "thoughts" in str(parse_record(record, format, "skip").skip)
        sample = make_sample(0, "0", record, format)
        assert (sample.exchanges[0].response, sample.exchanges[0].thoughts) == (response, thoughts)
        assert "think" not in str(sample.record).lower().replace("let me think", "")
        assert with_responses(sample, [response]) == record
        assert parse_record(record, format, "text").exchanges[0].response == text
        for kept, found in (("keep", thoughts), ("drop", "")):
            new = with_responses(sample, ["4"], neighbors=Neighbors(kept))  # type: ignore[arg-type]
            (again,) = parse_record(new, format).exchanges
            assert (again.response, again.thoughts) == ("4", found)


@pytest.mark.parametrize(
    "text",
    [
        "Write it like this:\n<think>hm</think>\nans",
        "The tags <think>hm</think> enclose a thought.",
        "It is:\n```\nA.\n<think>hm</think>\n```\nans",
        "Say `<think>hm</think>`.",
        "Sure.\n<think></think>\nans",
        "As asked.\n<analysis>\nIt fell.\n</analysis>\n<advice>\nSell.\n</advice>",
    ],
)
def test_thoughts_within_that_a_response_is_about_stay(text: str) -> None:
    assert make_sample(0, "0", alpaca(output=text), "alpaca", "skip").exchanges[0].response == text
    asked = alpaca(instruction="Use <think> and </think>.", output="Sure.\n<think>hm</think>\nans")
    assert make_sample(0, "0", asked, "alpaca", "skip").skip is None


@pytest.mark.parametrize("to", ["alpaca", "sharegpt", "messages"])
@pytest.mark.parametrize(("record", "format"), THINKING)
def test_other_formats_keep_thoughts(record: dict[str, Any], format: str, to: Format) -> None:
    written = with_responses(make_sample(0, "0", record, format), [ANSWER], to)
    (exchange,) = parse_record(written, to).exchanges
    assert (exchange.response, exchange.thoughts) == (ANSWER, "hm")


def test_an_exchange_with_thoughts_stays_and_the_others_are_worked_on() -> None:
    record = {"messages": [*turns(reasoning="hm")["messages"], *turns()["messages"]]}
    assert [each.fixed for each in parse_record(record, "messages", "skip").exchanges] == [True, False]
    assert [each.fixed for each in parse_record(record, "messages", "drop").exchanges] == [False, False]
    # As runs of earlier versions had it.
    as_text = parse_record(turns(content=f"<think>hm</think>\n{ANSWER}"), "messages", "text")
    assert as_text.exchanges[0].response == f"<think>hm</think>\n{ANSWER}"


def test_a_part_for_thoughts_without_text_is_none_of_the_response() -> None:
    record = turns(content=[{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": ANSWER}])
    sample = make_sample(0, "0", record, "messages", "drop")
    (taken,) = parse_record(sample.record, sample.format, "text").exchanges
    assert taken.response == ANSWER
    new = with_responses(sample, ["Four."])
    assert new["messages"][-1]["content"] == [{"type": "text", "text": "Four."}]


def test_tags_around_no_thoughts_stay_around_a_new_response() -> None:
    sample = make_sample(0, "0", alpaca(output=f"<think>\n\n</think>\n\n{ANSWER}"), "alpaca", "skip")
    assert sample.skip is None
    assert with_responses(sample, ["4"])["output"] == "<think>\n\n</think>\n\n4"


@pytest.mark.parametrize("value", ["high", "off", "", None, True, 3])
def test_a_field_that_says_how_much_to_think_is_no_thought(value: Any) -> None:
    assert parse_record(alpaca(thinking=value, reasoning_effort="high"), "alpaca").exchanges[0].thoughts == ""


def renewed(record: dict[str, Any], neighbors: Neighbors | None = None) -> dict[str, Any]:
    format = "alpaca" if "instruction" in record else "messages"
    return with_responses(make_sample(0, "0", record, format), ["4"], neighbors=neighbors)


STALE: dict[str, Any] = {
    **{"score": 5, "score_gpt4": 5, "responseScore": 5, "rating": 0, "reward": -1.5, "quality_score": 0.5},
    **{"output_tokens": 9, "num_tokens_output": 9, "token_count": 9, "length": 9, "response_len": 9},
    **{"embedding": [0.5], "logprobs": [-1.0], "perplexity": 3.5, "model": "m", "model_name": "m"},
    **{"generation_model": "m", "finish_reason": "stop", "usage": {"total_tokens": 3}, "is_correct": True},
    **{
        "distilabel_metadata": {"raw": ANSWER},
        "rejected": "5",
        "chosen": ANSWER,
        "chosen-rating": 5,
        "correctness_math_verify": [True],
    },
    **{
        "label": True,
        "labels": 1,
        "kto_tag": False,
        "judge_verdict": "A",
        "created_by": "m",
        "response_translated": "Vier.",
        "output_zh": "四",
        "summary_of_output": "4",
        "sha256": "0",
        "is_reasoning_complete": [True],
        "generation_token_counts": [3],
        "raw_output": ANSWER,
        "feedback": "Good.",
        "input_ids": [1],
        "train_detail": [{"begin_offset": 0, "end_offset": 2, "train": False}],
    },
    **{
        "tests_execution_status": ["pass"],
        "final_answer": "4",
        "is_good": True,
        "approved": True,
        "likes": 3,
    },
    **{"thumbs_up": 1, "accuracy": 0.5, "pass_rate": 0.5, "win_rate": 0.5, "ifd": 0.5, "ifd_score": 0.5},
    **{"predicted_answer": "4", "extracted_answer": "4", "gpt4_answer": "4", "pred": "4", "nll": 0.5},
    **{"loss": 0.25, "eval_loss": "0.25", "review": "Good.", "reviewer_comment": "Good.", "safe": True},
    **{"harmful": 0, "is_harmful": "no", "is_response_safe": True, "metrics": {"bleu": 3}, "helpful": "4"},
    **{"bertscore_f1": 0.5, "elo": 1200, "truncated": False, "sentence_count": 2, "num_sentences": 2},
    **{"safety_label": "safe", "safety": "unsafe", "gpt4_eval": "A good one."},
    **{"num_tok": 9, "token_cnt": 9, "response_tok": 9, "评分": 5, "回复分数": 5, "质量": "高"},
}
OTHERS: dict[str, Any] = {
    **{
        "category": "math",
        "topic": "sums",
        "difficulty": 3,
        "source": "x",
        "prompt_id": "p",
        "language": "en",
    },
    **{
        "prompt_tokens": 9,
        "instruction_score": 5,
        "question_quality": 2,
        "reference_score": 1,
        "label": "math",
    },
    **{
        "max_tokens": 9,
        "weight": 1.0,
        "tags": ["a"],
        "metadata": {"a": 1, "topic": "x"},
        "correct_answer": "4",
        "expected_output_zh": "四",
        "answer_type": "number",
        "created": "2024",
        "split": "a",
    },
    **{
        "reward_model": {"ground_truth": "4"},
        "solution": "4",
        "input_quality": "good",
        "rejected_response": "5",
        "original_score": 2,
        "context": ANSWER,
    },
    **{"问题质量": 5, "参考分数": 5, "prompt_tok": 9, "problem_pass_rate": 0.5, "rate": 2, "execution": "x"},
    **{"loss_weight": 0.5, "loss_mask_name": "x", "review": "two and two?", "is_prompt_safe": True},
    **{"safe_response": "No.", "extracted_question": "q", "comment_on_question": "c"},
    **{"comment_id": "c1", "num_comments": 12, "review_url": "u"},
    **{"label": "math:4a,sums", "quality_of_question": 2, "cnt": 2, "题目": "4"},
}


@pytest.mark.parametrize("name", STALE)
def test_what_speaks_of_the_old_response_is_renamed(name: str) -> None:
    value = STALE[name]
    for record in (alpaca(**{name: value}), {**turns(), name: value}):
        before, new = list(record), renewed(record)
        assert list(new) == [f"original_{name}" if each == name else each for each in before]
        assert new[f"original_{name}"] == value
    told = renewed(alpaca(**{name: value}), Neighbors(not_stale=[name]))
    assert told == alpaca(**{name: value}) | {"output": "4"}


@pytest.mark.parametrize("name", OTHERS)
def test_what_speaks_of_the_request_stays(name: str) -> None:
    assert renewed(alpaca(**{name: OTHERS[name]})) == alpaca(**{name: OTHERS[name]}, output="4")
    told = renewed(alpaca(**{name: OTHERS[name]}), Neighbors(stale=[name]))
    assert told == {"instruction": REQUEST, "input": "", "output": "4", f"original_{name}": OTHERS[name]}


def test_what_repeats_the_conversation_is_dropped() -> None:
    texts = {
        "text": f"### {REQUEST}\n{ANSWER}",
        "rendered": f'[{{"q": "{REQUEST}"}}, "It is four.\\nFour, that is."]',
    }
    found = Neighbors()
    assert renewed(alpaca(**texts, messages=turns()["messages"]), found) == alpaca(output="4")
    assert found.dropped == {"text": 1, "rendered": 1, "messages": 1}
    assert renewed(alpaca(text="A text about sums.")) == alpaca(text="A text about sums.", output="4")


def test_fields_of_a_turn_are_treated_with_its_response() -> None:
    both = {"messages": [*turns(score=5)["messages"], *turns(score=1, weight=1)["messages"]]}
    new = with_responses(make_sample(0, "0", both, "messages"), [ANSWER, "4"])["messages"]
    assert new[1] == both["messages"][1]
    assert new[3] == {"role": "assistant", "content": "4", "original_score": 1, "weight": 1}
    columns = {"conversations": {"from": ["human", "gpt"], "value": [REQUEST, ANSWER], "score": [None, 5]}}
    (written,) = with_responses(make_sample(0, "0", columns, "sharegpt"), ["4"]).values()
    assert written["original_score"] == [None, 5]


@pytest.mark.parametrize("thoughts", ["drop", "keep"])
def test_fields_of_a_part_are_treated_with_its_text(thoughts: Thoughts) -> None:
    said = {"type": "output_text", "text": ANSWER}
    thought = {"type": "thinking", "thinking": "hm", "usage": {"tokens": 3}}
    asked = {"role": "user", "content": [{"type": "input_text", "text": REQUEST, "citations": ["x"]}]}
    parts = [thought, said | {"citations": ["x"], "logprobs": [], "train": True}]
    record = {"messages": [asked, {"role": "assistant", "content": parts}]}
    sample = make_sample(0, "0", record, "messages", thoughts)
    assert [exchange.response for exchange in sample.exchanges] == [ANSWER]
    new = said | {"text": "4", "original_citations": ["x"], "logprobs": [], "train": True}
    kept = [thought, new] if thoughts == "keep" else [new]
    turns_ = with_responses(sample, ["4"], neighbors=Neighbors(thoughts))["messages"]
    assert turns_ == [asked, {"role": "assistant", "content": kept}]
    assert with_responses(sample, [ANSWER]) == record


def test_a_label_of_values_speaks_of_the_response_of_its_turn() -> None:
    record = turns(label="quality:4,toxicity:0,humor:-1.5")
    new = with_responses(make_sample(0, "0", record, "messages"), ["4"])["messages"]
    assert new[1]["original_label"] == "quality:4,toxicity:0,humor:-1.5"
    assert renewed(alpaca(label="x" * 2000 + ":1"))["label"]


def test_fields_are_treated_in_objects_about_the_record() -> None:
    about = {"score": 5, "topic": "x", "info": {"model": "m"}, "reasoning": "hm"}
    new = renewed(alpaca(metadata=about, ratings_by_topic={"score": 5}))
    assert new["metadata"] == {
        "original_score": 5,
        "topic": "x",
        "info": {"original_model": "m"},
        "original_reasoning": "hm",
    }
    assert new["ratings_by_topic"] == {"score": 5}


@pytest.mark.parametrize("name", ["metadata", "labels", "eval", "nested", "quality_signals"])
def test_judgments_are_found_in_objects_as_they_are_and_as_json(name: str) -> None:
    about = {"score": 5, "inner": {"harmful": False}, "topic": "x"}
    new = {"original_score": 5, "inner": {"original_harmful": False}, "topic": "x"}
    for fields, expected in ((about, new), (json.dumps(about), to_json(new))):
        if name == "quality_signals":  # which is one itself
            assert renewed(alpaca(**{name: fields}))[f"original_{name}"] == fields
            continue
        found = Neighbors()
        written = renewed(alpaca(**{name: fields}), found)
        assert written[name] == expected
        assert found.renamed == {"score": 1, "harmful": 1}
    assert renewed(alpaca(labels="[1, 2]"))["original_labels"] == "[1, 2]"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tools", {"properties": {"score": {"type": "number"}}}),
        ("reference", {"score": 3}),
        ("solution", '{"score": 3}'),
        ("nested", {"model": "T", "length": 3, "reasoning": "hm"}),
        ("nested", '{ "topic": "x" }'),
        ("nested", '{"score": 3'),
    ],
)
def test_objects_that_judge_nothing_stay(name: str, value: Any) -> None:
    assert renewed(alpaca(**{name: value}))[name] == value


def test_the_oldest_of_several_is_the_original() -> None:
    assert renewed(alpaca(score=5, original_score=None)) == alpaca(original_score=5, output="4")
    assert renewed(alpaca(score=5, original_score=2)) == alpaca(original_score=2, output="4")


def preference(side: str, **fields: Any) -> Sample:
    record = {"prompt": REQUEST, "chosen": ANSWER, "rejected": "5", **fields}
    return make_sample(0, "0", record, f"preference {side}")


def test_a_preference_record_keeps_what_speaks_of_its_other_side() -> None:
    fields = {"score_chosen": 9, "score_rejected": 2, "margin": 7, "rejected_model": "m"}
    assert with_responses(preference("chosen", **fields), ["4"]) == {
        **{
            "prompt": REQUEST,
            "chosen": "4",
            "rejected": "5",
            "original_score_chosen": 9,
            "score_rejected": 2,
        },
        **{"original_margin": 7, "rejected_model": "m"},
    }
    assert speaks_of_response("score_rejected", 2, "rejected")
    theirs = {"rejected_meta": {"score": 2}, "rejected_quality_of": '{"score": 2}'}
    assert with_responses(preference("chosen", **theirs), ["4"]) == {
        **{"prompt": REQUEST, "chosen": "4", "rejected": "5"},
        **theirs,
    }
    labeled = make_sample(0, "0", {**turns(), "label": True}, "kto chosen messages")
    assert with_responses(labeled, ["4"])["label"] is True


def test_the_sides_of_a_preference_record_differ_in_more_than_thoughts() -> None:
    thinking = {"chosen": f"<think>hm</think>\n{ANSWER}", "rejected": "<think>hmm</think>\n5"}
    new = with_responses(preference("chosen", **thinking), ["4"], neighbors=Neighbors("drop"))
    assert (new["chosen"], new["rejected"]) == ("4", "5")
    kept = with_responses(preference("chosen", **thinking), ["4"], neighbors=Neighbors("keep"))
    assert (kept["chosen"], kept["rejected"]) == ("<think>hm</think>\n4", thinking["rejected"])
    assert same_as_other_side(preference("chosen", **thinking), ["5"])
    assert same_as_other_side(preference("chosen", rejected="5</s>"), ["5"])
    assert not same_as_other_side(preference("chosen", **thinking), ["4"])


def test_a_pair_has_neither_thoughts_nor_marks() -> None:
    sample = make_sample(0, "0", alpaca(output="<think>hm</think>\nFive.</s>"), "alpaca")
    pair = Pair(0, "final", 1, "Four.", "Five.</s>", None, None)
    record = pair_record(sample, ["Four."], pair, "trl-dpo")
    assert [record[side][0]["content"] for side in ("chosen", "rejected")] == ["Four.", "Five."]


def test_a_ranking_whose_new_side_lost_its_thoughts_has_none_on_the_other() -> None:
    record = {"instruction": REQUEST, "output": ["<think>a</think>\n\n4", "<think>b</think>\n\n5"]}
    sample = make_sample(0, "0", record, "preference chosen")
    new = with_responses(sample, ["Four."], neighbors=Neighbors("drop"))
    assert new == record | {"output": ["Four.", "5"]}


OLD = "It is four, of course."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("solution", OLD),
        ("response", f" {OLD}\n"),
        ("old_output", OLD),
        ("x", [OLD]),
        ("turn", {"role": "assistant", "content": OLD}),
    ],
)
def test_the_old_response_does_not_stay_beside_the_new_one_under_any_name(name: str, value: Any) -> None:
    record = {
        "problem": REQUEST,
        name: value,
        "messages": [{"role": "user", "content": REQUEST}, {"role": "assistant", "content": OLD}],
    }
    found = Neighbors()
    new = with_responses(make_sample(0, "0", record, "messages"), ["4"], neighbors=found)
    assert list(new) == ["problem", f"original_{name}", "messages"]
    assert new[f"original_{name}"] == value
    assert found.renamed == {name: 1}
    told = with_responses(
        make_sample(0, "0", record, "messages"), ["4"], neighbors=Neighbors(not_stale=[name])
    )
    assert told[name] == value
    assert with_responses(make_sample(0, "0", record, "messages"), [OLD]) == record


def test_what_equals_the_old_response_by_chance_stays() -> None:
    record = alpaca(output="four", kind="four", ground_truth="four")
    assert with_responses(make_sample(0, "0", record, "alpaca"), ["4"]) == record | {"output": "4"}
    record = {"instruction": OLD, "input": "", "output": OLD, "solution": OLD}
    assert with_responses(make_sample(0, "0", record, "alpaca"), ["4"]) == record | {"output": "4"}


@pytest.mark.parametrize(
    "mark", ["<|im_end|>", " <|endoftext|>\n", "</s>", "<|eot_id|>", "<|im_end|>\n<|endoftext|>"]
)
@pytest.mark.parametrize("thoughts", ["skip", "keep", "drop"])
def test_marks_of_the_end_are_shown_to_nobody_and_stay_at_the_end(mark: str, thoughts: Thoughts) -> None:
    text = f"The sky is blue.{mark}"
    for record, form in (
        (alpaca(output=text), "alpaca"),
        (
            {"messages": [{"role": "user", "content": REQUEST}, {"role": "assistant", "content": text}]},
            "messages",
        ),
    ):
        sample = make_sample(0, "0", record, form, thoughts)
        assert sample.skip is None
        assert sample.exchanges[0].response == "The sky is blue."
        assert mark not in str(sample.record)
        assert with_responses(sample, ["The sky is blue."], neighbors=Neighbors(thoughts)) == record
        new = str(with_responses(sample, ["Red."], neighbors=Neighbors(thoughts)))
        assert repr(f"Red.{mark}") in new
        # Runs of earlier versions took them for a part of the response.
        assert make_sample(0, "0", record, form, "text").exchanges[0].response == text


def test_a_mark_that_the_request_is_about_stays() -> None:
    record = {"instruction": "Which token is <|im_end|>?", "input": "", "output": "The last one: <|im_end|>"}
    assert make_sample(0, "0", record, "alpaca").exchanges[0].response == record["output"]


def test_a_mark_that_closes_the_solution_leaves_no_space() -> None:
    thoughts = "<|begin_of_thought|>\n\nhm\n\n<|end_of_thought|>\n\n"
    text = thoughts + "<|begin_of_solution|>\n\na\n\n<|end_of_solution|>"
    record = {"conversations": [{"from": "user", "value": "q"}, {"from": "assistant", "value": text}]}
    sample = make_sample(0, "0", record, "sharegpt", "drop")
    assert with_responses(sample, ["b"])["conversations"][1]["value"] == "b"
    kept = with_responses(sample, ["b"], neighbors=Neighbors("keep"))["conversations"][1]["value"]
    assert kept == text.replace("\n\na\n\n", "\n\nb\n\n")


def test_the_marks_of_a_response_go_together() -> None:
    old = "<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>a<|END_RESPONSE|>"
    sample = make_sample(0, "0", {"instruction": "q", "output": old}, "alpaca", "drop")
    assert with_responses(sample, ["b"])["output"] == "b"
    kept = with_responses(sample, ["b"], neighbors=Neighbors("keep"))["output"]
    assert kept == old.replace(">a<", ">b<")


@pytest.mark.parametrize("thoughts", ["drop", "keep"])
def test_what_holds_the_dropped_thoughts_goes_with_them(thoughts: Any) -> None:
    record = {"instruction": "q", "output": "<think>\nlet us see\n</think>\n\na", "analysis": "let us see"}
    new = with_responses(make_sample(0, "0", record, "alpaca", "drop"), ["b"], neighbors=Neighbors(thoughts))
    assert ("analysis" in new, "original_analysis" in new) == (thoughts == "keep", thoughts == "drop")


@pytest.mark.parametrize(
    ("thoughts", "expected"),
    [
        ("drop", "new<|im_end|>"),
        (
            "keep",
            "<|begin_of_thought|>hm<|end_of_thought|>\n\n<|begin_of_solution|>new<|end_of_solution|><|im_end|>",
        ),
    ],
)
def test_marks_of_a_solution_stay_or_go_together(thoughts: Any, expected: str) -> None:
    old = (
        expected.replace("new", "a")
        if thoughts == "keep"
        else (
            "<|begin_of_thought|>hm<|end_of_thought|>\n\n<|begin_of_solution|>a<|end_of_solution|><|im_end|>"
        )
    )
    sample = make_sample(0, "0", {"instruction": "q", "output": old}, "alpaca", thoughts)
    assert sample.exchanges[0].response == "a"
    assert with_responses(sample, ["new"], None, Neighbors(thoughts))["output"] == expected
