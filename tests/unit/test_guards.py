"""The guards: what they refuse, and what they let pass."""

import asyncio
import time
from typing import Any

import pytest
from langgraph.runtime import Runtime

from graph.conversation import request_of
from graph.settings import Settings
from graph.state import RequestAndResponse
from nodes.guards.instructions import read_instructions
from nodes.guards.loop import is_loop
from nodes.guards.node import guards
from nodes.guards.order import own_text, refused_by
from nodes.guards.refusal import is_refusal
from nodes.settings import AgentSettings
from prompts.method import MODES
from prompts.pack import load_pack

REQUEST = "Which river flows through Cologne, and where does it end?"
RESPONSE = "The Rhine flows through Cologne. It ends in the North Sea."
ANSWER = (
    "The Rhine flows through Cologne, in the west of Germany. From there it turns to the northwest, crosses "
    "the border to the Netherlands, and ends in the North Sea, near Rotterdam."
)
ZH_REQUEST = "科隆位于哪条河边？这条河流向哪里？"
ZH_RESPONSE = "科隆位于莱茵河畔，莱茵河流入北海。"
ZH_ANSWER = "科隆位于德国西部的莱茵河畔。莱茵河从这里向西北流去，经过荷兰，在鹿特丹附近流入北海。"

TOLD = read_instructions(
    [
        "You improve a data set. Write a better response to the request than the one above, with the help of "
        "the suggestions. Reply with the text of the response alone, in the language of the request.",
        "- Correct: facts, reasoning, calculations and code are right; nothing is made up.\n"
        "- To the request: it does every part of what is asked, within every limit that is set.",
        "请根据下面的建议改写上面的回答，只输出改写后的正文，不要添加任何说明或标题。",
    ]
)


def guard(draft: str, request: str = REQUEST, response: str = RESPONSE) -> str | None:
    return asyncio.run(refused_by(draft, request, response, TOLD))


def zh_guard(draft: str) -> str | None:
    return guard(draft, ZH_REQUEST, ZH_RESPONSE)


REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I'm sorry, but I can’t assist with that request.",
    "I am sorry, but I cannot provide an answer to this question.",
    "Sorry, I can't help with this.",
    "I apologize, but I am unable to answer that question.",
    "I apologise, but I'm not able to fulfil this request.",
    "Unfortunately, I cannot assist you with this.",
    "My apologies, but I can't continue with this conversation.",
    "As an AI language model, I cannot provide geographical advice.",
    "As an AI, I am not able to discuss this topic.",
    "As a large language model trained by OpenAI, I cannot answer this.",
    "As a responsible AI assistant, I must decline to answer.",
    "I cannot fulfill your request.",
    "I can't help with that. Is there anything else you would like to know?",
    "I must respectfully decline this request.",
    "I won't be able to help with that request.",
    "I'm afraid I cannot comply with this request.",
    "I'm not comfortable answering this question, and I will not help with it.",
    "Your request goes against the policies that I have to follow.",
    "That's not something I can help with.",
    "I'm not able to discuss this topic.",
    "Sorry, that is beyond what I can do.",
    "Es tut mir leid, aber ich kann diese Frage nicht beantworten.",
    "Leider kann ich dabei nicht helfen.",
]
ZH_REFUSALS = [
    "抱歉，我无法回答这个问题。",
    "对不起，我不能提供这方面的帮助。",
    "很抱歉，我无法满足您的请求。",
    "非常抱歉，作为一个人工智能语言模型，我无法回答这个问题。",
    "作为一个AI语言模型，我不能提供相关内容。",
    "我无法协助您完成这个请求。",
    "很遗憾，我不便讨论这个话题。",
    "您的请求违反了我的使用规定。",
    "作为AI语言模型，我没有能力完成这个任务。",
]


@pytest.mark.parametrize("draft", REFUSALS)
def test_a_refusal(draft: str) -> None:
    assert guard(draft) == "refusal"
    assert guard(draft, response="I'm sorry, but I cannot answer that.") != "refusal"  # it was one before


@pytest.mark.parametrize("draft", ZH_REFUSALS)
def test_a_chinese_refusal(draft: str) -> None:
    assert zh_guard(draft) == "refusal"


@pytest.mark.parametrize(
    ("draft", "request_"),
    [
        ("I'm sorry, but I can't attend the meeting on Friday.", "Write an excuse for missing a meeting."),
        ("I cannot see the picture, but the Rhine flows through Cologne.", REQUEST),
        ("I can't browse the internet, so I cannot provide today's level; in autumn it is low.", REQUEST),
        ("Sorry seems to be the hardest word, Elton John sang in 1976.", "Name a song."),
        ("The bank cannot help you with that: ask the post office.", "Where do I get stamps?"),
        (f"{ANSWER} " * 6 + "I'm sorry, but I can't help with more.", REQUEST),
        ("抱歉，我无法打开图片，请提供文字说明。", ZH_REQUEST),
        (
            "Unfortunately, I can't help falling in love with you is no song of theirs.",
            "Is it a Beatles song?",
        ),
        (
            "I'm sorry, I can't assist you today.",
            "Translate into English as an apology: 抱歉，今天我帮不了你。",
        ),
    ],
)
def test_no_refusal(draft: str, request_: str) -> None:
    assert not is_refusal(draft, request_, RESPONSE)


