"""What is taken off a reply, what stays, and what shows that it cannot be used."""

import re

import pytest
from fastchat.conversation import conv_templates, get_conv_template
from hypothesis import given
from hypothesis import strategies as st

from models.call import Message
from samples.control_tokens import control_token
from samples.message_parts import message_parts
from samples.reply import Reply, damage, is_blank, read_reply
from standin.frames import TEXTS, THOUGHTS

ANSWER = "A ripe lemon is yellow.\nAn unripe one is green."
THOUGHT = "The user asks for a colour. Is it yellow?"

WITH_THOUGHTS = [
    f"<think>{THOUGHT}</think>{ANSWER}",
    f"<think>\n{THOUGHT}\n</think> {ANSWER}",
    f"<Thinking>\n{THOUGHT}\n</Thinking>\n\n{ANSWER}",
    f"<thought>{THOUGHT}</thought>\n<response>\n{ANSWER}\n</response>",
    f"<reasoning>\n{THOUGHT}\n</reasoning>\n<answer>\n{ANSWER}\n</answer>",
    f"<reflection>{THOUGHT}</reflection>\n{ANSWER}",
    f"<thinking>{THOUGHT}</thinking>\n<output>\n{ANSWER}",  # cut off before its end
    f"<longcat_think>{THOUGHT}</longcat_think>{ANSWER}",
    f"<seed:think>{THOUGHT}</seed:think>{ANSWER}",
    f"<antThinking>{THOUGHT}</antThinking>\n{ANSWER}",
    f"<CoT>\n{THOUGHT}\n</CoT>\n{ANSWER}",
    f"<思考>\n{THOUGHT}\n</思考>\n{ANSWER}",
    f"[THINK]{THOUGHT}[/THINK]{ANSWER}",
    f"[REASONING]\n{THOUGHT}\n[/REASONING]\n{ANSWER}",
    f"◁think▷{THOUGHT}◁/think▷{ANSWER}<|im_end|>",
    f"<|thinking|>{THOUGHT}<|/thinking|>{ANSWER}",
    f'<details type="reasoning" done="true">\n{THOUGHT}\n</details>\n{ANSWER}',
    f"<|im_assistant|>assistant<|im_middle|><think>{THOUGHT}</think>{ANSWER}<|im_end|>",
    f"<|START_THINKING|>{THOUGHT}<|END_THINKING|><|START_RESPONSE|>{ANSWER}<|END_RESPONSE|>"
    "<|END_OF_TURN_TOKEN|>",
    f"<|begin_of_thought|>{THOUGHT}<|end_of_thought|>\n<|begin_of_solution|>{ANSWER}<|end_of_solution|>",
    f"<|thought_start|>\n{THOUGHT}\n<|thought_end|>\n{ANSWER}",
    f"<|inner_prefix|>{THOUGHT}<|inner_suffix|>{ANSWER}<|assistant_end|>",
    f"<|think|>{THOUGHT}<|end|><|begin|>assistant<|content|>{ANSWER}<|end|>",
    f"<unused94>thought\n{THOUGHT}<unused95>{ANSWER}",
    f"<|channel>thought\n{THOUGHT}<channel|>{ANSWER}<turn|>",
    f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}"
    "<|return|>",
    f"<|start|>assistant<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final "
    f"<|constrain|>text<|message|>{ANSWER}",
    f"analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}",
    f"analysis{THOUGHT}assistantfinal{ANSWER}",
    f"Here is my thought process:\n{THOUGHT}\nHere is my response:\n{ANSWER}",
    # The opening tag was part of the prompt.
    f"{THOUGHT}\n</think>\n\n{ANSWER}",
    f"{THOUGHT}</think>\n{ANSWER}",
    f"{THOUGHT}</think>{ANSWER}",
    f"{THOUGHT}[/THINK]{ANSWER}</s>",
    f"{THOUGHT}<|END_THINKING|>{ANSWER}",
    f"{ANSWER}\n\n<think>\n{THOUGHT}\n</think>",
    # Another word ends it.
    f"<think>{THOUGHT}</thinking>{ANSWER}",
    f"<thought>\n{THOUGHT}\n</think>\n{ANSWER}",
]


