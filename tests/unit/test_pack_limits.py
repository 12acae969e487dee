"""Prompt packs of strangers: what they may not hold is refused at the start, with its file and line, and what
takes too much work on some record fails there."""

import os
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prompts.pack import PackError, load_pack
from prompts.pack_files import MAX_FILE_KB, MAX_FILES, MAX_PACK_KB
from prompts.sandbox.budget import BASE

EDITOR = (
    '{{% call user_message() %}}{}{{{{ fence("request", request) ~ response ~ suggestions }}}}{{% endcall %}}'
)
RECORD: dict[str, Any] = {"persona": "", "system": "", "input": "", "response": None, "suggestions": None}
MOST_MEMORY = 40e6

PAIRS = "{% set x = (1, 1) %}" + "{% set x = (x, x) %}" * 60
LOOP = "{% for i in range(99999) %}"
END = "{% endfor %}"
TOO_MUCH = "this takes more work than a prompt may"
WORK = {
    LOOP * 3 + END * 3: TOO_MUCH,
    LOOP + "{% for j in range(99999) if false %}" + END * 2: TOO_MUCH,
    "{% for i in range(10**9) %}" + END: r"templates have no \*\*",
    "{% for i in range(1000000000) %}" + END: "Range too big",
    '{{ "a" * 1000000000 }}': TOO_MUCH,
    "{{ [1] * 1000000000 }}": r"\* is only for numbers",
    '{{ "x"|center(1000000000) }}': TOO_MUCH,
    '{{ "x"|indent(1000000000) }}': TOO_MUCH,
    '{{ "x".ljust(1000000000) }}': "cannot use 'ljust' of 'str'",
    '{{ "{:>999999999}".format(1) }}': "cannot use 'format' of 'str': put texts together with ~",
    '{{ "%999999999d" % 1 }}': "% is only for numbers",
    "{{ (1).to_bytes(1000000000) }}": "cannot use 'to_bytes' of 'int'",
    '{% set x = "aaaa" %}' + "{% set x = x ~ x %}" * 60: TOO_MUCH,
    '{% set x = "aaaa" %}' + "{% set x = x + x %}" * 60: TOO_MUCH,
    '{% set x = "aaaa" %}' + "{% set x = [x, x]|join %}" * 60: TOO_MUCH,
    '{% set x = "aaaa" %}' + '{% set x = x|replace("a", x) %}' * 60: TOO_MUCH,
    '{% set x = "aaaa" %}' + "{% set x %}{{ x }}{{ x }}{% endset %}" * 60: TOO_MUCH,
    f"{PAIRS}{{{{ x }}}}": TOO_MUCH,
    f"{PAIRS}{{{{ x == (x, x) }}}}": TOO_MUCH,
    f"{PAIRS}{{{{ x in {{1: 1}} }}}}": TOO_MUCH,
    f"{PAIRS}{{{{ {{1: 1}}[x] }}}}": "only numbers and texts can be in brackets",
    f"{PAIRS}{{{{ [namespace(x=x)] }}}}": TOO_MUCH,
    f"{PAIRS}{{{{ x|tojson }}}}": TOO_MUCH,
    f"{PAIRS}{{{{ x is lower }}}}": "No test named 'lower'",
    "{{ {1: 1}.items().mapping }}": "cannot use 'mapping' of 'dict_items'",
    f"{PAIRS}{{{{ {{1: x}}.items()|string }}}}": TOO_MUCH,
    "{% macro a() %}{{ a() }}{{ a() }}{% endmacro %}{{ a() }}": "it includes or calls itself",
    "{% for i in [1, 2] recursive %}{{ loop([1, 2]) }}" + END: "templates have no recursive loops",
    "{% block a %}{{ self.a() }}{{ self.a() }}{% endblock %}": "it includes or calls itself",
    "{% include '_editor.jinja' %}": "it includes or calls itself",
    "{% import '_editor.jinja' as a %}": "it includes or calls itself",
    '{% set x = "a" * 90000 %}' + LOOP + '{% if "b" in x %}{% endif %}' + END: TOO_MUCH,
    '{% set n = namespace(x=[]) %}{% set x = "a" * 90000 %}' + LOOP + "{% set n.x = [n.x, x[i:]] %}" + END: (
        TOO_MUCH
    ),
    '{{ fence("a" * 60000, "</a") }}': "the tag of a fence has at most",
    LOOP + '{{ fence("t" ~ i, "</t") }}' + END: TOO_MUCH,
    "{{ fence }}": "a function is no text",
    "{{ instruction.split()|map('upper')|string }}": "this is no text: join its parts",
    "{{ [instruction.split()|map('upper')] }}": "this is no text: join its parts",
    "{{ [(instruction.strip, 1)] }}": "a builtin_function_or_method is no text",
    "{{ 'x' ~ {'a': fence} }}": "a function is no text",
    "{{ [[fence]]|join }}": "a function is no text",
    "{{ [fence]|truncate(9) }}": "a function is no text",
    "{{ [instruction.strip]|replace('a', 'b') }}": "a builtin_function_or_method is no text",
    "{% for y in ('a' * 1500)|list|map(attribute='0" + ".0" * 29_000 + "') %}" + END: "at most 10 parts",
    LOOP + "{% from '_record.jinja' import " + ",".join(f"a{i}" for i in range(9000)) + " %}" + END: TOO_MUCH,
    "".join(f"{{% set a{i}=1 %}}" for i in range(3500)) + LOOP + "{% include '_record.jinja' %}" + END: (
        TOO_MUCH
    ),
    "{{ 2.5|round(-1000000000) }}": "rounded to at most",
    "{{ [9000000000000000000, 9000000000000000000]|sum }}": "the number is too large",
    f"{PAIRS}{{{{ [x, x]|unique }}}}": TOO_MUCH,
    f"{PAIRS}{{{{ [x, x]|sort }}}}": TOO_MUCH,
    "{% for i in range(9999999999999999999999) %}" + END: "a number is too large",
    "{{ ', '.join(['a']) }}": r"cannot use 'join' of 'str': write `\|join\(…\)`",
    "{{ instruction.replace('a', 'b') }}": r"write `\|replace\(…\)`",
    "{{ '%s words' % 3 }}": "put texts together with ~",
}
SETS = "".join(f"{{% set a{i}=1 %}}" for i in range(1500))
DEEP = {
    "{{ " + "(" * 20_000 + " }}": "nested too deeply",
    "{{ " + "not " * 15_000 + "1 }}": "nested too deeply",
    "{{ " + "1 if 1 else " * 4_000 + "1 }}": "nested too deeply",
    "{{ 1" + " + 1" * 10_000 + " }}": "nested more than",
    "{{ 1" + "|trim" * 9_000 + " }}": "nested more than",
    "{% if 1 %}" * 30 + "{% endif %}" * 30: "nested more than",
    "{% if 1 %}" + "{% elif 1 %}" * 4_000 + "{% endif %}": "more than 60 elif",
    SETS + "{% include '_record.jinja' %}" * 1000: "blocks and includes up to here are too many",
    SETS + "{% if a1 %}{% endif %}" * 1500: "blocks and includes up to here are too many",
    "{{ " + "9" * 5_000 + " }}": "a number has too many digits",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(load_pack("default").folder, tmp_path / "mine"))