LOOPS = [
    f"{RESPONSE}\n\n{RESPONSE}",
    f"{RESPONSE} " * 3,
    f"{ZH_RESPONSE}{ZH_RESPONSE}",
    ANSWER + " And so on and so on" * 30,
    ANSWER + " It ends in the North Sea." * 12,
    ANSWER + "\n" + "The Rhine is a river in Germany.\n" * 15,
    "The river is long. " * 12 + "The river is",
    "Cologne Cologne Cologne " * 30,
    "very " * 120,
    ANSWER + " the the the the" * 40,
    ANSWER + "\n" + "".join(f"{n}. The Rhine flows through Cologne.\n" for n in range(1, 21)),
    ANSWER + "\n" + "- The Rhine ends in the North Sea.\n" * 14,
    "The Rhine, which is the river, which is the Rhine, " * 12,
    ANSWER + " Note that it is a long river and has many bridges." * 5,
    (ANSWER + "\n\n") * 5,
    "It is important to note that it is important to note that " * 9,
    ANSWER
    + "".join(
        ("It is long. It is a big river. ", "It is a big river. It is long. ")[n % 3 % 2] for n in range(20)
    ),
    "I hope so I hope so " * 20,
    ANSWER + " North Sea, North Sea, North Sea," * 20,
    "莱茵河流入北海。" * 20,
    "科隆位于莱茵河畔，" * 30,
    ZH_ANSWER + "非常长" * 40,
    ZH_ANSWER + "\n" + "这条河很长，很美丽。\n" * 15,
    ZH_ANSWER + "".join(f"{n}、莱茵河是德国的一条河流。\n" for n in range(1, 20)),
]


@pytest.mark.parametrize("draft", LOOPS)
def test_a_loop(draft: str) -> None:
    request, response = (REQUEST, RESPONSE) if draft.isascii() else (ZH_REQUEST, ZH_RESPONSE)
    assert guard(draft, request, response) == "loop"
    assert not is_loop(draft, request, draft + " ")  # it was one before


@pytest.mark.parametrize(
    ("draft", "request_"),
    [
        (ANSWER, REQUEST),
        ("Ha ha ha ha ha ha ha ha ha ha ha ha ha ha ha! That was a good one.", "Laugh."),
        ("ha " * 30, "Laugh."),
        ("\n".join(f"| {n} | {n * n} |" for n in range(1, 40)), "Make a table of squares."),
        ("| a | b |\n|---|---|\n" + "| 0 | 0 |\n" * 30, "Make an empty table."),
        ("```\n" + "print('hello')\n" * 20 + "```", "Write a program that greets."),
        ("All work and no play makes Jack a dull boy.\n" * 30, "Repeat the sentence of Jack 30 times."),
        ("0, 0, 0, 0, " * 30, "List a hundred zeros."),
        ("\n".join(f"{n} x 7 = {n * 7}" for n in range(1, 60)), "What are the multiples of seven?"),
        ("\n".join(f"- The river in city {n} is clean." for n in range(30)), "Describe thirty cities."),
        ("Row, row, row your boat,\nGently down the stream.\n" * 2, "A round."),
        ("We shall not be moved.\nJust like a tree.\nWe shall not be moved.\n" * 3, "Something to sing."),
        ("=" * 400, "Draw a line."),
        ("Let it be, let it be, let it be, let it be.", "How does it go?"),
        ("哈哈哈哈哈哈哈哈哈哈哈哈", "笑一个。"),
    ],
)
def test_no_loop(draft: str, request_: str) -> None:
    assert not is_loop(draft, request_, "")


