"""Cleaning drafts: what is removed and, more important, what stays."""

import json
import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from prompts.cleaning import clean_draft

REQUEST = "Which river flows through Cologne?"
RESPONSE = "The Rhine."
ANSWER = "The Rhine flows through Cologne, in the west of Germany.\n\nIt is 1,230 km long."

LEAD_INS = [
    "Here is the revised response:",
    "Here's the improved response:",
    "Here’s a revised and improved version:",
    "Sure! Here's an improved version:",
    "Certainly, here is my updated answer:",
    "Of course. Below is the refined answer to your question:",
    "Here is the revised response based on the suggestions provided:",
    "Here is an improved version of the original response, incorporating the suggestions:",
    "**Here is the edited response:**",
    "## Here is the polished reply",
    "Revised response:",
    "The revised response:",
    "REVISED RESPONSE:",
    "**Revised Response:**",
    "**Revised Response**:",
    "### Improved answer",
    "修改后的回答：",
    "修改后的回复:",
    "以下是修改后的回复：",
    "下面是优化后的回答：",
    "好的，以下是根据上述建议修改并完善后的回答：",
    "**改进后的回答：**",
]
MARKERS = [
    "#Revised Response#:",
    "### Improved Answer ###",
    "[Revised Response]",
    "==== Final answer ====",
    "REVISED RESPONSE\n================",
    "------\nRevised Response\n------",
    "Final response:",
    "最终回答：",
    "【修改后的回答】",
    "Certainly! Below is a rewritten response that addresses the feedback:",
    "Thank you for the feedback! Here is the revised response:",
    "Sure! I'd be happy to help.\n\nHere is the revised response:",
    "I've rewritten the response based on the suggestions. Here is the revised version:",
    "Based on the suggestions provided, here is the improved response:",
    "The revised response is as follows:",
    "Here is the response based on the feedback:",
    "好的，根据建议，修改后的回答如下：",
]
FRAMES = [
    "Here's the revised response:\n\n---\n\n{}\n\n---\n\nThis version adds detail and fixes the tone.",
    "Here's the revised response:\n---\n{}\n---",
    "Here's the revised response:\n\n***\n\n{}\n\n***\n\nChanges made:\n- Added detail\n- Fixed the tone",
    "Here's the revised response:\n\n{}\n\nThis version is clearer and more complete.",
    "Here's the revised response:\n\n{}\n\nLet me know if you'd like any further changes!",
    "Revised response:\n\n{}\n\n---\n\nI hope this revised version helps!",
    "{}\n\nI hope this revised response helps!",
    "{}\n\n---\n\n*This revised response is clearer and more complete.*",
    "好的，以下是改写后的回答：\n\n---\n\n{}\n\n---\n\n这个版本更加简洁。",
    "{}\n\n希望这个修改后的回答对您有帮助！",
    "### Revised Response ###\n{}\n### End ###",
    "[Revised Response]\n{}\n[/Revised Response]",
    "<revised_response>\n{}\n</revised_response>",
    "---\n\n{}\n\n---",
    "【修改后的回答】{}",
    "[Revised Response] {}",
    "Sure, here is the revised response: {}",
]
HEADINGS = ["Response:", "## Response", "# Response:", "**Response**", "**Response:**", "[Response]"]
WRAPPINGS = [
    *(f"{line}\n\n{{}}" for line in (*LEAD_INS, *MARKERS, *HEADINGS)),
    *(f"{line}\n{{}}" for line in (*LEAD_INS, *MARKERS)),
    *FRAMES,
    "Revised response: {}",
    "**Revised response:** {}",
    "修改后的回答：{}",
    "<response>\n{}\n</response>",
    "<response-2>\n{}\n</response-2>",
    "{}\n</response>",
    "<response>\n{}",
    "```\n{}\n```",
    "```text\n{}\n```",
    "```markdown\n{}\n```",
    "~~~\n{}\n~~~",
    "Here is the revised response:\n\n```\n{}\n```",
    "Here is the revised response:\n\n<response>\n{}\n</response>\n",
    "\n\n  {}  \n",
]
ASIDES = [
    "{}\n\n（已根据建议补充了细节）",
    "修改后的回答：\n{}\n\n（已按照您的意见修改。）",
    "Here's the revised response:\n\n{}\n\nThis version is clearer.\n\nLet me know if you want changes!",
]
PRAISE = [
    "Great question! {}",
    "That's a really good question.\n\n{}",
    "What an interesting question!\n{}",
    "好问题！{}",
]
QUOTED = ['"{}"', "“{}”", "「{}」", 'Revised response:\n"{}"']


