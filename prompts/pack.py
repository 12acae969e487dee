"""Prompt packs: folders of Jinja2 templates with what each agent is asked.

`prompts.method.TEMPLATES` defines what a pack may use. The texts of a data set are only ever values of a
template, never part of one, and `fence` marks them off from the pack's own text. A pack is read once, as a
whole, so that `digest` identifies what is rendered, and rendering reads no file.
"""

import asyncio
import hashlib
import itertools
import json
import math
import re
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jinja2 import Template, nodes
from jinja2.exceptions import TemplateSyntaxError
from jinja2.meta import find_referenced_templates, find_undeclared_variables

from models.call import Message, MessageRole
from prompts.method import DEBATE, MODES, OWN_TEMPLATES, TEMPLATES, Contributions
from prompts.pack_files import ENDING, PackError, State, find_files, read_files
from prompts.sandbox.budget import budget_for, paying
from prompts.sandbox.environment import Sandbox

__all__ = ["PackError"]


COMMON = ("persona", "system", "instruction", "input", "request")
"""The variables of every template. `system` is the record's own system prompt and `input` the second part of
an Alpaca request, each "" if there is none; `request` is the instruction and, after a blank line, the
input."""


BLOCKS: Mapping[str, MessageRole] = {
    "system_message": "system",
    "user_message": "user",
    "assistant_message": "assistant",
}

FirstLine = tuple[str, ...] | str
"""What a judge is to write in its first line. To compare: the names of response 1, of response 2 and of a
tie. To score: a text with `{score}` where the scores are."""

FIRST_LINE = "first_line"
"""The variable by which a judge's template states a `FirstLine` of its own."""

FIRST_LINES: Mapping[str, FirstLine] = {
    "judge_compare": ("assistant 1", "assistant 2", "equal"),
    "judge_score": "{score} {score}",
}
"""The first lines that the templates ask for which state none."""

BUILT_IN = ("default", "classic")


def request_text(instruction: str, input: str) -> str:
    """Return the request as one text: the instruction and, after a blank line, the input if there is one."""
    return f"{instruction}\n\n{input}" if input else instruction


@dataclass(frozen=True)
class Pack:
    """A loaded prompt pack."""

    name: str
    folder: Path
    digest: str
    """The SHA-256 of its files, but for those in `own`. One that says what a pack without it says leaves no
    trace; nor do files `_reference*.jinja`, and the lines that include them, which say something only in a
    run with references."""
    digest_with_references: str
    """The same in a run with references."""
    own: Mapping[str, str]
    """The texts of the templates that a mode has for itself."""
    shows_reference: frozenset[str]
    """The templates that show the reference, where the record has one."""
    first_lines: Mapping[str, FirstLine]
    """The first line that each template of a judge asks for."""
    sources: Mapping[str, str] = field(repr=False)
    """Its files as they were read, by name."""
    _templates: Mapping[str, Template] = field(repr=False)

    def require(self, templates: Iterable[str]) -> None:
        """Raise `PackError` if one of these templates is missing."""
        for name in templates:
            if name not in self._templates:
                raise PackError(
                    f"{self.folder / name}{ENDING} is missing; a pack needs the templates of all its steps"
                )

    def digest_for(self, modes: Iterable[str], *, references: bool = False) -> str:
        """Return the SHA-256 of its files in a run of these modes, for the manifest.

        A template that only other modes use leaves no trace.
        """
        used = {name for mode in modes for step in MODES[mode].steps for name in MODES[mode].templates(step)}
        digest = self.digest_with_references if references else self.digest
        if not (own := {name: text for name, text in self.own.items() if name in used}):
            return digest
        return hashlib.sha256(json.dumps([digest, own]).encode()).hexdigest()

    def render(self, template: str, **values: Any) -> list[Message]:
        """Render the messages of one template.

        All variables in `TEMPLATES` and `COMMON` need a value, except `request`, which defaults to
        instruction and input, and the optional ones, which default to None. `debate` is a list of the
        contributions in the order of `DEBATE`. Messages are stripped.

        Raises:
            PackError: the result is not a prompt (text outside of messages, or the last one is not the
                user's).
            TypeError: a value is missing or unknown.
        """
        contract = TEMPLATES[template]
        values.setdefault("request", request_text(values["instruction"], values["input"]))
        values = {**dict.fromkeys(contract.optional), **values}
        expected = {*COMMON, *contract.variables, *contract.optional}
        if values.keys() != expected:
            raise TypeError(f"{template}: values differ: {sorted(values.keys() ^ expected)}")
        if values.get("debate") is not None:
            values["debate"] = Contributions(*values["debate"])
        file = f"{self.folder}/{template}{ENDING}"
        self.require([template])
        messages: list[Message] = []
        # The blocks belong to this rendering, so that parallel renderings share nothing.
        for block, role in BLOCKS.items():
            values[block] = _collector(messages, role)
        try:
            with paying(budget_for(values)):
                outside = self._templates[template].render(values)
        except Exception as error:  # whatever an expression in a template raises
            what = str(error) or type(error).__name__
            raise PackError(f"{_error_location(error, self.folder, file)}: {what}") from error
        if outside.strip():
            raise PackError(
                f"{file}: text outside of a message: {outside.strip()[:60]!r}; put it into "
                "{% call user_message() %} ... {% endcall %}"
            )
        if not messages or messages[-1]["role"] != "user":
            raise PackError(f"{file}: the last message must be a user_message()")
        if contract.continues and any(message["role"] == "system" for message in messages):
            raise PackError(
                f"{file}: no system_message() here: these messages follow earlier ones of the agent, "
                "which have one already"
            )
        return messages