LEAKS = [
    "This response meets all the criteria for being good training data: it is correct, does every "
    "part of what is "
    "asked, and is complete. The Rhine.",
    "As the editor, I changed the second sentence. The Rhine flows through Cologne.",
    "Based on the suggestions, the Rhine flows through Cologne.",
    "The Rhine. This revised response is more complete than the one above.",
    "Following the suggestions above, the answer names the North Sea.",
    "The revised response now says where the river ends: in the North Sea.",
    "Facts, reasoning, calculations and code are right; nothing is made up. The Rhine flows through Cologne.",
    "Write a better response to the request than the one above: the Rhine.",
    "The Rhine. Reply with the text of the response alone, in the language of the request.",
    "It does every part of what is asked, within every limit that is set. The Rhine ends in the North Sea.",
    "Your role: editor. The Rhine flows through Cologne.",
    "The original response was short, so here is more: the Rhine ends in the North Sea.",
    "My task is to rewrite what the assistant said. The Rhine.",
    "The Rhine flows through Cologne. This response is accurate and would be good training data.",
    "The critical debater is right: the mouth was missing. It is in the North Sea.",
    "Incorporating your suggestions: the Rhine, which ends in the North Sea.",
    "<suggestions>\nName the sea.\n</suggestions>\nThe Rhine ends in the North Sea.",
    "Response 1 is shorter. The Rhine flows through Cologne.",
    "The Rhine flows through Cologne. The first suggestion is followed in the second sentence.",
    "The updated answer includes the mouth of the river, the North Sea.",
    "You improve a data set; write a better response to the request than the one above, with the help of the "
    "suggestions: the Rhine.",
    f"{ANSWER}\nThis response accurately divides the input into two paragraphs as requested while also "
    "providing additional context. It follows the suggestions provided and asks for no more than text.",
    f"{ANSWER} " * 4 + "\n\nThis response addresses the request and follows the suggestions.",
    "The thought of her being so brave made me smile.\nThis sentence is already clear. No rephrasing is "
    "necessary. The response provided does not address the clarity issue requested by the assistant.",
    "The assistant's answer already names the river, but it should mention the sea.",
    "The response is clear, but it should mention the sea.",
    "The current response is accurate but does not mention the sea.",
    "The Rhine.\n\nThis is a better response because it names the sea.",
    "Overall, this response provides a clear and concise answer to the user's question.",
    "The answer provided is correct but lacks detail.",
    "No changes are needed. The response is already clear and accurate.",
    "Suggestion 1: Name the sea. Suggestion 2: Name the country.",
    "Okay, the user wants a better answer. Let me write it.\n\nThe Rhine.",
    "Hmm, so the user is asking about a river. I should name the sea.\n\nThe Rhine.",
    "The user asks for a river, and I need to name the sea too.\n\nThe Rhine.",
    "We need to write a better response. The Rhine.",
    f"{ANSWER} USER: and what else? ASSISTANT: Nothing.",
    f"{ANSWER}</s>USER: And the Elbe, where does that one end?",
    f"{ANSWER}\n### Human: and what else?\n### Assistant: Nothing.",
    f"{ANSWER}\n\nUser: And what else is there?\nAssistant: A bridge.",
    f"{ANSWER}\n\n**Human:** And the Elbe?",
]
ZH_LEAKS = [
    "作为编辑，我补充了河口。科隆位于莱茵河畔。",
    "根据上述建议，科隆位于莱茵河畔，河流入北海。",
    "修改后的回答更加完整：莱茵河流入北海。",
    "科隆位于莱茵河畔。该回答符合要求，是优质的训练数据。",
    "请根据下面的建议改写上面的回答，只输出改写后的正文。科隆位于莱茵河畔。",
    "原回答没有说明河口，这里补充：北海。",
    "当前回复准确,但是没有提到河口。",
    "好的，用户想要一个更好的回答。我需要补充河口。\n\n科隆位于莱茵河畔。",
    "科隆位于莱茵河畔。\n用户：还有呢？\n助手：没有了。",
    "科隆位于莱茵河畔。该版本增加了更多细节。",
]


@pytest.mark.parametrize("draft", LEAKS)
def test_repeated_instructions(draft: str) -> None:
    assert guard(draft) == "instructions"
    assert guard(draft, response=f"{draft} More.") is None  # it was there before


@pytest.mark.parametrize("draft", ZH_LEAKS)
def test_repeated_instructions_in_chinese(draft: str) -> None:
    assert zh_guard(draft) == "instructions"


@pytest.mark.parametrize(
    ("draft", "request_"),
    [
        (
            "A good prompt says: reply with the text of the response alone.",
            "How do I write a prompt? Give one.",
        ),
        ("Write in the language of the request.", "Give one rule for assistants."),
        ("As a judge, she had to decide within a week.", "Tell me about the judge in the story."),
        ("The committee took up the suggestions of the citizens.", "What did the committee do?"),
        (
            "The answer is 42. The first answer was wrong because of a sign.",
            "Review my two answers: 41 and 42.",
        ),
        ("The model needs good training data.", "What does machine learning need?"),
        ("Follow the instructions on the box.", "How do I build it?"),
        *(
            (draft, "Tell me about it, please.")
            for draft in (
                "HTTP works by exchanging messages. The response includes a status line and headers.",
                "A server sends a response. This response accurately describes the page as requested.",
                "B cells make antibodies. The response takes about a week.",
                "The response variable is plotted on the y axis.",
                "The response is sent to the client that made the request.",
                "The improved response of the brakes makes driving safer.",
                "The initial response of the government was slow.",
                "The current version is 3.12. The new version removes distutils and improves error messages.",
                "The original version was released in 1961 by the Marvelettes.",
                "The first draft of the Declaration was written by Jefferson.",
                "The draft was abolished in 1973.",
                "This draft horse weighs a ton.",
                "Follow the suggestions of your doctor, and rest.",
                "Drink water and sleep early. Following these suggestions, you will sleep better.",
                "The first suggestion is to sleep more.",
                "The debate between Lincoln and Douglas drew thousands.",
                "Use `++x` in the loop. This version is faster because it avoids a copy.",
                "Three times four is twelve, so this is right. This answer is correct.",
                "This response is comprehensive, involving both T cells and antibodies.",
                "The reply came by telegram; it answered all questions.",
                "The revision of the treaty addressed the issues raised by smaller states.",
                "The draft meets the requirements of the constitution and went to parliament.",
                "The original response was vague, and reporters pressed on.",
                "This answer satisfies all the requirements: x = 3.",
                "The response to the crisis was well-organized.",
                "The new version improves the flow of traffic and adds details to maps.",
                "Well, the user needs a password to enter.",
                "He served as a judge for twelve years, and she worked as an editor.",
                "My role as a nurse is to care for patients.",
                "Large models need a lot of training data.",
                "First, the user opens the settings. The user wants a simple page, so designers test early.",
                "- User: someone who reads\n- Admin: someone who writes",
                "USER: the account name\nPASSWORD: the secret",
                "Human: 46 chromosomes\nChimpanzee: 48 chromosomes",
                "```python\nname = input('User: ')\n# User: who?\n# Assistant: nobody\n```",
            )
        ),
        ("User: Where is the Rhine?\nAssistant: In Germany.", "Write a dialog of a user and an assistant."),
        *(
            (draft, "请介绍一下。")
            for draft in (
                "根据建议，每天应摄入两升水。",
                "该响应会被缓存。",
                "新版本增加了离线模式。",
                "早睡早起，多喝水。根据以上建议，你会睡得更好。",
                "这个回答让他很生气。",
                "这个版本更加完整，收录了全部八十回。",
                "本答复符合法律规定。",
                "按照这些建议，你可以提高睡眠质量。",
            )
        ),
    ],
)
def test_no_repeated_instructions(draft: str, request_: str) -> None:
    before = "Something else that was said before." if request_.isascii() else "之前说过的别的话。"
    assert guard(draft, request_, before) is None