@pytest.mark.parametrize("wrapping", [*WRAPPINGS, *ASIDES, *PRAISE, *QUOTED])
def test_what_is_not_the_answer_is_removed(wrapping: str) -> None:
    draft = wrapping.format(ANSWER)
    assert clean_draft(draft, REQUEST, RESPONSE) == ANSWER
    assert clean_draft(draft, REQUEST, None) == ANSWER


# Without the marks that make an answer look like code, data, a quotation or a text with headings.
plain = st.text(st.characters(exclude_characters="\"“”「」<>`~'=;{}()|[$#*_:", exclude_categories=["Cs"]))


# What greets somebody or speaks of versions keeps a remark at its end.
OF_ITS_OWN = re.compile(
    r"^\W*(?:dear|hi|hello|hey|good|尊敬|亲爱|[您你]好|主题)|version|draft|revis|版本|草稿|修改|修订", re.I
)

# A block of what may be code stays a block.
LIKE_CODE = re.compile(
    r"^(?:def|class|import|from|function|const|let|var|public|SELECT|CREATE|INSERT|#include|#!)", re.MULTILINE
)


@settings(max_examples=500)
@given(st.sampled_from(WRAPPINGS), plain)
def test_any_answer_comes_back_from_any_wrapping(wrapping: str, answer: str) -> None:
    assume(answer.strip() and answer == clean_draft(answer, REQUEST, RESPONSE))
    assume(not any(line[:1].isspace() for line in answer.split("\n")))
    assume(not OF_ITS_OWN.search(answer) and not LIKE_CODE.search(answer))
    assume(not wrapping.startswith("Sure") or not answer[0].islower())  # could be its sentence going on
    assert clean_draft(wrapping.format(answer), REQUEST, RESPONSE) == answer


@pytest.mark.parametrize(
    "draft",
    [
        "Here is the Rhine:",
        "Here is the revised response:",
        "Revised response:",
        "<response>\n</response>",
        '""',
        "```\n```",
        '"',
        "```",
        "Here is a list of rivers:\n1. Rhine",
        "Here is the revised response. It names the river.\nThe Rhine.",
        "Here is the revised response of the council: it was short.\nThe Rhine.",
        "This is an improved version\nof the river.",
        "Revised response times are shorter.\nThe Rhine.",
        "Response times:\nThe Rhine is slow.",
        "The Rhine. Here is the revised response:\nThe Rhine.",
        "The Rhine.\n\nHere is the revised response:\nThe Rhine.",
        'He called it "the Rhine"',
        '"The Rhine" and "the Ruhr"',
        '"The Rhine," he said.',
        "'It's the Rhine'",
        "“The Rhine’",
        "```python\nprint('Rhine')\n```",
        "```\nprint('Rhine')\n```",
        "```\nriver = Rhine\n```",
        "```\nfirst\n    indented\n```",
        "```\nThe Rhine.\n```\nand\n```\nThe Ruhr.\n```",
        "```\nThe Rhine.\n```\n\nIt flows north.",
        "The code:\n```\nThe Rhine.\n```",
        "`The Rhine`",
        "<answer>\nThe Rhine.\n</answer>",
        "<response><river>Rhine</river></response>",
        "<response>a</response> and <response>b</response>",
        "The tag <response>x</response> in the middle",
        "## Response\n\nWe act.\n\n## Recovery\n\nWe rest.",
        "Response:\nWe act.\n\nRecovery:\nWe rest.",
        '"The Rhine."',
        "- Revised response\n- New response",
        "Final answer: the Rhine",
        "Final answer:\nthe Rhine",
        "## Revision\n\nOne day a week.",
        "Updated response times:\n5 ms",
        "Here is some feedback on your answer:\nIt is right.",
        "Revised response:\nThe Rhine.\n\n## Original response\n\nRhine.",
        "The Rhine.\n\n---\n\nThe Ruhr.",
        "---\nThe Rhine.\n\n---\n\nThe Ruhr.\n---",
        "---\nriver: Rhine\n---",
        "The Rhine.\n\nI hope this helps! Let me know if you need any changes.",
        "The Rhine.\n\nThis version adds a bridge.",
        "莱茵河。\n\n希望这些改进对您有所帮助。",
    ],
)
@pytest.mark.parametrize("response", [RESPONSE, None])
def test_what_is_in_doubt_stays(draft: str, response: str | None) -> None:
    assert clean_draft(draft, REQUEST, response) == draft