def begin_editor(folder: Path, source: str) -> None:
    """Put source on the second line of what the editor's template includes first."""
    (folder / "_editor.jinja").write_text(f"{{# Mine. #}}\n{source}\n", encoding="utf-8")
    editor = folder / "editor.jinja"
    editor.write_text("{% include '_editor.jinja' %}\n" + editor.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("source", "complaint"), (WORK | DEEP).items(), ids=lambda each: each[:40])
def test_work_without_end_is_refused_with_its_line(folder: Path, source: str, complaint: str) -> None:
    begin_editor(folder, source)
    with pytest.raises(PackError, match=rf"_editor\.jinja, line [23]: .*{complaint}"):
        load_pack(str(folder))


def test_includes_that_double_are_refused(folder: Path) -> None:
    for number in range(40):
        (folder / f"_{number}.jinja").write_text(f"{{% include '_{number + 1}.jinja' %}}" * 2)
    (folder / "_40.jinja").write_text("x")
    begin_editor(folder, "{% include '_0.jinja' %}")
    with pytest.raises(PackError, match=TOO_MUCH):
        load_pack(str(folder))


def test_work_that_grows_with_a_record_fails_there(folder: Path) -> None:
    begin_editor(folder, "{% for a in instruction %}{% for b in instruction %}{% endfor %}{% endfor %}")
    pack = load_pack(str(folder))
    values = RECORD | {"response": "Yes.", "suggestions": "No."}
    assert pack.render("editor", instruction="Why? " * 20, **values)
    with pytest.raises(PackError, match=rf"_editor\.jinja, line 2: {TOO_MUCH}"):
        pack.render("editor", instruction="Why? " * 2_000, **values)
    # What is only long is no work.
    begin_editor(folder, "{{ '' if instruction|length else '' }}")
    assert load_pack(str(folder)).render("editor", instruction="Why? " * BASE, **values)