ADVICE = [
    "1. Mention that it ends in the North Sea. 2. Add the name of the country.",
    "- Name the sea that the Rhine ends in.\n- The answer should say where Cologne is.",
    "1. 建议补充河流的长度和它流经的国家。\n2. 说明科隆在德国的哪个部分。",
]


@pytest.mark.parametrize("advice", ADVICE)
def test_suggestions_as_the_draft(advice: str) -> None:
    request, response = (REQUEST, RESPONSE) if advice.isascii() else (ZH_REQUEST, ZH_RESPONSE)

    def refused(draft: str, suggestions: str) -> str | None:
        return asyncio.run(refused_by(draft, request, response, TOLD, suggestions=suggestions))

    assert refused(advice, advice) == "instructions"
    assert refused(f"Suggestions:\n{advice}", advice) == "instructions"
    assert refused(advice, "") is None
    # An advisor may write the answer out.
    answer = ANSWER if advice.isascii() else ZH_ANSWER
    assert refused(answer, f"{advice}\n{answer}") is None
    assert refused(answer, answer) is None


@pytest.mark.parametrize("template", ["vicuna_v1.1", "zero_shot", "alpaca", "llama-2", "chatglm"])
def test_words_of_the_template_are_not_the_request(template: str) -> None:
    for system in ("", "用一句话回答。"):
        settings = Settings(conversation_template=template)
        turns = [RequestAndResponse(request=ZH_REQUEST, response=ZH_RESPONSE, fixed=False)] * 2
        request = request_of(turns, 1, system, settings)
        state = {
            "draft": ANSWER,
            "response": ZH_RESPONSE,
            "suggestions": "-",
            "round": 1,
            "rounds": [],
            "input": "",
            "system": request.get("system", ""),
            "instruction": request["instruction"],
        }

        def ending(draft: str, state: Any = state, settings: Settings = settings) -> str | None:
            runtime = Runtime(context=settings)
            drafted: Any = {**state, "draft": draft}
            result = asyncio.run(guards(MODES["evolve"])(drafted, runtime=runtime))
            ended: str | None = result.get("ending")
            return ended

        assert ending(ANSWER) == "guard_language"
        assert ending(f"{ZH_ANSWER} USER: 还有呢？ ASSISTANT: 没有了。") == "guard_instructions"
        assert ending("科隆位于莱茵河畔。This response follows the suggestions.") == "guard_instructions"
        assert ending(ZH_ANSWER) is None


def test_a_plain_request_is_its_own_text() -> None:
    assert own_text(REQUEST, "vicuna_v1.1") == ("", REQUEST)
    assert own_text("USER: what?", "vicuna_v1.1") == ("", "USER: what?")
    assert own_text(REQUEST, "") == ("", REQUEST)


def test_an_english_system_prompt_does_not_call_for_english() -> None:
    system = "You are a helpful and honest assistant. Think before you write, and keep it short."

    def refused(draft: str, system: str) -> str | None:
        return asyncio.run(refused_by(draft, ZH_REQUEST, ZH_RESPONSE, TOLD, system))

    assert refused(ANSWER, system) == "language"
    assert refused(ANSWER, f"{system} Reply in English.") is None
    assert refused(ZH_ANSWER, system) is None