def test_a_question_above_its_answer_is_removed() -> None:
    question = "Why is the sky blue?"
    for above in (f"{question}\n\n", f"**{question}**\n", f"{question}\nAnswer: "):
        assert clean_draft(above + ANSWER, question, RESPONSE) == ANSWER
    kept = f"{question}\n\n{ANSWER}"
    assert clean_draft(kept, question, f"{question}\n{RESPONSE}") == kept
    assert clean_draft(kept, "Why is the sky blue? Ask it and answer it.", RESPONSE) == kept


def test_a_json_object_around_the_answer_is_removed() -> None:
    for name in ("response", "revised_response", "Answer", "回答"):
        whole = json.dumps({name: ANSWER}, ensure_ascii=False, indent=2)
        for draft in (whole, f"```json\n{whole}\n```"):
            assert clean_draft(draft, REQUEST, RESPONSE) == ANSWER
    whole = json.dumps({"response": ANSWER})
    assert clean_draft(whole, "Write it as JSON.", RESPONSE) == whole
    assert clean_draft(whole, REQUEST, '{"response": "The Rhine."}') == whole
    for other in ({"response": ANSWER, "score": 9}, {"river": ANSWER}, {"response": [ANSWER]}, {}):
        assert clean_draft(json.dumps(other), REQUEST, RESPONSE) == json.dumps(other)
    assert clean_draft('{"a":' * 5000 + "1" + "}" * 5000, REQUEST, RESPONSE).startswith('{"a"')


def test_praise_that_belongs_to_the_answer_stays() -> None:
    draft = f"Great question! {ANSWER}"
    assert clean_draft(draft, "Act as a teacher. Why is the sky blue?", RESPONSE) == draft
    assert clean_draft(draft, "How should I respond to a student's question?", RESPONSE) == draft
    assert clean_draft(draft, REQUEST, f"Great question! {RESPONSE}") == draft
    assert clean_draft("Good question! I don't know.", REQUEST, RESPONSE) == "Good question! I don't know."


@pytest.mark.parametrize("label", ["Response: {}", "**Response:** {}"])
def test_a_label_before_a_single_line(label: str) -> None:
    assert clean_draft(label.format("The Rhine."), REQUEST, RESPONSE) == "The Rhine."
    for answer in ("200 OK", "The Rhine. Stimulus: rain", "Rain.\nThen the Rhine."):
        assert clean_draft(label.format(answer), REQUEST, None) == label.format(answer)
    for request in ("Define: response", "What is the answer?"):
        assert clean_draft(label.format("The Rhine."), request, None) == label.format("The Rhine.")


MAIL = "Dear Ann,\n\nThe revised version is attached.\n\nThis revised version includes your changes."


@pytest.mark.parametrize("request_", [REQUEST, "Write a letter to Ann.", "Tell Ann that it is done."])
def test_a_message_keeps_its_end(request_: str) -> None:
    for mail in (MAIL, MAIL.replace("Dear Ann,\n\n", ""), MAIL.replace("revised version is", "contract is")):
        assert clean_draft(mail, request_, None) == mail
        assert clean_draft(f"Here is the revised response:\n\n{mail}", request_, None) == mail
        framed = f"Here is the revised response:\n\n---\n\n{mail}\n\n---\n\nThis version is more formal."
        assert clean_draft(framed, request_, None) == mail