def test_a_template_may_extend_another(folder: Path) -> None:
    base = "{% call user_message() %}{% block all %}{{ request }}{% endblock %}{% endcall %}"
    (folder / "_base.jinja").write_text(base)
    mine = "{% block all %}{{ super() }}: {{ response ~ suggestions }}{% endblock %}"
    (folder / "editor.jinja").write_text("{% extends '_base.jinja' %}" + mine)
    (message,) = load_pack(str(folder)).render(
        "editor", instruction="Why?", **RECORD | {"response": "A", "suggestions": "B"}
    )
    assert message["content"] == "Why?: AB"


def test_what_texts_need_is_there(folder: Path) -> None:
    source = (
        "{% call user_message() %}{{ request }}{{ response }}{{ suggestions }}\n"
        "{% for line in instruction.splitlines() if line %}\n"
        "{{ loop.index }}/{{ loop.length }} {{ line|trim }}\n"
        "{% endfor %}{% set n = namespace(words=0) %}\n"
        "{% for word in instruction.split() %}{% set n.words = n.words + 1 %}{% endfor %}\n"
        "{{ n.words }} {{ '-' * 5 }} {{ instruction[:3] ~ '…' }} {{ [1, 2]|map('string')|join(', ') }}\n"
        "{{ 'a\nb'|indent(2) }} {{ {'k': 7}['k'] }} {{ {'a': 'é<'}|tojson }} {{ 'x'|upper }}\n"
        "{% if 'b' in 'abc' and 1 < 2 %}{{ '%' }}{% endif %}{% endcall %}"
    )
    (folder / "editor.jinja").write_text(source, encoding="utf-8")
    values = RECORD | {"response": "R", "suggestions": "S"}
    (message,) = load_pack(str(folder)).render("editor", instruction=" one two \n\nthree", **values)
    assert message["content"] == (
        'one two \n\nthreeRS\n1/2 one two\n2/2 three\n3 ----- on… 1, 2\na\n  b 7 {"a": "\\u00e9\\u003c"} X\n%'
    ).replace(" on…", "  on…")


def test_filters_of_numbers_and_lists(folder: Path) -> None:
    source = (
        "{% call user_message() %}{{ request }}{{ response }}{{ suggestions }}\n"
        "{{ [3, 1, 2]|sort|join }} {{ ['b', 'A']|sort(reverse=true)|join }} {{ 2.345|round(1) }} "
        "{{ ['b', 'B', 'a']|unique|join }} {{ [1, 2]|sum }} {{ 'one two'|title }} [{{ 'a'|center(3) }}] "
        "{{ [{'k': {'n': 5}}]|map(attribute='k.n')|join }}{% endcall %}"
    )
    (folder / "editor.jinja").write_text(source, encoding="utf-8")
    values = RECORD | {"response": "R", "suggestions": "S"}
    (message,) = load_pack(str(folder)).render("editor", instruction="I", **values)
    assert message["content"] == "IRS\n123 bA 2.3 ba 3 One Two [ a ] 5"


def test_names_and_includes_of_all_files_are_bounded(folder: Path) -> None:
    sets = "".join(f"{{% set a{i}=1 %}}" for i in range(170))
    for number in range(4):
        (folder / f"_{number}.jinja").write_text(sets + "{% if a1 %}{% endif %}" * 170)
    begin_editor(folder, "".join(f"{{% include '_{number}.jinja' %}}" for number in range(4)))
    with pytest.raises(PackError, match="too many blocks and includes in files with many names"):
        load_pack(str(folder))