@pytest.mark.parametrize("pack", ["default", "classic"])
@pytest.mark.parametrize("mode", MODES)
def test_a_line_of_any_prompt_is_refused(pack: str, mode: str) -> None:
    """Whatever the pack and the persona: the texts are those that its templates render."""
    from nodes.guards.instructions import instructions_of

    settings = AgentSettings(
        editor_persona="You are Quentin, who writes plain sentences about rivers and boats."
    )
    told = instructions_of(load_pack(pack), settings, MODES[mode])
    (message,) = (
        message["content"]
        for message in load_pack(pack).render(
            MODES[mode].editor,
            persona=settings.editor_persona,
            system="",
            instruction=REQUEST,
            input="",
            response=RESPONSE if MODES[mode].shows_response else None,
            suggestions="Name the sea." if "suggestions" in MODES[mode].shown("editor") else None,
        )
        if message["role"] == "user"
    )
    lines = [
        line for line in message.splitlines() if len(line.split()) > 11 and line not in (REQUEST, RESPONSE)
    ]
    assert lines
    for line in lines:
        leaked = asyncio.run(refused_by(f"The Rhine. {line}", REQUEST, RESPONSE, told))
        assert leaked == "instructions", line
    persona = "I am Quentin, who writes plain sentences about rivers and boats. The Rhine."
    assert asyncio.run(refused_by(persona, REQUEST, RESPONSE, told)) == "instructions"
    assert asyncio.run(refused_by(ANSWER, REQUEST, RESPONSE, told)) is None


CHATTER = [
    "I have incorporated the suggestions and improved clarity. The Rhine.",
    f"Certainly! Here is the answer:\n\n{ANSWER}",
    f"Sure! Here's a more detailed answer to your question:\n\n{ANSWER}",
    f"Of course! Below is a rewritten response that addresses the feedback:\n\n---\n\n{ANSWER}",
    f"Absolutely, here is an improved answer:\n{ANSWER}",
    f"Here is a rewritten version that takes up what you said:\n\n{ANSWER}",
    f"Here's an improved response, with the mouth of the river.\n\n{ANSWER}",
    f"I have revised the response to make it clearer.\n\n{ANSWER}",
    f"I've rewritten the answer as you asked:\n\n{ANSWER}",
    f"Okay, let me answer that:\n\n{ANSWER}",
    f"Thank you for your question! Here is what I found:\n\n{ANSWER}",
    f"{ANSWER}\n\nI hope this helps! Let me know if you have any other questions.",
    f"{ANSWER} I hope this helps!",
    f"{ANSWER}\n\nThis version adds detail and fixes the tone.",
    f"{ANSWER}\n\nThis revised version keeps the facts and is easier to read.",
    f"{ANSWER}\n\nNote: I have revised the second sentence.",
    f"{ANSWER}\n\n(Note: This version is shorter than the original.)",
    f"{ANSWER}\n\nFeel free to ask if you need more details.",
    f"{ANSWER}\n\nLet me know if you would like me to add anything.",
    f"{ANSWER}\n\nIf you have any further questions, please let me know.",
    f"{ANSWER}\n\nChanges: added the country and the port.",
    f"{ANSWER}\n\nChanges made: added the country and the port.",
    f"{ANSWER}\n\nI made a few changes to the wording.",
    f"{ANSWER}\n\n---\n\n*I added the name of the port.*",
    f"{ANSWER}\n\nWould you like me to tell you more about the Rhine?",
]
ZH_CHATTER = [
    f"好的，以下是回答：\n\n{ZH_ANSWER}",
    f"当然可以！下面是更详细的回答：\n{ZH_ANSWER}",
    f"以下是我根据您的要求重写的版本\n\n{ZH_ANSWER}",
    f"{ZH_ANSWER}\n\n希望对你有帮助！",
    f"{ZH_ANSWER}\n\n希望以上回答能帮到您。",
    f"{ZH_ANSWER}\n\n如果您还有其他问题，请随时告诉我。",
    f"{ZH_ANSWER}\n\n注：我修改了第二句的措辞。",
    f"{ZH_ANSWER}\n\n该版本增加了更多细节。",
]


@pytest.mark.parametrize("draft", CHATTER)
def test_chatter(draft: str) -> None:
    assert guard(draft) in ("chatter", "instructions")
    assert guard(draft, response=draft.replace("Rhine", "Elbe")) is None  # it was there before


@pytest.mark.parametrize("draft", ZH_CHATTER)
def test_chinese_chatter(draft: str) -> None:
    assert zh_guard(draft) in ("chatter", "instructions")


