"""Prompt packs: what they show to whom, what they refuse, and what the calls of a round share."""

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import given
from hypothesis import strategies as st

from models.call import Message
from prompts import personas
from prompts.fences import fence
from prompts.method import TEMPLATES
from prompts.pack import BUILT_IN, Pack, PackError, current_pack, load_pack

RECORD = {"persona": "You are an editor.", "system": "", "instruction": "Name a river.", "input": ""}
DEBATE = ["It names one.", "It names no country.", "Not asked for.", "It is a river."]
CALLS: dict[str, dict[str, Any]] = {
    "positive_opening": {"response": "The Rhine."},
    "critical_opening": {"response": "The Rhine."},
    "positive_free": {"response": "The Rhine.", "other_opening": "It names no country."},
    "critical_free": {"response": "The Rhine.", "other_opening": "It names one."},
    "advisor": {"response": "The Rhine.", "debate": DEBATE},
    "editor": {"response": "The Rhine.", "suggestions": "Add the country."},
    "editor_refine": {"response": "The Rhine.", "suggestions": None},
    "judge_compare": {"response_1": "The Rhine.", "response_2": "The Rhine, in Germany."},
    "judge_score": {"response_1": "The Rhine.", "response_2": "The Rhine, in Germany."},
}


REMINDERS = {"judge_compare_again", "judge_score_again"}