@pytest.mark.parametrize(
    ("request_", "draft"),
    [
        ("Most famous Shakespeare passage?", '"To be, or not to be. That is the question."'),
        ("Which verse opens the Gospel?", "“In the beginning was the Word. All things\n\nwere made.”"),
        ("How does Moby-Dick begin? I mean the novel.", '"Call me Ishmael. Some years ago."'),
        ("《岳阳楼记》的名篇段落？", "“先天下之忧而忧。后天下之乐而乐。”"),
        (
            "Write a mail that begins with 'Here is the revised response:'",
            "Here is the revised response:\nDear Ann",
        ),
        ("Revise this text: The Rhine are long.", "Here is the revised version:\nThe Rhine is long."),
        ("Improve my reply to Ann: no.", "Here's an improved reply:\nDear Ann, sadly no."),
        ("Improve my reply to Ann: no.", "Improved reply: Dear Ann, sadly no."),
        ("请修改下面的句子。", "以下是修改后的版本：\n莱茵河很长。"),
        ("请润色我给客户的回复。", "以下是润色后的回复：\n您好。"),
        ("Use the form 'Query: ...' and 'Response: ...'.", "Response:\nThe Rhine."),
        ("Wrap the answer in <response></response>.", "<response>\nThe Rhine.\n</response>"),
        ("Give an XML document.", "<response>\nThe Rhine.\n</response>"),
        ("Give an example of a metaphor.", '"A river is a road that moves."'),
        ("Give an example of a metaphor.", '"A river is a road. It moves."'),
        ("How would you greet a captain?", '"Good morning! How is the river?"'),
        ("Compose a haiku.", '"A slow river bends\nunder the moon"'),
        ("举一个比喻的例子。", "“河是流动的路。它从不停下。”"),
        ("How can this loop be made better?", "Here is an improved version:\n```\nx\n```"),
        ("Find the mistake: The Rhine flow.", "Corrected version:\nThe Rhine flows."),
        ("Write a mail to a client.", "Dear Ann,\n\nit is done.\n\nLet me know if you need any changes."),
        ("Give me a quote about rivers.", '"No man steps in the same river twice."'),
        ("Write a slogan for the Rhine.", "“Father Rhine flows on.”"),
        ("写一句关于河的名言。", "「逝者如斯夫」"),
        ('Which river is meant by "Father"?', '"The Rhine"'),
        ("Give the JSON for a string.", '"Rhine"'),
        ("Write a shell command that lists files.", "```\nls\n```"),
        ("Give the answer as a markdown block.", "```markdown\nThe Rhine.\n```"),
        ("用代码块回答。", "```\n莱茵河\n```"),
    ],
)
@pytest.mark.parametrize("response", [RESPONSE, None])
def test_what_the_request_asks_for_stays(request_: str, draft: str, response: str | None) -> None:
    assert clean_draft(draft, request_, response) == draft


@pytest.mark.parametrize(
    ("response", "draft"),
    [
        ("Here is the revised answer:\nThe Rhine.", "Here is the revised answer:\nThe Rhine flows."),
        ("以下是修改后的回答：\n莱茵河", "以下是修改后的回答：\n莱茵河。"),
        ("**Response:** The Rhine.", "Response:\nThe Rhine flows."),
        ("<response>Rhine</response>", "<response>\nThe Rhine.\n</response>"),
        ('"The Rhine."', '"The Rhine flows."'),
        ("```\nRhine\n```", "```\nThe Rhine\n```"),
        ("---\nRhine\n---", "---\nThe Rhine\n---"),
        ("Rhine.\n\nThis revised version is new.", "The Rhine.\n\nThis revised version is new."),
        ("Look:\n```\nRhine\n```", "```\nThe Rhine\n```"),
    ],
)
def test_what_the_current_response_has_too_stays(response: str, draft: str) -> None:
    assert clean_draft(draft, REQUEST, response) == draft


def test_the_interior_is_not_touched() -> None:
    answer = 'A  b\n\n\n```python\nx = 1\n```\n\n> "Here is the revised response:"\n\t end'
    assert clean_draft(f"Revised response:\n\n{answer}\n", REQUEST, RESPONSE) == answer