@pytest.mark.parametrize(
    ("draft", "request_"),
    [
        ("Here are three rivers:\n\n1. Rhine\n2. Elbe\n3. Oder", "Name three rivers."),
        ("Certainly. The Rhine flows through Cologne.", REQUEST),
        (
            "Dear Ms Kern,\n\nthe files are attached. Please let me know if you have questions.",
            "Write an email.",
        ),
        ("Here is the corrected sentence: The river is long.", "Correct this: The river are long."),
        ("Please let me know if Tuesday works for you.", "Rephrase politely: tell me if tuesday ok"),
        (
            "The plan is set. Please let me know if Tuesday works for you.",
            "Rephrase politely: plan set, tell me if tuesday ok",
        ),
        (
            "I scrubbed it, and it got worse.\n\nI added some vinegar. That was the end of it.",
            "What did you do?",
        ),
        ("It is faster.\n\nThis version is free, and the new version has an offline mode.", "Is it good?"),
        ("Note: all lengths are rounded.", REQUEST),
        ("This helps to keep the water clean.", REQUEST),
        ("The new bridge is longer than the old one.", REQUEST),
        ("以下是三条河流：\n1. 莱茵河\n2. 易北河\n3. 奥得河", "列出三条德国的河流。"),
        ("注意：河水很深。", "去河边要注意什么？"),
    ],
)
def test_no_chatter(draft: str, request_: str) -> None:
    assert guard(draft, request_, "Something else that was said before.") is None


OTHER_LANGUAGES = [
    "科隆位于德国西部的莱茵河畔。莱茵河从这里向西北流去，经过荷兰，在鹿特丹附近流入北海。这条河全长一千二百多公里，沿岸有许多城市。",
    "ケルンはドイツ西部のライン川沿いにあります。川はここから北西へ流れ、オランダを通って北海に注ぎます。全長は千二百キロメートル以上です。",
    "쾰른은 독일 서부 라인강변에 있습니다. 강은 여기에서 북서쪽으로 흘러 네덜란드를 지나 북해로 들어갑니다.",
    "Кёльн расположен на берегу Рейна, на западе Германии. Отсюда река поворачивает на северо-запад "
    "и впадает в море.",
    "Η Κολωνία βρίσκεται στις όχθες του Ρήνου, στη δυτική Γερμανία. Ο ποταμός εκβάλλει στη Βόρεια "
    "Θάλασσα, στην Ολλανδία.",
    "تقع كولونيا على ضفاف نهر الراين في غرب ألمانيا، ومن هناك يتجه النهر إلى الشمال الغربي ويصب في "
    "بحر الشمال قرب روتردام.",
    "קלן שוכנת על גדות נהר הריין במערב גרמניה. משם פונה הנהר לצפון מערב ונשפך אל הים הצפוני ליד "
    "רוטרדם שבהולנד.",
    "कोलोन पश्चिमी जर्मनी में राइन नदी के किनारे स्थित है। यहाँ से नदी उत्तर पश्चिम की ओर मुड़ती है "
    "और उत्तरी सागर में गिरती है।",
    "เมืองโคโลญตั้งอยู่ริมแม่น้ำไรน์ทางตะวันตกของเยอรมนี จากนั้นแม่น้ำไหลไปทางตะวันตกเฉียงเหนือและลงสู่ทะเลเหนือ",
    "Köln liegt am Rhein, im Westen von Deutschland. Von hier fließt der Strom nach Nordwesten, "
    "überquert die Grenze zu "
    "den Niederlanden und mündet in der Nähe von Rotterdam in die Nordsee.",
    "Cologne se trouve au bord du Rhin, dans l'ouest de l'Allemagne. De là, le fleuve coule vers le "
    "nord-ouest, traverse "
    "les Pays-Bas et se jette dans la mer du Nord près de Rotterdam.",
    "Colonia está a orillas del Rin, en el oeste de Alemania. Desde allí el río sigue hacia el "
    "noroeste, cruza los Países "
    "Bajos y desemboca en el mar del Norte, cerca de Róterdam.",
    "Colonia si trova sulle rive del Reno, nella Germania occidentale. Da lì il fiume scorre verso "
    "nord-ovest, attraversa "
    "i Paesi Bassi e sfocia nel mare del Nord vicino a Rotterdam.",
    "Colônia fica às margens do rio Reno, no oeste da Alemanha. Dali o rio segue para o noroeste, "
    "atravessa os Países "
    "Baixos e deságua no mar do Norte, perto de Roterdã.",
    "Keulen ligt aan de Rijn, in het westen van Duitsland. Van daaruit stroomt de rivier naar het "
    "noordwesten, steekt de "
    "grens met Nederland over en mondt bij Rotterdam uit in de Noordzee.",
    "Köln ligger vid floden Rhen i västra Tyskland. Därifrån rinner floden mot nordväst, passerar "
    "gränsen till "
    "Nederländerna och mynnar ut i Nordsjön i närheten av Rotterdam.",
    "Kolonia leży nad Renem, w zachodnich Niemczech. Stąd rzeka płynie na północny zachód, "
    "przekracza granicę z Holandią "
    "i uchodzi do Morza Północnego w pobliżu Rotterdamu.",
    "Köln, Almanya'nın batısında Ren Nehri kıyısında yer alır. Nehir buradan kuzeybatıya doğru akar, "
    "Hollanda sınırını "
    "geçer ve Rotterdam yakınlarında Kuzey Denizi'ne dökülür.",
    "Köln nằm bên bờ sông Rhine, ở miền tây nước Đức. Từ đây dòng sông chảy về hướng tây bắc, qua "
    "biên giới Hà Lan và đổ "
    "ra Biển Bắc gần thành phố Rotterdam.",
    "Kota Köln terletak di tepi Sungai Rhein, di bagian barat Jerman. Dari sana sungai itu mengalir "
    "ke arah barat laut, "
    "melewati perbatasan Belanda dan bermuara di Laut Utara dekat Rotterdam.",
    "Köln sijaitsee Reinin rannalla Länsi-Saksassa. Sieltä joki kääntyy luoteeseen, ylittää "
    "Alankomaiden rajan ja laskee "
    "Pohjanmereen lähellä Rotterdamin kaupunkia.",
    "Kolín nad Rýnem leží na západě Německa. Odtud řeka teče na severozápad, překračuje hranici s "
    "Nizozemskem a vlévá se "
    "do Severního moře nedaleko města Rotterdam.",
]


