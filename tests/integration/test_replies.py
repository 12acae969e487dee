"""What becomes of the thoughts and marks around replies, over HTTP: data, record, prompts, commands."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from graph.settings import Settings
from ledger.ledger import Ledger
from models.call import Message, Purpose
from models.errors.exceptions import CallFailed
from runners.api import load_run
from standin import Fault, StandIn
from standin.frames import MESSAGES, TEXTS, THOUGHTS
from tests.conftest import look
from tests.gateways import QUICK, call, evolve, fixed_response, gateway_to

RECORDS = [
    {"id": "lemon", "instruction": "Which color is a ripe lemon?", "output": "It is yellow."},
    {"id": "plum", "instruction": "Which color is a ripe plum?", "output": "It is blue."},
]
THINK = [name for name, text in TEXTS.items() if "{thoughts}" in text and name != "think_unclosed"]
THINK += ["reasoning_content", "reasoning", "parts"]
MARK = ["chatml", "llama2", "llama3", "gemma", "deepseek", "spaced"]


def run(folder: Path, *faults: str | Fault) -> Path:
    """Evolve the records with a server that has these faults."""
    (folder / "data.json").write_text(json.dumps(RECORDS))
    with StandIn(*faults, wins=1.0) as server, pytest.MonkeyPatch.context() as environment:
        environment.setenv("OPENAI_API_KEY", server.key("openai"))
        given = {"model": "openai:gpt-4o-mini", "base_url": server.base_url("openai"), "max_rounds": 2}
        ended = evolve(folder / "data.json", folder / "run", Settings.model_validate(given))
    assert not ended.error
    assert not ended.notices
    return folder / "run"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def thinking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("thinking"), Fault("framed", code="harmony"))


def responses(run: Path) -> list[Any]:
    return [row["response"] for row in load_run(run).exchanges()]


@pytest.mark.parametrize("family", ["magistral", "parts", "llama3"])
def test_a_run_is_the_same_whatever_is_around_the_replies(family: str, plain: Path, tmp_path: Path) -> None:
    framed = run(tmp_path, Fault("framed", code=family))
    assert responses(framed) == responses(plain)
    calls, before = list(load_run(framed).calls()), list(load_run(plain).calls())
    assert len(calls) == len(before) > 16
    thoughts = THOUGHTS if family in THINK else None
    assert {each["thoughts"] for each in calls} == {thoughts}
    # No other agent sees them: the requests are those of the run without.
    assert sorted(each["request"] for each in calls) == sorted(each["request"] for each in before)
    assert THOUGHTS not in json.dumps([each["messages"] for each in calls])


def test_thoughts_are_shown_by_their_length_and_in_full_with_calls(thinking: Path, plain: Path) -> None:
    line = f"(thoughts of {len(THOUGHTS)} characters, see --calls)"
    calls = Ledger.open(thinking / "ledger.sqlite").calls("lemon")
    shown = look("show", thinking, "lemon", cwd=thinking).stdout
    assert shown.count(line) == len(calls)
    assert THOUGHTS not in shown
    in_full = look("show", thinking, "lemon", "--calls", cwd=thinking).stdout
    assert " ".join(in_full.split()).count(THOUGHTS) == len(calls)
    assert "thoughts of" not in in_full
    assert "thoughts" not in look("show", plain, "lemon", "--calls", cwd=plain).stdout


def test_statistics_and_exports_are_the_same_with_thoughts(
    thinking: Path, plain: Path, tmp_path: Path
) -> None:
    for folder in (thinking, plain):
        look("export", folder, "-o", tmp_path / f"{folder.parent.name}.json", cwd=tmp_path)
    (first, second) = (path.read_text() for path in tmp_path.glob("*.json"))
    assert first == second


async def ask(server: StandIn, purpose: Purpose = "speech", messages: list[Message] | None = None) -> Any:
    """Return the reply to one call, or its error, and its record."""
    asked = call(purpose=purpose)
    async with gateway_to(server, policy=replace(QUICK, max_attempts=1)) as client:
        (answer,) = await client.ask(replace(asked, messages=messages) if messages else asked)
    (record,) = client.records
    return answer, record


async def test_the_reply_is_the_same_in_every_family() -> None:
    with StandIn() as server:
        for family in THINK + MARK:
            server.order(Fault("framed", code=family))
            answer, record = await ask(server)
            assert answer == record.reply == "Ready."
            assert record.thoughts == (THOUGHTS if family in THINK else "")


@pytest.mark.parametrize(
    ("family", "kind", "thoughts"),
    [
        ("think_unclosed", "empty reply", THOUGHTS),
        ("reasoning_only", "empty reply", "Ready."),
        ("tool_call", "empty reply", ""),
        ("chatml_runs_on", "control tokens", ""),
        ("mistral_runs_on", "control tokens", ""),
    ],
)
async def test_a_reply_with_nothing_usable_in_it(family: str, kind: str, thoughts: str) -> None:
    with StandIn(Fault("framed", code=family)) as server:
        error, record = await ask(server)
        assert len(server.chats()) == 1
    assert isinstance(error, CallFailed)
    assert error.kind == record.failure_kind == kind
    assert record.thoughts == thoughts
    if kind == "control tokens":
        assert "Thank you. And now?" in record.reply
        assert "check its chat template" in str(error)


async def test_a_token_that_the_prompt_has_is_what_the_reply_is_about() -> None:
    with StandIn(Fault("framed", code="mistral_runs_on")) as server:
        about = [Message(role="user", content="What do [INST] and [/INST] mean?")]
        answer, record = await ask(server, messages=about)
    assert answer == "Ready. [INST] Thank you. And now? [/INST] As you wish."
    assert record.failure_kind is None


WHOLE = "stop eos eos_token stop_sequence end_turn STOP COMPLETE complete endTurn FINISH normal Stop null"
CUT = (
    "length max_tokens MAX_TOKENS model_length max_output_tokens tool_calls pause_turn OTHER repetition x 停 "
    "['stop']"
)
OTHER = {
    "content filter": "content_filter SAFETY RECITATION sensitive PROHIBITED_CONTENT refusal ERROR_TOXIC",
    "broken off": "error network_error insufficient_system_resource abort ERROR",
    "too long": "model_context_window_exceeded",
}


async def test_a_draft_is_whole_only_where_its_finish_reason_says_so() -> None:
    with StandIn() as server:
        for reason in WHOLE.split():
            server.order(Fault("finish", code=reason))
            assert (await ask(server, "draft"))[0] == "Ready.", reason
        for reason in CUT.split():
            server.order(Fault("finish", code=reason))
            error, record = await ask(server, "draft")
            assert isinstance(error, CallFailed), reason
            assert (error.kind, record.finish_reason, record.code) == ("truncated", reason, reason)
            at_limit = reason.lower().startswith(("length", "max"))
            assert ("Raise --max-tokens" in str(error)) == at_limit
            assert ("cut off at the limit" if at_limit else f"ended it with {reason},") in str(error)
            # What is no draft is used as it is.
            assert (await ask(server))[0] == "Ready."


async def test_a_finish_reason_that_is_known_keeps_its_kind() -> None:
    with StandIn() as server:
        for reason, kind in [(reason, kind) for kind, some in OTHER.items() for reason in some.split()]:
            server.order(Fault("finish", code=reason))
            error, record = await ask(server)
            assert isinstance(error, CallFailed)
            assert record.failure_kind == kind, reason


async def test_a_stream_without_a_finish_reason_is_cut_off() -> None:
    chunks = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in ("Half ", "a")]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    whole = json.dumps({"choices": [{"message": {"content": "Yes."}}]})
    cases: list[tuple[Purpose, str, str]] = [
        ("draft", body, "truncated"),
        ("speech", body, "Half a"),
        ("suggestions", body, "Half a"),
        ("verdict", body, "Half a"),
        ("draft", whole, "Yes."),
    ]
    for purpose, text, expected in cases:
        async with (
            fixed_response(200, text.encode()) as url,
            gateway_to(StandIn(), base_url=url) as client,
        ):
            (answer,) = await client.ask(replace(call(), purpose=purpose))
        assert (answer.kind if isinstance(answer, CallFailed) else answer) == expected
        if isinstance(answer, CallFailed):
            assert "ended it with no finish reason, which does not say that it is whole" in str(answer)


async def test_finish_reasons_that_are_no_words() -> None:
    for reason, kind in ({"reason": "length"}, "truncated"), ({"type": "stop"}, None), (7, "truncated"):
        body = {"choices": [{"message": {"content": "Yes."}, "finish_reason": reason}]}
        async with (
            fixed_response(200, json.dumps(body).encode()) as url,
            gateway_to(StandIn(), base_url=url) as client,
        ):
            await client.ask(call(purpose="draft"))
        assert client.records[0].failure_kind == kind
        assert isinstance(client.records[0].finish_reason, str)


def test_check_says_what_it_took_off(tmp_path: Path) -> None:
    for fault, expected in {
        "framed:code=harmony": "Taken off the reply, as in a run: thoughts, <|channel|>",
        "framed:code=llama2": "Taken off the reply, as in a run: </s>",
        "framed:code=reasoning": "Taken off the reply, as in a run: thoughts",
        "finish:code=model_length": "It ended the reply with model_length",
        "framed:code=chatml_runs_on": "left <|im_end|> in the reply",
        "framed:code=reasoning_only": "All that it sent came as thoughts, which are never read as",
        "latency:seconds=0": "",
    }.items():
        with StandIn(fault) as server:
            words = ("--model", "openai:gpt-4o-mini", "--base-url", server.base_url("openai"))
            status = 2 if "only" in fault or "runs_on" in fault else 0
            shown = look("check", *words, cwd=tmp_path, env=server.environment(), status=status).stdout
        assert expected in shown
        assert expected or ("Taken off" not in shown and "It ended" not in shown)


@pytest.mark.parametrize(("family", "template"), [("llama2", "vicuna_v1.1"), ("chatml", "qwen-7b-chat")])
def test_marks_of_its_template_reach_no_response_of_a_conversation(
    family: str, template: str, tmp_path: Path
) -> None:
    turns = ["Hello.", "Hi.", "Which color is a ripe lemon?", "Yellow.", "And a ripe plum?", "It is blue."]
    talk = [{"from": ("human", "gpt")[n % 2], "value": text} for n, text in enumerate(turns)]
    (tmp_path / "data.json").write_text(json.dumps([{"id": "fruit", "conversations": talk}]))
    found: list[tuple[list[Any], list[str]]] = []
    for faults in [], [Fault("framed", code=family)]:
        with StandIn(*faults, wins=1.0) as server, pytest.MonkeyPatch.context() as environment:
            environment.setenv("OPENAI_API_KEY", server.key("openai"))
            settings = Settings.model_validate(
                {
                    "model": "openai:gpt-4o-mini",
                    "base_url": server.base_url("openai"),
                    "max_rounds": 2,
                    "conversation_template": template,
                }
            )
            folder = tmp_path / f"run{len(found)}"
            ended = evolve(tmp_path / "data.json", folder, settings)
        assert not ended.error
        calls = list(load_run(folder).calls())
        assert {each["failure"] for each in calls} == {None}
        found.append((responses(folder), sorted(each["reply"] for each in calls)))
    assert found[0] == found[1]
    assert len(found[0][0]) == 3


async def test_a_mark_at_the_end_of_a_verdict_is_taken_off_whatever_the_sample_is_about() -> None:
    about = [Message(role="user", content="What does </s> mean?")]
    with StandIn(Fault("framed", code="llama2")) as server:
        assert (await ask(server, "verdict", about))[0] == "Ready."
    with StandIn(Fault("framed", code="llama2")) as server:
        assert (await ask(server, "draft", about))[0] == "Ready. </s>"


LONG = "The quick brown fox jumps over the lazy dog, and nobody minds it at all. " * 40
CHINESE = "今天天气很好，我们一起去公园散步，看见许多人在那里放风筝。" * 40


@pytest.mark.parametrize("text", [LONG, CHINESE])
async def test_a_server_that_cuts_off_prompts_is_reported_once(text: str) -> None:
    notices: list[str] = []
    with StandIn("prompt_cut") as server:
        address = f"{server.base_url('openai')}?key=hidden"
        async with gateway_to(server, base_url=address, notify=notices.append) as client:
            for number in range(3):
                messages = [Message(role="user", content=f"{text}\n{number}")]
                asked = replace(call(number), messages=messages)
                assert await client.ask(asked) == ["Ready."]
    (notice,) = notices
    shown = address.replace("hidden", "…")
    assert f"openai:gpt-4o-mini at {shown} seems to cut off long prompts" in notice
    assert f"counted {client.records[0].input_tokens:,} tokens" in notice
    assert "num_ctx" in notice


async def test_a_server_that_counts_what_it_was_sent_is_not_reported() -> None:
    notices: list[str] = []
    # With about as many tokens as a tokenizer makes that is good at them.
    for text, tokens in (
        (LONG, 600),
        (CHINESE, 500),
        ("=" * 20_000, 160),
        ("a" * 20_000, 300),
        ("\n \n" * 5000, 400),
        ("def f(x):\n    return x + 1\n\n" * 200, 1800),
        ("aGVsbG8gd29ybGQsIGhlbGxv" * 500, 5000),
        ("| | |\n" * 2000, 2000),
        ("😀" * 3000, 1500),
        ("哈" * 5000, 900),
        ("0123456789" * 1000, 3300),
    ):
        apart = {"prompt_tokens": 17, "completion_tokens": 1}
        for usage in (
            {"prompt_tokens": tokens, "completion_tokens": 1},
            # Cached tokens that are counted apart
            {**apart, "prompt_tokens_details": {"cached_tokens": tokens}},
            {**apart, "cache_read_input_tokens": tokens},
            {**apart, "cache_creation_input_tokens": tokens},
            {"prompt_tokens": 1, "completion_tokens": 1},  # it does not count
        ):
            choice = {"message": {"content": "Yes."}, "finish_reason": "stop"}
            body = json.dumps({"choices": [choice], "usage": usage}).encode()
            async with (
                fixed_response(200, body) as url,
                gateway_to(StandIn(), base_url=url, notify=notices.append) as client,
            ):
                asked = replace(call(), messages=[Message(role="user", content=text)])
                assert await client.ask(asked) == ["Yes."]
            assert not notices, (text[:20], usage)


@pytest.mark.parametrize("charset", ["utf-8", "ISO-8859-1", "us-ascii", "gbk", "utf-16", "no-such"])
async def test_json_is_utf_8_whatever_its_header_says(charset: str) -> None:
    text = "A naïve café costs 5 €. 柠檬是黄色的。 🍋"
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    body = json.dumps({"choices": [choice]}, ensure_ascii=False).encode()
    media = f"application/json; charset={charset}"
    async with fixed_response(200, body, media) as url, gateway_to(StandIn(), base_url=url) as client:
        assert await client.ask(call()) == [text]


async def test_json_in_another_charset_is_read_by_its_header() -> None:
    choice = {"message": {"content": "柠檬是黄色的。"}, "finish_reason": "stop"}
    body = json.dumps({"choices": [choice]}, ensure_ascii=False).encode("gbk")
    media = "application/json; charset=GBK"
    async with fixed_response(200, body, media) as url, gateway_to(StandIn(), base_url=url) as client:
        assert await client.ask(call()) == ["柠檬是黄色的。"]


async def test_a_refusal_in_utf_8_is_shown_as_it_is() -> None:
    body = json.dumps({"error": {"message": "内容太长"}}, ensure_ascii=False).encode()
    media = "application/json; charset=ISO-8859-1"
    async with fixed_response(400, body, media) as url, gateway_to(StandIn(), base_url=url) as client:
        (error,) = await client.ask(call())
    assert "内容太长" in str(error)


async def test_a_long_reply_is_read_in_linear_time() -> None:
    text = "<think>" + "</s>" * 100_000 + "</think> " * 100_000
    body = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
    async with (
        fixed_response(200, json.dumps(body).encode()) as url,
        gateway_to(StandIn(), base_url=url, timeout=60) as client,
    ):
        (answer,) = await client.ask(call())
    assert isinstance(answer, str)
    assert len(client.records[0].thoughts) + len(answer) > 1_000_000


def test_the_stand_in_knows_all_families() -> None:
    assert {*THINK, *MARK, "think_unclosed", "chatml_runs_on", "mistral_runs_on"} | {*MESSAGES} == {
        *TEXTS,
        *MESSAGES,
    }