@pytest.mark.parametrize("text", WITH_THOUGHTS)
def test_thoughts_are_kept_apart(text: str) -> None:
    found = read_reply(text)
    assert (found.text, found.thoughts) == (ANSWER, THOUGHT)
    assert found.marks
    assert control_token(found.text, []) is None


@pytest.mark.parametrize("family", [name for name in TEXTS if "runs_on" not in name])
def test_every_family_of_the_stand_in_is_read(family: str) -> None:
    found = read_reply(TEXTS[family].format(thoughts=THOUGHTS, text=ANSWER))
    assert found.text == ("" if family == "think_unclosed" else ANSWER)
    assert found.thoughts == (THOUGHTS if "{thoughts}" in TEXTS[family] else "")


@pytest.mark.parametrize(
    "text",
    [
        f"{ANSWER}<|im_end|>",
        f"{ANSWER}\n<|im_end|>\n<|endoftext|>\n",
        f"{ANSWER}<|eot_id|>",
        f"{ANSWER}<|eom_id|>",
        f"{ANSWER}<|user|>",
        f"{ANSWER}<｜end▁of▁sentence｜>",
        f"{ANSWER}<end_of_turn>",
        f"{ANSWER} </s>",
        f"<s> {ANSWER}</s>",
        f"{ANSWER}<eos>",
        f"{ANSWER} [/INST]",
        f"{ANSWER}[|endofturn|]",
        f"{ANSWER}<|return|>",
        f"{ANSWER}<|some_token_of_tomorrow|>",
        f"{ANSWER}<|im_end",
        f"{ANSWER}<|eot_id|",
        f"{ANSWER}<end_of_tu",
        f"{ANSWER}</s",
        f"<pad><pad>{ANSWER}",
        f"<unk>{ANSWER}",
        f"<|im_start|>assistant\n{ANSWER}<|im_end|>",
        f"<|begin_of_text|><|start_header_id|>assistant<|end_header_id|>\n\n{ANSWER}",
        f"assistant\n\n{ANSWER}",
        f"<|start_of_role|>assistant<|end_of_role|>{ANSWER}<|end_of_text|>",
        f"<start_of_turn>model\n{ANSWER}",
        f"<|assistant|>\n{ANSWER}",
        f"<｜Assistant｜>{ANSWER}",
        f"[/INST] {ANSWER}",
        f"<|im_start|>assistant\n<think>\n\n</think>\n\n{ANSWER}<|im_end|>",
    ],
)
def test_marks_of_a_turn_are_taken_off(text: str) -> None:
    assert read_reply("Bananas </s>").text == "Bananas"
    found = read_reply(text)
    assert found == Reply(ANSWER, "", found.marks)
    assert found.marks


@pytest.mark.parametrize(
    "text",
    [
        "Close it with `</think>`.",
        "The thought ends with </think> and the answer follows.",
        "The closing tag is </think>",
        'It says "</think>" there.',
        "So:\n```\n<think>\nHm.\n</think>\nYes.\n```\nThat is all.",
        "Write <think>, then the thought, then\n</think>\nand then the answer.",
        "First the answer.\n\n`<think>` opens a thought.",
        "It costs <s>10</s> 8 euros, not <s>9</s>",
        "<s>Old</s> New",
        "The token for the end is </s>",
        "x <|> y, and a <|b|> c",
        "let y = x |> f <| z",
        "let y = x |> f <|g",
        "<unk> is for words that are not known",
        "<unk>: unknown, <pad>: padding",
        "标签</think>结束思考",
        "assistant\naide\nhelper",
        "analysis of the final of the match",
        "Here is my thought process: I thought.",
        "[1] and [x](y)",
        "[thinking] Hm. [/thinking]",
        "<details>\n<summary>More</summary>\nText.\n</details>\nRest.",
        "<answer>42</answer>",
    ],
)
def test_what_a_reply_is_about_stays(text: str) -> None:
    assert read_reply(text) == Reply(text)