def load_pack(name_or_folder: str, modes: Iterable[str] = ()) -> Pack:
    """Load a built-in pack by its name (default, classic), or the pack in a folder.

    The pack is checked as a whole: no template that one of `modes` uses is missing, no variable is unknown,
    and each rendering that any mode can ask for is tried once. An unchanged folder is not loaded again.

    Raises:
        PackError: the pack cannot be used; the message names file and variable.
    """
    try:
        name_or_folder.encode()
        if name_or_folder in BUILT_IN:
            folder = Path(__file__).parent / name_or_folder
        else:
            folder = Path(name_or_folder).expanduser().absolute()
        is_folder = folder.is_dir()
    except (OSError, RuntimeError, ValueError):  # no user of that name, too long, no Unicode, a NUL
        folder, is_folder = Path(name_or_folder), False
    if not is_folder:
        raise PackError(
            f"no prompt pack at {folder}: give a folder, or one of the built-in packs {', '.join(BUILT_IN)}"
        )
    state = find_files(folder)
    known = _loaded.get(folder)
    if known is None or known[0] != state:
        # Concurrent first calls may both load, with the same result.
        known = _loaded[folder] = (state, pack_of(read_files(folder), folder))
    chosen = [MODES[mode] for mode in modes]
    known[1].require(name for mode in chosen for step in mode.steps for name in mode.templates(step))
    return known[1]


async def current_pack(name_or_folder: str) -> Pack:
    """Load a pack without blocking the event loop; check for changes at most once a second."""
    if (held := _held.get()) and held[0] == name_or_folder:
        return held[1]
    checked, pack = _current.get(name_or_folder, (-math.inf, None))
    if pack is None or time.monotonic() - checked > 1:
        checked, pack = time.monotonic(), await asyncio.to_thread(load_pack, name_or_folder)
        _current[name_or_folder] = (checked, pack)
    return pack


@contextmanager
def held_pack(name_or_folder: str, pack: Pack | None = None) -> Iterator[Pack]:
    """Make nodes use the pack as it is now until the context ends, so that edits do not affect a run; or use
    this pack in its place, which came from elsewhere."""
    pack = pack or load_pack(name_or_folder)
    token = _held.set((name_or_folder, pack))
    try:
        yield pack
    finally:
        _held.reset(token)