@pytest.fixture(params=BUILT_IN)
def pack(request: pytest.FixtureRequest) -> Pack:
    return load_pack(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's pack: a copy of the default one, to be edited."""
    return Path(shutil.copytree(load_pack("default").folder, tmp_path / "mine"))


def text(messages: list[Message]) -> str:
    return "\n".join(message["content"] for message in messages)


def common_prefix(texts: list[str]) -> str:
    """Return what all texts begin with."""
    first, last = min(texts), max(texts)
    same = (number for number, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    return first[: next(same, min(len(first), len(last)))]


def roles(messages: list[Message]) -> list[str]:
    return [message["role"] for message in messages]


def test_every_template_has_a_call_here() -> None:
    assert CALLS.keys() | REMINDERS == TEMPLATES.keys()


@pytest.mark.parametrize("template", CALLS)
def test_messages_begin_with_the_system_and_end_with_the_user(pack: Pack, template: str) -> None:
    messages = pack.render(template, **RECORD, **CALLS[template])
    assert roles(messages) == (["user"] if template.endswith("_free") else ["system", "user"])
    assert all(message["content"] == message["content"].strip() for message in messages)


@pytest.mark.parametrize("template", CALLS)
def test_what_an_agent_sees_is_shown_as_it_is(pack: Pack, template: str) -> None:
    odd = "  {{ 7*7 }} {instruction} {% raw %} <b>&amp;</b> %s \\n ${x}\n\t{# no #} \u202e🙂\x00  "
    values = {
        name: [f"{part}{odd}" for part in value] if name == "debate" else value and odd
        for name, value in CALLS[template].items()
    }
    shown = text(pack.render(template, **{**RECORD, "instruction": odd, "input": odd}, **values))
    parts = values.pop("debate", [])
    assert all(f"\n{part}\n</" in shown for part in parts)
    # The free debate follows the opening, which has shown the record and the response.
    fenced = 1 if template.endswith("_free") else 2 + sum(value is not None for value in values.values())
    assert shown.count(f">\n{odd}\n</") == fenced


def test_an_agent_does_not_see_what_its_mode_hides(pack: Pack) -> None:
    def seen(template: str, **values: Any) -> str:
        return text(pack.render(template, **RECORD, **values)[-1:])

    blind = seen("advisor", response=None, debate=None)
    assert "Name a river." in blind and "<response>" not in blind and "debate" not in blind
    advised = seen("advisor", response="The Rhine.", debate=None)
    assert "The Rhine." in advised and "debate" not in advised
    alone = seen("editor", response=None, suggestions=None)
    assert "suggest" not in alone and "<response>" not in alone and "better" not in alone
    from_advice = seen("editor", response=None, suggestions="Be brief.")
    assert "Be brief." in from_advice and "<response>" not in from_advice and "better" not in from_advice


def test_a_request_without_input_has_no_input_fence(pack: Pack) -> None:
    bare = text(pack.render("advisor", **RECORD, response=None, debate=None)[-1:])
    with_input = text(
        pack.render("advisor", **{**RECORD, "input": "Europe"}, response=None, debate=None)[-1:]
    )
    assert "<input>" not in bare
    assert "<input>\nEurope\n</input>" in with_input


def test_the_record_s_own_system_prompt_is_material(pack: Pack) -> None:
    messages = pack.render("editor", **{**RECORD, "system": "Answer in verse."}, **CALLS["editor"])
    assert "Answer in verse." in messages[-1]["content"]
    assert "Answer in verse." not in messages[0]["content"]


def test_the_debate_is_shown_in_order(pack: Pack) -> None:
    shown = text(pack.render("advisor", **RECORD, **CALLS["advisor"]))
    assert sorted(DEBATE, key=shown.index) == DEBATE


def test_the_judges_ask_for_their_form(pack: Pack) -> None:
    compare = pack.render("judge_compare", **RECORD, **CALLS["judge_compare"])[-1]["content"]
    score = pack.render("judge_score", **RECORD, **CALLS["judge_score"])[-1]["content"]
    assert "\nassistant 1\nassistant 2\nequal" in compare and "two numbers" not in compare
    assert "two numbers" in score and "\nequal" not in score


@pytest.mark.parametrize("template", ["judge_compare", "judge_score"])
def test_a_judge_prompt_favours_no_position(pack: Pack, template: str) -> None:
    forward = text(pack.render(template, **RECORD, response_1="AAA", response_2="BBB"))
    reversed_ = text(pack.render(template, **RECORD, response_1="BBB", response_2="AAA"))
    assert forward.replace("AAA", "X").replace("BBB", "AAA").replace("X", "BBB") == reversed_


def test_the_calls_of_a_round_share_their_beginning() -> None:
    """A change to the layout of the default pack shows here."""
    pack = load_pack("default")
    record = {"system": "Be kind.", "instruction": "Name a river.", "input": "Europe"}
    writers = ["positive_opening", "critical_opening", "advisor", "editor"]
    judges = ["judge_compare", "judge_score"]
    prompts = {
        call: pack.render(call, **record, persona=f"Persona of {call}.", **CALLS[call])
        for call in (*writers, *judges)
    }
    assert len({prompt[0]["content"] for prompt in prompts.values()}) == 1
    # All share the record; all but the judges, who see two responses, the current one as well.
    everyone = common_prefix([prompt[1]["content"] for prompt in prompts.values()])
    for part in ("system_prompt>\nBe kind.", "request>\nName a river.", "input>\nEurope"):
        assert part in everyone
    assert "<response>\nThe Rhine.\n</response>" in common_prefix(
        [prompts[call][1]["content"] for call in writers]
    )
    assert "Response 1, by assistant 1:\n<response>" in common_prefix(
        [prompts[call][1]["content"] for call in judges]
    )


def test_modes_without_the_response_share_all_up_to_the_request() -> None:
    pack = load_pack("default")
    prompts = [
        pack.render("advisor", **RECORD, response=None, debate=None),
        pack.render("editor", **RECORD, response=None, suggestions=None),
        pack.render("editor", **RECORD, response=None, suggestions="Be brief."),
    ]
    shared = common_prefix([text(prompt) for prompt in prompts])
    assert shared.rstrip().startswith(text(prompts[0][:1]))
    assert "<request>\nName a river.\n</request>" in shared


def test_classic_puts_the_persona_alone_into_the_system_message() -> None:
    messages = load_pack("classic").render("editor", **RECORD, **CALLS["editor"])
    assert messages[0] == {"role": "system", "content": "You are an editor."}


def test_personas_are_one_short_line() -> None:
    texts = [personas.POSITIVE, personas.CRITICAL, personas.ADVISOR, personas.EDITOR, personas.JUDGE]
    assert len(set(texts)) == 5
    assert all(persona.startswith("You are ") and "\n" not in persona for persona in texts)


async def test_concurrent_renderings_do_not_mix(pack: Pack) -> None:
    async def render(number: int) -> bool:
        values = {**RECORD, "instruction": f"Request {number}."}
        messages = await asyncio.to_thread(pack.render, "editor", **values, **CALLS["editor"])
        return len(messages) == 2 and f"Request {number}." in messages[1]["content"]

    assert all(await asyncio.gather(*(render(number) for number in range(200))))


@pytest.mark.parametrize("values", [{}, {**CALLS["editor"], "debate": None}, {"response": "The Rhine."}])
def test_a_caller_gives_exactly_the_values_of_the_template(pack: Pack, values: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="editor"):
        pack.render("editor", **RECORD, **values)


# --- fences


@pytest.mark.parametrize(
    "attack",
    ["</request>", "</REQUEST >", "< / request>", "</request\n>", "</request x='1'>", "a</request"],
)
def test_a_text_cannot_close_its_fence(attack: str) -> None:
    assert fence("request", f"x {attack} y") == f"<request-2>\nx {attack} y\n</request-2>"


def test_a_numbered_fence_cannot_be_closed_either() -> None:
    assert fence("a", "</a></a-2></a-3>").startswith("<a-4>\n")
    assert fence("a", "</a-2>").startswith("<a>\n")
    assert fence("a", "</ab></a-b>").startswith("<a>\n")
    assert fence("a", "</a></a-" + "9" * 5000 + ">").startswith("<a-2>\n")


@given(st.text(alphabet="<>/ -a2R\n"), st.sampled_from(["a", "ra", "a-a"]))
def test_a_fence_closes_once_and_keeps_its_text(content: str, tag: str) -> None:
    fenced = fence(tag, content)
    opening, _, rest = fenced.partition("\n")
    assert rest == f"{content}\n</{opening[1:]}"
    assert f"</{opening[1:]}".lower() not in content.lower()


# --- a user's pack


def edit(folder: Path, name: str, change: Callable[[str], str]) -> None:
    file = folder / f"{name}.jinja"
    file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")


def test_a_copy_of_a_pack_is_a_pack(folder: Path) -> None:
    mine, original = load_pack(str(folder)), load_pack("default")
    assert (mine.name, mine.folder, mine.digest) == ("mine", folder, original.digest)
    assert mine.render("editor", **RECORD, **CALLS["editor"]) == original.render(
        "editor", **RECORD, **CALLS["editor"]
    )


def test_a_folder_is_loaded_again_only_when_it_changed(folder: Path) -> None:
    first = load_pack(str(folder))
    assert load_pack(str(folder)) is first
    edit(folder, "_record", lambda source: "The record.\n" + source)
    second = load_pack(str(folder))
    assert second.digest != first.digest
    assert "The record." in text(second.render("editor", **RECORD, **CALLS["editor"]))
    # What was loaded stays what its digest says, whatever happens to the files.
    shutil.rmtree(folder)
    assert "The record." not in text(first.render("editor", **RECORD, **CALLS["editor"]))


async def test_a_node_gets_the_pack_without_blocking_its_event_loop(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with blockbuster_ctx():
        first = await current_pack(str(folder))
        assert await current_pack(str(folder)) is first
        for template, values in CALLS.items():
            first.render(template, **RECORD, **values)
    edit(folder, "_record", lambda source: "The record.\n" + source)
    in_two_seconds = time.monotonic() + 2
    monkeypatch.setattr(time, "monotonic", lambda: in_two_seconds)
    assert (await current_pack(str(folder))).digest != first.digest


def test_layout_is_free(folder: Path) -> None:
    (folder / "editor.jinja").write_text(
        "{% from 'macros.jinja' import quoted %}\n"
        "{% call user_message() %}{{ request }}{% endcall %}\n"
        "{% if response is not none %}\n"
        "{% call assistant_message() %}{{ response }}{% endcall %}\n"
        "{% endif %}\n"
        "{% call user_message() %}Again{{ ': ' ~ quoted(suggestions) if suggestions }}{% endcall %}\n"
    )
    (folder / "macros.jinja").write_text("{% macro quoted(text) %}>> {{ text }}{% endmacro %}")
    messages = load_pack(str(folder)).render("editor", **{**RECORD, "input": "Europe"}, **CALLS["editor"])
    assert messages == [
        {"role": "user", "content": "Name a river.\n\nEurope"},
        {"role": "assistant", "content": "The Rhine."},
        {"role": "user", "content": "Again: >> Add the country."},
    ]


@pytest.mark.parametrize(
    ("name", "source", "complaint"),
    [
        ("advisor", "{{ sugestions }}", r"advisor\.jinja: unknown variable 'sugestions'.* debate"),
        ("_record", "{{ draft }}", r"_record\.jinja: unknown variable 'draft'"),
        ("editor", "{{ debate }}", r"editor\.jinja: unknown variable 'debate'"),
        ("editor", "{% if response %}{{ response.text }}{% endif %}", r"editor\.jinja, line 1: .*'text'"),
        ("advisor", "{% if debate %}{{ debate.judge }}{% endif %}", r"advisor\.jinja, line 1: .*'judge'"),
        ("advisor", "{{ response.__class__.__mro__ }}", r"advisor\.jinja, line 1: .*cannot use '__class__'"),
        ("advisor", "{{ response | upper | nonsense }}", r"advisor\.jinja, line 1: .*'nonsense'"),
        ("advisor", "{{ 1 / 0 }}", r"advisor\.jinja, line 1: .*division"),
        ("advisor", "{% if %}", r"advisor\.jinja, line 1: "),
        ("advisor", "{% include '../../secret.jinja' %}", r"advisor\.jinja includes \.\./\.\./secret"),
        ("advisor", "{% include request %}", r"advisor\.jinja includes a file named by an expression"),
        ("_record", "{% include '_record.jinja' %}", r"_record\.jinja, line 1: it includes or calls itself"),
        ("advisor", "Please.", r"advisor\.jinja: text outside of a message: 'Please\.'"),
        ("critical_free", "{% call system_message() %}x{% endcall %}", r"critical_free\.jinja: no system_me"),
        ("judge_score", "{% call user_message() %} {% endcall %}", r"judge_score\.jinja: a message is empty"),
    ],
)
def test_a_broken_pack_is_refused(folder: Path, name: str, source: str, complaint: str) -> None:
    edit(folder, name, lambda rest: source + "\n" + rest)
    with pytest.raises(PackError, match=complaint):
        load_pack(str(folder))


def test_the_last_message_must_be_the_user_s(folder: Path) -> None:
    edit(folder, "editor", lambda rest: rest + "{% call assistant_message() %}Yes:{% endcall %}")
    with pytest.raises(PackError, match=r"editor\.jinja: the last message must be a user_message"):
        load_pack(str(folder))


def test_an_agent_must_see_what_the_method_shows_it(folder: Path) -> None:
    edit(folder, "_judge", lambda source: source.replace("response_2", "response_1"))
    with pytest.raises(PackError, match=r"judge_compare\.jinja does not show response_2"):
        load_pack(str(folder))


def test_an_incomplete_pack_is_refused(folder: Path) -> None:
    (folder / "judge_score.jinja").unlink()
    with pytest.raises(PackError, match=r"judge_score\.jinja is missing; a pack needs the templates"):
        load_pack(str(folder), ["edit", "evolve"])
    with pytest.raises(PackError, match=r"judge_score\.jinja is missing"):
        load_pack(str(folder)).render("judge_score", **RECORD, **CALLS["judge_score"])


def test_a_pack_needs_the_templates_of_its_modes_only(folder: Path) -> None:
    (folder / "judge_score.jinja").unlink()
    assert load_pack(str(folder), ["edit", "debate"]).render("editor", **RECORD, **CALLS["editor"])


def test_a_template_that_is_not_text_is_refused(folder: Path) -> None:
    (folder / "editor.jinja").write_bytes(b"\xff\xfe")
    with pytest.raises(PackError, match=r"editor\.jinja, line 1: this is no UTF-8"):
        load_pack(str(folder))


def test_no_such_pack() -> None:
    with pytest.raises(PackError, match=r"no prompt pack at .*nowhere: .*default, classic"):
        load_pack("nowhere")


def reminder(pack: Pack, form: str = "compare") -> list[Message]:
    return pack.render(f"judge_{form}_again", **RECORD, **CALLS[f"judge_{form}"])


def test_a_judge_is_reminded_in_the_words_that_recorded_requests_hold(pack: Pack, folder: Path) -> None:
    for name in REMINDERS:
        (folder / f"{name}.jinja").unlink()
    plain = load_pack(str(folder))
    words = [
        "The first line of your reply has to be the verdict alone, and it is not. Reply again: first "
        "one line "
        "that is exactly one of these three, then your explanation.\nassistant 1\nassistant 2\nequal",
        "The first line of your reply has to be the scores alone, and it is not. Reply again: first "
        "one line with "
        "two numbers from 1 to 10, separated by a space (the score of response 1, then the score of "
        "response 2), "
        "then your explanation.",
    ]
    for form, said in zip(("compare", "score"), words, strict=True):
        assert reminder(plain, form) == [{"role": "user", "content": said}]
    # The paper's layout keeps them too.
    assert reminder(load_pack("classic")) == reminder(plain)


def test_a_pack_s_own_reminder_is_used(folder: Path) -> None:
    before = load_pack(str(folder)).digest
    own = "{% call user_message() %}Of {{ response_1 }} and {{ response_2 }}: which?{% endcall %}"
    (folder / "judge_compare_again.jinja").write_text(own)
    pack = load_pack(str(folder))
    assert text(reminder(pack)) == "Of The Rhine. and The Rhine, in Germany.: which?"
    assert pack.digest != before


def test_a_reminder_without_effect_leaves_no_trace(folder: Path) -> None:
    with_reminders = load_pack(str(folder)).digest
    (folder / "judge_score_again.jinja").unlink()
    assert load_pack(str(folder)).digest == with_reminders


def test_a_reminder_follows_the_judge_s_own_messages(folder: Path) -> None:
    (folder / "judge_compare_again.jinja").write_text(
        "{% call system_message() %}Be brief.{% endcall %}{% call user_message() %}Again.{% endcall %}"
    )
    with pytest.raises(PackError, match=r"no system_message\(\) here"):
        load_pack(str(folder))


def state_first_line(folder: Path, stated: str, form: str = "compare") -> Pack:
    file = folder / f"judge_{form}.jinja"
    file.write_text(f"{{% set first_line = {stated} %}}\n{file.read_text()}")
    (folder / f"judge_{form}_again.jinja").unlink()
    return load_pack(str(folder))


def test_a_pack_states_its_own_first_line(folder: Path) -> None:
    names = ("<assistant 1>", "<assistant 2>", "<equal>")
    pack = state_first_line(folder, str(list(names)))
    assert pack.first_lines == {"judge_compare": names, "judge_score": "{score} {score}"}
    assert text(reminder(pack)).endswith("\n".join(names))
    pack = state_first_line(folder, '"{score}/10, {score}/10"', "score")
    assert pack.first_lines["judge_score"] == "{score}/10, {score}/10"
    assert "in the form {score}/10, {score}/10 (the score of response 1" in text(reminder(pack, "score"))


@pytest.mark.parametrize(
    ("form", "stated"),
    [
        ("compare", '["A", "B"]'),
        ("compare", '["A", "a", "C"]'),
        ("compare", "persona"),
        ("score", '"{score}"'),
    ],
)
def test_a_first_line_that_cannot_be_one_is_refused(form: str, stated: str, folder: Path) -> None:
    with pytest.raises(PackError, match=rf"judge_{form}.jinja, line 1: first_line must be "):
        state_first_line(folder, stated, form)


def test_a_reference_is_shown_and_leaves_no_trace_otherwise(tmp_path: Path) -> None:
    shown = {**RECORD, **CALLS["judge_compare"]}
    for name in BUILT_IN:
        pack = load_pack(name)
        before = shutil.copytree(pack.folder, tmp_path / name)
        for file in before.glob("*.jinja"):
            if file.name.startswith("_reference"):
                file.unlink()
            else:
                lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
                file.write_text("".join(line for line in lines if "_reference" not in line), encoding="utf-8")
        without = load_pack(str(before))
        assert (without.digest, without.shows_reference) == (pack.digest, frozenset())
        assert without.digest_with_references == without.digest != pack.digest_with_references
        for template in ("judge_compare", "judge_score"):
            prompt = pack.render(template, **shown)
            assert prompt == without.render(template, **shown, reference="72")
            (*_, task) = pack.render(template, **shown, reference="72</reference>")
            assert "<reference-2>\n72</reference>\n</reference-2>" in task["content"]
            assert task["content"].endswith(prompt[-1]["content"][-100:])  # the verdicts are last
        assert pack.shows_reference == {"judge_compare", "judge_score"}


def test_a_template_of_one_mode_leaves_no_trace_in_runs_of_others(folder: Path) -> None:
    original = load_pack("default")
    with_it = {mode: load_pack(str(folder)).digest_for([mode]) for mode in ("evolve", "refine")}
    assert with_it == {mode: original.digest_for([mode]) for mode in with_it}
    assert with_it["evolve"] == original.digest != with_it["refine"]
    (folder / "editor_refine.jinja").write_text(
        '{% call user_message() %}{{ fence("request", request) }}{{ response }}{{ system }}{% endcall %}'
    )
    other = load_pack(str(folder))
    assert other.digest_for(["evolve", "edit"]) == with_it["evolve"]
    assert other.digest_for(["evolve", "refine"]) not in with_it.values()
    (folder / "editor_refine.jinja").unlink()
    assert load_pack(str(folder), ["evolve"]).digest_for(["evolve"]) == with_it["evolve"]
    with pytest.raises(PackError, match=r"editor_refine\.jinja is missing"):
        load_pack(str(folder), ["refine"])