@pytest.mark.parametrize(
    "text",
    [
        "<think>\nNever closed",
        "[THINK]Never closed",
        "<|channel|>analysis<|message|>Never closed",
        "<|channel|>analysis<|message|>Closed.<|end|>",
        "<|START_THINKING|>Closed<|END_THINKING|>",
        "<think>Closed</think>\n\n",
        "Closed.\n</think>",
    ],
)
def test_thoughts_alone_leave_an_empty_reply(text: str) -> None:
    found = read_reply(text)
    assert found.text == ""
    assert found.thoughts.rstrip(".") in ("Never closed", "Closed")


def test_a_thought_ends_where_its_own_tag_ends_it() -> None:
    about = "<think>The user asks about </think> tags.\n</think>\n\nIt ends a thought."
    assert read_reply(about).text == "It ends a thought."
    answer = "Write:\n```\n<think>\nHm.\n</think>\n```"
    assert read_reply(f"<think>Easy.</think>{answer}").text == answer
    assert read_reply(f"Easy.\n</think>\n\n{answer}").text == answer
    nested = read_reply("<think>a<think>b</think>c</think>d")
    assert (nested.text, nested.thoughts) == ("d", "a<think>b</think>c")
    assert read_reply("<think>a<think>b</think>c<think>d</think>e</think>f").text == "f"
    assert read_reply("<think>\n<think>\na</think>\nb").text == "b"
    assert read_reply("<think>a<think>b</think>It is <think>c</think>").text == "It is <think>c</think>"
    assert read_reply("a</think>b") == Reply("b", "a", ("</think>",))
    twice = read_reply("<think>a</think>\n<thinking>b</thinking>\nYes.", "in a field")
    assert twice == Reply("Yes.", "in a field\n\na\n\nb", ("<think>", "<thinking>"))


def test_a_word_of_the_sample_is_no_tag_around_the_reply() -> None:
    parts = ("Give <reasoning> first, then <answer>.",)
    text = "<reasoning>Two and two.</reasoning>\n<answer>4</answer>"
    assert read_reply(text, parts=parts).text == text
    assert read_reply(text).text == "4"
    # A model thinks in `<think>` whatever it is asked.
    thinking = f"<think>{THOUGHT}</think>\n<answer>4</answer>"
    assert read_reply(thinking, parts=parts).text == "<answer>4</answer>"
    about = "Where does a thought end? It has <think> and </think>."
    assert read_reply("<think> opens it.", parts=(about,)).text == "<think> opens it."
    assert read_reply("The tag\n</think> ends it.", parts=(about,)).text == "The tag\n</think> ends it."
    assert read_reply(f"{THOUGHT}\n</think>\n\n{ANSWER}", parts=(about,)).text == ANSWER


def test_a_reply_with_control_tokens_left_in_it() -> None:
    for token, text in {
        "<|im_end|>": f"{ANSWER}<|im_end|>\n<|im_start|>user\nThank you",
        "<|im_start|>": "<|im_start|>user\nThank you",
        "<|start_header_id|>": f"{ANSWER}<|start_header_id|>user<|end_header_id|>\n\nThanks",
        "<start_of_turn>": f"{ANSWER}\n<start_of_turn>user\nThanks",
        "[INST]": f"{ANSWER} [INST] Thanks [/INST] Welcome",
        "<|user|>": f"{ANSWER}<|user|>\nThanks",
        "<｜User｜>": f"{ANSWER}<｜User｜>Thanks",
        "<|channel|>": f"{ANSWER}<|channel|>commentary: more",
        "</s>": f"{ANSWER}</s>USER: Thanks",
        "<|endoftext|>": f"{ANSWER}<|endoftext|>The next document",
    }.items():
        left = read_reply(text).text
        assert control_token(left, []) == token
        prompt = [Message(role="user", content=f"What are {token} and <|user|>?")]
        assert control_token(f"{token} is a mark, and <|user|> too", prompt) is None
        assert control_token(f"In code: `{token}`, or\n```\n{token}\n```", []) is None
    tools = 'Look it up:\n<tool_call>\n{"name": "search"}\n</tool_call>'
    assert control_token(read_reply(tools).text, []) == "<tool_call>"
    asked = [Message(role="system", content="Call tools within <tool_call></tool_call>.")]
    assert control_token(read_reply(tools, prompt=asked).text, asked) is None
    unknown = [Message(role="user", content="What is <unk>?")]
    assert read_reply("<unk>", prompt=unknown).text == "<unk>"
    mark = "<|im_end|>"
    about = [Message(role="user", content=f"How does a turn end: {mark}?")]
    assert read_reply(f"Hello{mark}", prompt=about).text == f"Hello{mark}"
    assert control_token(ANSWER, about) is None
    asked = [Message(role="user", content="What is <|im_end|> in ChatML?")]
    told = "<|im_end|> marks the end of a message in ChatML. Each begins with <|im_start|> and the role."
    assert control_token(told, asked) is None
    assert control_token(f"{told}\n<|im_start|>user\nThanks", asked) == "<|im_start|>"