_current: dict[str, tuple[float, Pack]] = {}
"""Packs with the monotonic time of their last check."""

_held: ContextVar[tuple[str, Pack] | None] = ContextVar("held", default=None)
"""The pack that a run holds; other runs in this process may hold another one."""

_loaded: dict[Path, tuple[State, Pack]] = {}


def pack_of(files: Mapping[str, str], folder: Path) -> Pack:
    """Return the pack that these files are; `folder` is what messages name.

    Raises:
        PackError: it cannot be used.
    """
    sources = dict(files)
    environment = Sandbox(folder, sources)
    first_lines = {name: _first_line(environment, name) for name in FIRST_LINES if name + ENDING in sources}
    reminders = {f"{name}_again{ENDING}": _reminder(name, line) for name, line in first_lines.items()}
    own = {name: sources[name + ENDING] for name in sorted(OWN_TEMPLATES) if name + ENDING in sources}
    said = {
        name: source
        for name, source in sources.items()
        if source != reminders.get(name) and name.removesuffix(ENDING) not in own
    }
    without_references = {
        name: _INCLUDED_REFERENCE.sub("", source)
        for name, source in said.items()
        if not name.startswith("_reference")
    }
    for name, source in reminders.items():
        sources.setdefault(name, source)
    names = [name for name in TEMPLATES if name + ENDING in sources]
    for name in names:
        _check_variables(environment, name)
    compiled = {name: _compiled(environment, name) for name in names}
    digests = (_digest(without_references), _digest(said))
    pack = Pack(folder.name, folder, *digests, own, frozenset(), first_lines, files, compiled)
    showing = [name for name in names if _try(pack, name)]
    return replace(pack, shows_reference=frozenset(showing))


_INCLUDED_REFERENCE = re.compile(r'^\{% include "_reference\w*\.jinja" %\}\n', re.MULTILINE)