@pytest.mark.parametrize("draft", OTHER_LANGUAGES)
def test_another_language(draft: str) -> None:
    response = (
        f"{RESPONSE} It comes from the Alps, and there are many castles along its banks and many old towns."
    )
    assert guard(draft, response=response) == "language"
    assert guard(draft, f"{REQUEST} Answer in the language of your choice.", response) is None
    assert guard(draft, f"{REQUEST} Translate the answer.", response) is None


@pytest.mark.parametrize("draft", [*OTHER_LANGUAGES[1:9:2], ANSWER, *OTHER_LANGUAGES[9:12]])
def test_another_language_than_chinese(draft: str) -> None:
    assert zh_guard(draft) == "language"
    assert guard(draft, "用英语回答：科隆位于哪条河边？", ZH_RESPONSE) is None


@pytest.mark.parametrize(
    ("draft", "request_", "response"),
    [
        (OTHER_LANGUAGES[9], OTHER_LANGUAGES[9][:60], ANSWER),  # the request's
        (OTHER_LANGUAGES[9], REQUEST, OTHER_LANGUAGES[9][40:]),  # the current response's
        ("print('Hallo Welt')\nfor i in range(10):\n    print(i)", "写一个打印十个数字的程序。", "print(1)"),
        (
            "def total(numbers):\n    # Check the input first, since it may be anything\n"
            "    if not isinstance(numbers, list):\n        raise TypeError('a list of numbers is needed')\n"
            "    for number in numbers:\n        print(number)",
            "编辑给定的代码以添加错误处理。",
            "数字的总和。",
        ),
        ("Der Rhein.", REQUEST, RESPONSE),  # too short to tell
        ("The chemical formula is C6H12O6; pH 7.4, Na+, K+, Cl-, HCO3-.", REQUEST, RESPONSE),
        (ANSWER + "\n\n莱茵河", REQUEST, RESPONSE),
        (
            "《红楼梦》又名 Dream of the Red Chamber 或 The Story of the Stone，作者是曹雪芹。",
            ZH_REQUEST,
            ZH_RESPONSE,
        ),
        (ANSWER, "Qué río pasa por Colonia?", ANSWER.upper()),
        (
            "SELECT name, length FROM rivers WHERE city = 'Köln' ORDER BY length DESC;",
            "查询河流。",
            "SELECT 1;",
        ),
    ],
)
def test_no_other_language(draft: str, request_: str, response: str) -> None:
    assert guard(draft, request_, response) is None


@pytest.mark.parametrize(
    "draft",
    [
        RESPONSE,
        f"\n{RESPONSE}\n",
        RESPONSE.replace(" ", "  "),
        RESPONSE.replace(". ", ".\n\n"),
        f"{RESPONSE}\u3000",
    ],
)
def test_unchanged(draft: str) -> None:
    assert guard(draft) == "unchanged"


def test_unchanged_in_another_spelling_of_unicode() -> None:
    assert guard("Cafe\u0301 au lait.", response="Café au lait.") == "unchanged"
    assert guard("Cafe au lait.", response="Café au lait.") is None
    assert guard(RESPONSE.lower()) is None
    assert guard("Rhine", response="") is None