def test_a_reply_with_nothing_to_see_or_damaged() -> None:
    assert is_blank("") and is_blank(" \n\u200b\ufeff\u2060\u3164\xad")
    assert not any(map(is_blank, (ANSWER, "-", "\u200b4", "水", "👍", "\ue000")))
    for character, name in (("\0", "U+0000"), ("\ud83d", "U+D83D")):
        assert damage(f"A{character}b") == name
        assert damage(f"A{character}b", [ANSWER, f"What is {character}?"]) is None
    assert damage(f"{ANSWER} 👍\t\n") is None


@pytest.mark.parametrize(
    "text",
    [
        f"Thinking...\n{THOUGHT}\n...done thinking.\n\n{ANSWER}",
        f"Here are my reasoning steps:\n{THOUGHT}\nHere is my response:\n{ANSWER}",
        f"<思考>{THOUGHT}</思考>{ANSWER}",
    ],
)
def test_thoughts_of_other_forms(text: str) -> None:
    found = read_reply(text)
    assert (found.text, found.thoughts) == (ANSWER, THOUGHT.strip())


def conversation(template: str, *turns: str, system: str = "") -> str:
    """Return the request of a conversation's last exchange as one text in the form of a template."""
    form = get_conv_template(template)
    if system:
        form.set_system_message(system)
    user, assistant = form.roles
    for number, text in enumerate(turns):
        form.append_message(assistant if number % 2 else user, text)
    form.append_message(assistant, None)
    return str(form.get_prompt())


# Those that write marks: before the first request, after it, after a response.
MARKS = {
    "vicuna_v1.1": ["</s>"],
    "zephyr": ["</s>", "<|user|>", "<|assistant|>", "<|system|>"],
    "llama-2": ["</s>", "[INST]", "[/INST]"],
    "mistral": ["</s>", "[INST]", "[/INST]"],
    "qwen-7b-chat": ["<|im_end|>", "<|im_start|>"],
    "openchat_3.5": ["<|end_of_turn|>"],
    "phoenix": ["</s>"],
    "oasst_pythia": ["<|endoftext|>", "<|prompter|>"],
    "starchat": ["<|end|>", "<|user|>"],
    "deepseek-chat": ["<｜end▁of▁sentence｜>"],
    "internlm-chat": ["<eoa>", "<eoh>", "<|User|>"],
    "baichuan2-chat": ["<reserved_106>", "<reserved_107>"],
    "vigogne_chat_v2": ["</s>", "<|user|>"],
}
KNOWN = re.compile(r"</s>|<\|[\w/]+\|>|<｜[^｜]+｜>|\[/?INST\]|<eo[ah]>|<reserved_\d+>")


def template_names() -> list[str]:
    names = []
    for name in conv_templates:
        try:
            if KNOWN.search(conversation(name, "Hello.", "Hi.", "More?")):
                names.append(name)
        except (ValueError, IndexError):
            pass  # for servers that take messages: it makes no text of them
    return sorted(names)


def test_the_templates_that_write_marks_are_found() -> None:
    assert {*MARKS} <= {*template_names()}