def _digest(sources: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for name, source in sources.items():
        content = source.encode()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _compiled(environment: Sandbox, template: str) -> Template:
    try:
        return environment.get_template(template + ENDING)
    except TemplateSyntaxError as error:
        raise _broken(error) from error


def _broken(error: TemplateSyntaxError) -> PackError:
    return PackError(f"{error.filename}, line {error.lineno}: {error.message}")


def _check_variables(environment: Sandbox, template: str) -> None:
    """Reject unknown variables in the template and in every file it includes or imports."""
    contract, folder = TEMPLATES[template], environment.folder
    own = (*COMMON, *contract.variables, *contract.optional)
    known = {*own, *BLOCKS, *environment.globals}
    used: dict[str, set[str]] = {}
    waiting = [template + ENDING]
    while waiting:
        name = waiting.pop()
        if name in used:
            continue
        try:
            tree = environment.tree(name)
            used[name] = find_undeclared_variables(tree)
        except TemplateSyntaxError as error:
            raise _broken(error) from error
        # An included file also sees what the including one has set.
        known |= {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
        for reference in find_referenced_templates(tree):
            if reference is None or reference not in environment.sources:
                raise PackError(
                    f"{folder / name} includes {reference or 'a file named by an expression'}; "
                    f"it can only include *{ENDING} files of its own folder, named in quotes"
                )
            waiting.append(reference)
    among = ", ".join(own)
    for name, variables in used.items():
        for variable in sorted(variables - known):
            raise PackError(
                f"{folder / name}: unknown variable {variable!r}; {template}{ENDING} can use {among}"
            )


def _first_line(environment: Sandbox, template: str) -> FirstLine:
    """Return the first line that a judge's template states (`{% set first_line = … %}`), or the usual one."""
    try:
        tree = environment.tree(template + ENDING)
    except TemplateSyntaxError:  # which is reported when the template is checked
        return FIRST_LINES[template]
    for node in tree.find_all(nodes.Assign):
        if not isinstance(node.target, nodes.Name) or node.target.name != FIRST_LINE:
            continue
        try:
            stated = node.node.as_const() if isinstance(node.node, nodes.Expr) else None
        except nodes.Impossible:
            stated = None
        usual = FIRST_LINES[template]
        if isinstance(usual, str):
            wanted = f'one line with {{score}} in place of the two scores, such as "{usual}"'
            if isinstance(stated, str) and stated.count("{score}") == 2 and "\n" not in stated.strip():
                return stated.strip()
        else:
            wanted = f"what names response 1, response 2 and a tie, such as {list(usual)}"
            parts = stated if isinstance(stated, list | tuple) else ()
            named = tuple(part.strip() for part in parts if isinstance(part, str) and "\n" not in part)
            if len(parts) == len({name.casefold() for name in named if name}) == len(usual):
                return named
        file = f"{environment.folder / template}{ENDING}"
        raise PackError(f"{file}, line {node.lineno}: {FIRST_LINE} must be {wanted}")
    return FIRST_LINES[template]


def _reminder(template: str, line: FirstLine) -> str:
    """Return the template by which a judge is asked again, of a pack that has none.

    Recorded requests hold the words for the usual first lines.
    """
    if isinstance(line, str):
        words = (
            "The first line of your reply has to be the scores alone, and it is not. Reply again: first one "
            "line with two numbers from 1 to 10, separated by a space (the score of response 1, then "
            "the score of "
            "response 2), then your explanation."
        )
        if line != FIRST_LINES[template]:
            words = words.replace(", separated by a space", f" in the form {_literal(line)}")
    else:
        words = (
            "The first line of your reply has to be the verdict alone, and it is not. Reply again: first one "
            "line that is exactly one of these three, then your explanation.\n"
        )
        words += "\n".join(line if line == FIRST_LINES[template] else map(_literal, line))
    return f"{{% call user_message() %}}\n{words}\n{{% endcall %}}\n"


def _literal(text: str) -> str:
    """Return the part of a template that shows a text as it is."""
    return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}"


def _try(pack: Pack, template: str) -> bool:
    """Render every case the modes can ask for, with and without input, system prompt and what is optional.

    Return whether what is optional is always shown.
    """
    contract = TEMPLATES[template]
    shows_optional = bool(contract.optional)
    optional = [{}, {name: f"The {name}." for name in contract.optional}] if contract.optional else [{}]
    cases = itertools.product(contract.cases, ("", "The system."), ("", "The input."), optional)
    for case, system, input, more in cases:
        given: dict[str, Any] = {name: f"The {name}." for name in contract.variables if name in case}
        if "debate" in given:
            given["debate"] = [f"The {name}." for name in DEBATE]
        values = dict.fromkeys(contract.variables) | given | more
        record = {"instruction": "The instruction.", "input": input}
        messages = pack.render(template, persona="The persona.", system=system, **record, **values)
        text = "\n".join(message["content"] for message in messages)
        if any("\ud800" <= char <= "\udfff" for char in text):
            raise PackError(f"{pack.folder / template}{ENDING} writes half of a surrogate pair")
        shown = {**record, **given}
        if contract.continues:
            shown = {name: value for name, value in given.items() if name == "other_opening"}
        for name, value in shown.items():
            if any(part not in text for part in ([value] if isinstance(value, str) else value)):
                raise PackError(
                    f"{pack.folder / template}{ENDING} does not show {name}, "
                    "which this agent must see; show it in one of its messages"
                )
        shows_optional = shows_optional and all(value in text for value in more.values())
        if not all(message["content"] for message in messages):
            raise PackError(f"{pack.folder / template}{ENDING}: a message is empty; leave it out")
    return shows_optional


def _collector(messages: list[Message], role: MessageRole) -> Callable[..., str]:
    def collect(*, caller: Callable[[], str]) -> str:
        messages.append({"role": role, "content": caller().strip()})
        return ""

    return collect


def _error_location(error: Exception, folder: Path, file: str) -> str:
    """Return the template file and line that an error comes from, as far as Jinja knows."""
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    inside = [f"{name}, line {line}" for name, line in frames if Path(name).parent == folder]
    return inside[-1] if inside else file