@pytest.mark.parametrize(
    "nasty",
    [
        *(
            "a",
            "a ",
            "\n",
            "the suggestions ",
            "sure! ",
            "thank you ",
            "I cannot ",
            "```\n",
            "<",
            "好的，",
            "edit",
        ),
        *("USER: ", "this response. ", "hmm, "),
        *("response ", "as the ", "[", "| ", "1. ", "for the ", "希望", "write a better response to the "),
    ],
)
def test_a_megabyte_takes_no_longer_than_its_length(nasty: str) -> None:
    draft = nasty * (1_000_000 // len(nasty))
    started = time.process_time()
    for text in (draft, f"Yes: {draft} and more.", f"{ANSWER} {draft}\n\nI hope {draft[:400]}"):
        guard(text, draft, draft[:-3])
        guard(text)
    assert time.process_time() - started < 30  # seconds rather than hours


@pytest.mark.parametrize(
    ("kind", "draft"),
    [
        ("instructions", "..."),
        ("instructions", "No changes needed."),
        ("instructions", "The response is already good and needs no changes."),
        ("instructions", "No suggestions were provided, so I cannot revise."),
        ("instructions", "Please provide the request and response so that I can help."),
        ("instructions", REQUEST),
        ("instructions", f"Suggestions for the response:\n{ANSWER}"),
        ("instructions", f"{ANSWER}\n\nUser: thanks"),
        ("instructions", f"To improve the response, I would add details. {ANSWER}"),
        ("instructions", f"The original response is too short. A better answer would be: {ANSWER}"),
        ("instructions", f"Thank you for the feedback. {ANSWER}"),
        ("instructions", f"You’re right, the answer was too short. {ANSWER}"),
        ("instructions", f"I apologize for the short answer. {ANSWER}"),
        ("instructions", f"As the assistant, I will write a new and better answer. {ANSWER}"),
        ("instructions", f"# Thinking\nplan\n\n# Final answer\n{ANSWER}"),
        ("instructions", f"**Thought:** plan\n\n**Answer:** {ANSWER}"),
        ("instructions", f"&lt;think&gt;plan&lt;/think&gt;{ANSWER}"),
        ("chatter", f"{ANSWER}\n\n---\n*Edited for clarity and completeness.*"),
        ("chatter", f"{ANSWER}\n\nI made the answer more detailed and added a city."),
        ("refusal", "I cannot provide medical advice. Please consult a doctor."),
        ("refusal", "Sorry, that's against my guidelines."),
        ("refusal", "Unfortunately, I am not in a position to answer."),
        ("loop", f"{ANSWER} {'a' * 100}"),
        ("loop", f"{ANSWER}\n{'-' * 300}"),
        ("loop", f"{ANSWER}{'!' * 200}"),
        ("loop", f"{ANSWER}\n\n{ANSWER}"),
    ],
)
def test_what_is_no_answer_or_speaks_to_others(kind: str, draft: str) -> None:
    assert guard(draft) == kind
    assert guard(draft, response=draft) == "unchanged"


@pytest.mark.parametrize(
    ("kind", "draft"),
    [
        ("instructions", "无需修改。"),
        ("instructions", "请提供需要修改的回答。"),
        ("instructions", f"根据建议，我对回答进行了修改。{ZH_ANSWER}"),
        ("instructions", f"感谢您的反馈。{ZH_ANSWER}"),
        ("instructions", f"您说得对，之前的回答太短了。{ZH_ANSWER}"),
        ("instructions", f"思考过程：用户想知道河流。\n\n回答：{ZH_ANSWER}"),
        ("chatter", f"{ZH_ANSWER}\n\n如果还有其他问题，请随时告诉我。"),
        ("chatter", f"{ZH_ANSWER}\n\n（注：已根据建议补充细节）"),
        ("chatter", f"{ZH_ANSWER}\n\n以上回答涵盖了这条河的流向。"),
        ("chatter", f"{ZH_ANSWER}\n\n需要我帮您制定计划吗？"),
        ("chatter", f"{ZH_ANSWER}\n\n（全文共40字）"),
        ("refusal", "我不方便回答。"),
        ("refusal", "你好，这个问题我暂时无法回答，让我们换个话题再聊聊吧。"),
    ],
)
def test_what_is_no_answer_or_speaks_to_others_in_chinese(kind: str, draft: str) -> None:
    assert zh_guard(draft) == kind


def test_a_word_for_nothing_is_no_answer_where_nothing_calls_for_one() -> None:
    for draft in ("N/A", "None", "null", "..."):
        assert guard(draft, "How do I stay healthy?", "Eat well and sleep.") == "instructions"
    assert guard("None", "How do I stay healthy?", "No idea") is None


@pytest.mark.parametrize(
    ("request_", "response", "draft"),
    [
        ("Which primes are between 24 and 28?", "There are no primes between them.", "None."),
        ("Correct the grammar: I have an apple.", "It is wrong, I think.", "No changes needed."),
        ("Say hello again and again: hello", "Hi", "hello " * 3),
        ("Repeat: the Rhine", "Rhine", "Repeat: the Rhine"),
        ("Thanks, that's all.", "ok", "You're welcome! Feel free to reach out if you have more questions."),
        ("谢谢", "不", "不客气！如果还有其他问题，请随时告诉我。"),
        (
            "How should I answer a boss who asks me to lie?",
            "Lie.",
            "\"I'm sorry, but I can't do that for you.\"",
        ),
        (
            "That is too short, isn't it?",
            "Yes.",
            "I apologize for the short answer. The Rhine is 1,230 km long.",
        ),
        ("Review the code: x = 1", "It is good and short.", "No changes needed."),
        ("Which roles are there?", "Two.", "There are two roles.\n\nUser: reads posts."),
        ("What are they?", "Roles.", "Admin: may do anything.\n\nUser: may read."),
        ("Think step by step: 6 x 7?", "40", "Reasoning: six sevens.\n\nAnswer: it is 42."),
        ("Draw a line of 100 signs.", "-", f"Here you are: {'-' * 100}"),
    ],
)
def test_what_a_request_calls_for_passes(request_: str, response: str, draft: str) -> None:
    assert guard(draft, request_, response) is None