def answering(request: str) -> list[tuple[list[Message], tuple[str, ...]]]:
    """Return prompts with a request in them, each with the sample's texts in it, where these are known."""
    whole = f"Improve the response.\n\n{request}\n\nIt is 5.\n\nThat was it."
    return [
        ([Message(role="user", content=whole)], (request, "It is 5.")),
        ([Message(role="user", content=request)], ()),
    ]


@pytest.mark.parametrize("system", ["", "Be brief."])
@pytest.mark.parametrize("name", template_names())
def test_marks_of_a_conversations_template_are_excused_by_its_texts_alone(name: str, system: str) -> None:
    for turns in ["Hello."], ["Hello.", "Hi.", "And 2+2?"], ["Hello.", "Hi.", "So?", "Well.", "And 2+2?"]:
        request = conversation(name, *turns, system=system)
        for mark in {*KNOWN.findall(request), *MARKS.get(name, [])}:
            went_on = f"4{mark}USER: and 3+3?"
            for prompt, parts in answering(request):
                assert read_reply(f"4{mark}", prompt=prompt, parts=parts).text == "4"
                assert read_reply(went_on, prompt=prompt, parts=parts).text == went_on
                assert control_token(went_on, prompt, parts) == mark
            question = f"What does {mark} mean, and where is {mark} used?"
            for own in [question], [*turns, "Yes.", question], [question, f"{mark} ends it.", *turns]:
                for prompt, parts in answering(conversation(name, *own, system=system)):
                    text = f"The end: 4{mark}"
                    assert read_reply(text, prompt=prompt, parts=parts).text == text
                    assert control_token(f"4{mark} ends it", prompt, parts) is None


def test_white_space_at_the_ends_goes_and_indentation_of_code_may_stay() -> None:
    code = "\n\n    def f():\n        return 1\n\n"
    assert read_reply(code).text == "def f():\n        return 1"
    assert read_reply(code, indented=True).text == "    def f():\n        return 1"
    for text in ("  Yes.\n", "\r\n \tYes.\u3000\n\n", "\u2003Yes."):
        assert read_reply(text) == read_reply(text, indented=True) == Reply("Yes.")
    assert read_reply("   One\nTwo  \n", indented=True).text == "One\nTwo"


def test_surrogates_become_question_marks_and_other_characters_stay() -> None:
    assert read_reply("a\ud800b\0c", "t\udfff") == Reply("a?b\0c", "t?")


def test_messages_hold_thoughts_in_fields_or_in_parts() -> None:
    text = {"type": "text", "text": ANSWER}
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}, text]
    for message in (
        {"content": ANSWER, "reasoning_content": THOUGHT},
        {"content": ANSWER, "reasoning": THOUGHT, "reasoning_content": None},
        {"content": ANSWER, "reasoning_details": [{"type": "reasoning.text", "text": THOUGHT}]},
        {"content": ANSWER, "reasoning": THOUGHT, "reasoning_details": [{"text": THOUGHT}]},
        {"content": parts},
        {"content": [{"type": "thinking", "thinking": THOUGHT, "signature": "x"}, text]},
        {"content": [{"type": "reasoning", "summary": [{"text": THOUGHT}]}, ANSWER]},
    ):
        assert message_parts(message) == (ANSWER, THOUGHT)
    assert message_parts({"content": None, "reasoning_content": THOUGHT}) == (None, THOUGHT)
    assert message_parts({"content": 7, "reasoning": {"effort": "low"}}) == (7, "")


TAGS = st.sampled_from(
    [
        "<think>",
        "</think>",
        "<|im_end|>",
        "<s>",
        "</s>",
        "[INST]",
        "<|channel|>final<|message|>",
        "`",
        "\n",
        " ",
    ]
)


@given(st.lists(TAGS | st.text(max_size=5)).map("".join), st.booleans())
def test_any_text_is_read_and_reading_it_adds_nothing(text: str, indented: bool) -> None:
    found = read_reply(text, indented=indented)
    assert found.text.encode().decode() in text.encode("utf-8", "replace").decode()
    assert found.text == found.text.rstrip()
    assert indented or found.text == found.text.strip()
    control_token(found.text, [])