def test_a_shared_indentation_is_kept() -> None:
    code = "    a = 1\n    b = 2"
    assert clean_draft(f"\n{code}\n\n", REQUEST, RESPONSE) == code
    assert clean_draft(" The Rhine.\nNorth.", REQUEST, RESPONSE) == "The Rhine.\nNorth."


@pytest.mark.parametrize("blank", ["", " ", "\n\t\n"])
def test_only_a_blank_draft_comes_out_empty(blank: str) -> None:
    assert clean_draft(blank, REQUEST, RESPONSE) == ""


pieces = st.lists(
    st.sampled_from(
        [
            *LEAD_INS,
            *MARKERS,
            *HEADINGS,
            "```",
            "---",
            "This version is new.",
            "### End",
            "\n",
            "```",
            "```text",
            "<response>",
            "</response>",
            '"',
            " ",
            "Rhine",
            "  x",
        ]
    )
    | st.text(max_size=8),
    max_size=7,
).flatmap(lambda parts: st.sampled_from(["\n", " ", ""]).map(lambda by: by.join(parts)))


@given(pieces, pieces | st.just(REQUEST), st.none() | pieces)
def test_cleaning_removes_only_from_the_edges_and_only_once(
    draft: str, request: str, response: str | None
) -> None:
    cleaned = clean_draft(draft, request, response)
    assert cleaned in draft
    assert bool(cleaned) == bool(draft.strip())
    assert clean_draft(cleaned, request, response) == cleaned


@given(st.text())
def test_other_text_only_loses_surrounding_whitespace(draft: str) -> None:
    assume(draft.strip()[:1] not in {*"\"'“‘«「『`~<"} and "esponse" not in draft)
    assert clean_draft(draft, REQUEST, RESPONSE).strip() == draft.strip()


@pytest.mark.parametrize(
    "piece",
    [
        "\n",
        "---\n",
        "\n\n---\n\n",
        "- ",
        "= ",
        "Revised response: ",
        "修改后的回答",
        "I hope this revised ",
        "\n",
        " ",
        "<",
        "`",
        "```\n",
        "a(",
        '"',
        "revised ",
        "</response>",
        " \n",
        "*",
        "#",
    ],
)
def test_long_drafts_are_cleaned_in_time(piece: str) -> None:
    long = piece * (200_000 // len(piece))
    for draft in (long, f"Here is the revised {long}", f"```\n{long}\n```", f"Response:\n{long}"):
        assert clean_draft(draft, REQUEST, long) in draft
        assert clean_draft(draft, REQUEST, None) in draft


@pytest.mark.parametrize(
    "around",
    [
        f"<request>\n{REQUEST}\n</request>\n<response>\n{{}}\n</response>",
        "<answer>{}",
        f"Request: {REQUEST}\n\nResponse: {{}}",
        f"问题：{REQUEST}\n回答：{{}}",
        f"Original: {RESPONSE}\n\nRevised: {{}}",
        "Final answer:\n{}",
        "AI: {}",
        "Assistant: {}",
        "助手：{}",
        "当然！这是一个更好的回答：\n\n{}",
    ],
)
def test_what_a_draft_was_written_in_is_removed(around: str) -> None:
    assert clean_draft(around.format(ANSWER), REQUEST, RESPONSE) == ANSWER


@pytest.mark.parametrize(
    ("request_", "draft"),
    [
        ("What does AI stand for?", "AI: artificial intelligence"),
        ("Write a dialog of a user and an assistant.", "Assistant: Hello! How are you?"),
        ("Name three fields.", "AI: it learns.\nLaw: it judges."),
        ("Write a question and its answer.", "Question: What is it?\nAnswer: A river."),
        ("Put it in <answer> tags.", "<answer>The Rhine"),
        ("What is the answer to 6 x 7?", "Final answer:\n42"),
    ],
)
def test_labels_of_an_answer_s_own_stay(request_: str, draft: str) -> None:
    assert clean_draft(draft, request_, RESPONSE) == draft