def test_names_that_are_not_set_are_paid_for_at_an_include(folder: Path) -> None:
    unset = "{% if not request %}" + "".join(f"{{% set a{i}=1 %}}" for i in range(3000)) + "{% endif %}"
    (folder / "_empty.jinja").write_text("")
    begin_editor(folder, unset + "{% for i in range(500) %}{% include '_empty.jinja' %}{% endfor %}")
    with pytest.raises(PackError, match=TOO_MUCH):
        load_pack(str(folder))


PIECES = st.sampled_from(
    [
        "{% for a in instruction %}",
        "{% for a in range(300) %}",
        END,
        "{% if a is defined %}",
        "{% else %}",
        "{% endif %}",
        "{% set a = [a, a] %}",
        "{% set a = a ~ a %}",
        "{% set n.a = n.a + n.a %}",
        "{% set a %}",
        "{% endset %}",
        "{% macro m(a) %}",
        "{% endmacro %}",
        "{{ m(a) }}",
        "{{ caller() }}",
        "{% call m(a) %}",
        "{% endcall %}",
        "{{ a|replace('a', a)|list }}",
        "{{ a|map('upper')|join(a) }}",
        "{{ a.split(a) }}",
        "{{ a[1:] == a }}",
        "{% filter replace('a', 'aaaa') %}",
        "{% endfilter %}",
        "text",
    ]
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(source=st.lists(PIECES, max_size=25).map("".join))
def test_any_template_is_rendered_or_refused_within_bounds(folder: Path, source: str) -> None:
    body = "{% set a = 'aaa' %}{% set n = namespace(a='aa') %}" + source
    (folder / "editor.jinja").write_text(EDITOR.format(body), encoding="utf-8")
    tracemalloc.start()
    try:
        load_pack(str(folder))
    except PackError:
        pass
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < MOST_MEMORY


# --- files


def test_what_is_no_file_of_the_pack_is_refused(folder: Path, tmp_path: Path) -> None:
    def refused(complaint: str) -> None:
        with pytest.raises(PackError, match=complaint):
            load_pack(str(folder))
        (folder / "_x.jinja").unlink()

    (tmp_path / "secret.txt").write_text("key")
    (folder / "_x.jinja").symlink_to(tmp_path / "secret.txt")
    refused(r"_x\.jinja is a link to .*secret\.txt, out of the pack")
    (folder / "_x.jinja").symlink_to(tmp_path)
    refused(r"_x\.jinja is a link to .*, out of the pack")
    (folder / "_x.jinja").symlink_to("nowhere")
    refused(r"_x\.jinja cannot be read: No such file")
    (folder / "_x.jinja").symlink_to("_x.jinja")
    refused(r"_x\.jinja cannot be read: ")
    os.mkfifo(folder / "_x.jinja")
    refused(r"_x\.jinja is not a regular file")
    (folder / "_x.jinja").write_text("x" * (MAX_FILE_KB * 1000 + 1))
    refused(rf"_x\.jinja is larger than {MAX_FILE_KB} KB")
    (folder / "_x.jinja").write_bytes(b"line\n\xc3")
    refused(r"_x\.jinja, line 2: this is no UTF-8")
    (folder / "_x.jinja").symlink_to("_record.jinja")
    assert load_pack(str(folder))
    (folder / "_x.jinja").unlink()
    (folder / "_x.jinja").mkdir()
    with pytest.raises(PackError, match=r"_x\.jinja is not a regular file"):
        load_pack(str(folder))


def test_too_many_files_are_refused(folder: Path) -> None:
    for number in range(MAX_PACK_KB // MAX_FILE_KB):
        (folder / f"_{number}.jinja").write_text("x" * (MAX_FILE_KB * 1000))
    with pytest.raises(PackError, match=f"are larger than {MAX_PACK_KB} KB together"):
        load_pack(str(folder))
    for number in range(MAX_FILES):
        (folder / f"_{number}.jinja").write_text("x")
    with pytest.raises(PackError, match=f"more than {MAX_FILES} files"):
        load_pack(str(folder))


@pytest.mark.parametrize("name", ["~no such user/x", "x" * 5_000, "a\0b", "a\udcff", "/dev/null"])
def test_what_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(PackError, match="no prompt pack at"):
        load_pack(name)


def test_half_a_surrogate_pair_is_refused(folder: Path) -> None:
    (folder / "editor.jinja").write_text(EDITOR.format("{{ '\\ud800' }}"))
    with pytest.raises(PackError, match="half of a surrogate pair"):
        load_pack(str(folder))
