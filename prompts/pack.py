"""Prompt packs: folders of Jinja2 templates that say what each agent is told.

What a pack may use is the table `TEMPLATES`; loading, trial renderings and documents all follow it.
What a data set holds is only ever a value of a template, never a part of one, and `fence` sets it apart
from what the pack itself says. A pack is read once, as a whole: what renders is what `digest` names, and
rendering touches no file. Not covered: whether a model understands the pack.
"""

import asyncio
import hashlib
import itertools
import math
import re
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template, TemplateError, nodes
from jinja2.exceptions import TemplateSyntaxError
from jinja2.meta import find_referenced_templates, find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment
from typing_extensions import TypedDict

Role = Literal["system", "user", "assistant"]


class Message(TypedDict):
    """One message of a model call."""

    role: Role
    content: str


class PackError(ValueError):
    """A pack cannot be used. The message names the file, what is wrong with it, and what to do."""


class Debate(NamedTuple):
    """The four contributions, in the order in which the advisor sees them."""

    positive_opening: str
    critical_opening: str
    positive_free: str
    critical_free: str


# Known to every template. `system` is the record's own system prompt and `input` the second part of an
# Alpaca request, each "" where there is none; `request` is the instruction and, after a blank line, the
# input.
COMMON = ("persona", "system", "instruction", "input", "request")


@dataclass(frozen=True)
class Needs:
    """What one template is given beside `COMMON`, and in which cases.

    `cases` lists, for each way the modes use the template, which of `variables` hold something; the others
    are None then. What holds something must be shown by the template, because what an agent sees is part of
    the method. `opens` is false where the messages follow an earlier conversation, which holds the record.
    """

    variables: tuple[str, ...]
    cases: tuple[tuple[str, ...], ...]
    opens: bool = True


TEMPLATES: Mapping[str, Needs] = {
    "positive_opening": Needs(("response",), (("response",),)),
    "critical_opening": Needs(("response",), (("response",),)),
    # The node puts the debater's own opening, prompt and reply, before these messages.
    "positive_free": Needs(("response", "other_opening"), (("response", "other_opening"),), opens=False),
    "critical_free": Needs(("response", "other_opening"), (("response", "other_opening"),), opens=False),
    # advise-blind; advise; debate and evolve
    "advisor": Needs(("response", "debate"), ((), ("response",), ("response", "debate"))),
    # edit; advise-blind; advise, debate and evolve
    "editor": Needs(("suggestions", "response"), ((), ("suggestions",), ("suggestions", "response"))),
    "judge_compare": Needs(("response_1", "response_2"), (("response_1", "response_2"),)),
    "judge_score": Needs(("response_1", "response_2"), (("response_1", "response_2"),)),
}

BLOCKS: Mapping[str, Role] = {
    "system_message": "system",
    "user_message": "user",
    "assistant_message": "assistant",
}

BUILT_IN = ("default", "classic")

_ENDING = ".jinja"

# What an expression in a template can end with, beside Jinja's own errors.
_TEMPLATE_MISTAKES = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


def request_text(instruction: str, input: str) -> str:
    """The request as one text: the instruction and, after a blank line, the input where there is one."""
    return f"{instruction}\n\n{input}" if input else instruction


def fence(tag: str, text: str) -> str:
    """Put text between `<tag>` and `</tag>`, each on a line of its own, without changing it.

    Where the text holds that closing tag itself, in whatever spelling, the tag is numbered (`tag-2`, ...), so
    that a record cannot end its own fence. The same text always gets the same tag.
    """
    closings = re.findall(rf"<\s*/\s*{re.escape(tag)}(?:-(\d+))?(?![\w-])", text, re.IGNORECASE)
    taken = {number or "1" for number in closings}
    number = next(str(n) for n in itertools.count(1) if str(n) not in taken)
    name = tag if number == "1" else f"{tag}-{number}"
    return f"<{name}>\n{text}\n</{name}>"


@dataclass(frozen=True)
class Pack:
    """A loaded prompt pack. `digest` is the SHA-256 of its files, for the record of what made a run."""

    name: str
    folder: Path
    digest: str
    _templates: Mapping[str, Template] = field(repr=False)

    def render(self, template: str, **values: Any) -> list[Message]:
        """The messages of one template.

        The values are those `TEMPLATES` and `COMMON` name, all of them; only `request` may be left out and is
        made from instruction and input then. `debate` is a list of the four contributions in the order of
        `Debate`. Blank space around a message is the template's and is removed.

        Raises PackError where the messages that come out are no prompt (text beside them, the last one not
        the user's), and TypeError where a value is missing or not known: that is the caller's mistake.
        """
        needs = TEMPLATES[template]
        values.setdefault("request", request_text(values["instruction"], values["input"]))
        expected = {*COMMON, *needs.variables}
        if values.keys() != expected:
            raise TypeError(f"{template}: values differ: {sorted(values.keys() ^ expected)}")
        if values.get("debate") is not None:
            values["debate"] = Debate(*values["debate"])
        file = f"{self.folder / template}{_ENDING}"
        messages: list[Message] = []
        # The blocks are made for this rendering, so that renderings side by side share nothing.
        for block, role in BLOCKS.items():
            values[block] = _collector(messages, role)
        try:
            beside = self._templates[template].render(values)
        except (TemplateError, *_TEMPLATE_MISTAKES) as error:
            raise PackError(f"{_place(error, self.folder, file)}: {error}") from error
        if beside.strip():
            raise PackError(
                f"{file}: text outside of a message: {beside.strip()[:60]!r}; put it into "
                "{% call user_message() %} ... {% endcall %}"
            )
        if not messages or messages[-1]["role"] != "user":
            raise PackError(f"{file}: the last message must be a user_message()")
        if not needs.opens and any(message["role"] == "system" for message in messages):
            raise PackError(
                f"{file}: no system_message() here: these messages follow the debater's opening, "
                "which has one already"
            )
        return messages


def load_pack(name_or_folder: str) -> Pack:
    """A built-in pack by its name (default, classic) or any folder with the templates of one.

    The pack is checked as a whole: every template there, no unknown variable, and each rendering that a mode
    can ask for is tried once. A folder that has not changed since is not loaded again; finding that out reads
    its listing. Raises PackError, naming file and variable.
    """
    if name_or_folder in BUILT_IN:
        folder = Path(__file__).parent / name_or_folder
    else:
        folder = Path(name_or_folder).expanduser().absolute()
    if not folder.is_dir():
        raise PackError(
            f"no prompt pack at {folder}: give a folder, or one of the built-in packs {', '.join(BUILT_IN)}"
        )
    state = _state(folder)
    known = _loaded.get(folder)
    if known is None or known[0] != state:
        # Concurrent first calls may both load; they come to the same pack.
        known = _loaded[folder] = (state, _load(folder))
    return known[1]


async def current_pack(name_or_folder: str) -> Pack:
    """`load_pack` for a node: never blocks its event loop, and looks for changes at most once a second."""
    looked, pack = _current.get(name_or_folder, (-math.inf, None))
    if pack is None or time.monotonic() - looked > 1:
        looked, pack = time.monotonic(), await asyncio.to_thread(load_pack, name_or_folder)
        _current[name_or_folder] = (looked, pack)
    return pack


@contextmanager
def held_pack(name_or_folder: str) -> Iterator[None]:
    """Until it is left, nodes are given the pack as it is now.

    A run's prompts are part of what made it, whoever works on the templates meanwhile.
    """
    _current[name_or_folder] = (math.inf, load_pack(name_or_folder))
    try:
        yield
    finally:
        del _current[name_or_folder]


_current: dict[str, tuple[float, Pack]] = {}
"""When each pack was looked at last, by the monotonic clock; infinity for one that is held."""

_State = tuple[tuple[str, int, int], ...]
_loaded: dict[Path, tuple[_State, Pack]] = {}


def _state(folder: Path) -> _State:
    stats = [(file.name, file.stat()) for file in sorted(folder.glob(f"[!.]*{_ENDING}"))]
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)


def _load(folder: Path) -> Pack:
    sources = _read(folder)
    for name in TEMPLATES:
        if name + _ENDING not in sources:
            raise PackError(
                f"{folder / name}{_ENDING} is missing; a pack needs "
                + ", ".join(known + _ENDING for known in TEMPLATES)
            )
    digest = hashlib.sha256()
    for name, source in sources.items():
        content = source.encode()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    environment = _environment(folder, sources)
    for name in TEMPLATES:
        _check_variables(environment, folder, sources, name)
    compiled = {name: environment.get_template(name + _ENDING) for name in TEMPLATES}
    pack = Pack(folder.name, folder, digest.hexdigest(), compiled)
    for name in TEMPLATES:
        _try(pack, name)
    return pack


def _read(folder: Path) -> dict[str, str]:
    sources = {}
    for file in sorted(folder.glob(f"[!.]*{_ENDING}")):
        try:
            sources[file.name] = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PackError(f"{file} cannot be read as UTF-8 text: {error}") from error
    return sources


def _environment(folder: Path, sources: Mapping[str, str]) -> Environment:
    """A sandbox that knows the pack's files as they were read, and nothing else on the disk."""

    def source(name: str) -> tuple[str, str, Callable[[], bool]] | None:
        return (sources[name], str(folder / name), lambda: True) if name in sources else None

    environment = ImmutableSandboxedEnvironment(
        loader=FunctionLoader(source),
        undefined=StrictUndefined,
        autoescape=False,
        auto_reload=False,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Chance has no place in a prompt: a call is known again by its text.
    del environment.globals["lipsum"], environment.filters["random"]
    environment.globals["fence"] = fence
    return environment


def _check_variables(
    environment: Environment, folder: Path, sources: Mapping[str, str], template: str
) -> None:
    """Refuse names that no rendering knows, in the template and in every file it includes or imports."""
    known = {*COMMON, *TEMPLATES[template].variables, *BLOCKS, *environment.globals}
    used: dict[str, set[str]] = {}
    waiting = [template + _ENDING]
    while waiting:
        name = waiting.pop()
        if name in used:
            continue
        try:
            tree = environment.parse(sources[name], name, str(folder / name))
            used[name] = find_undeclared_variables(tree)
        except TemplateSyntaxError as error:
            raise PackError(f"{folder / name}, line {error.lineno}: {error.message}") from error
        # An included file also sees what the including one has set.
        known |= {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
        for reference in find_referenced_templates(tree):
            if reference is None or reference not in sources:
                raise PackError(
                    f"{folder / name} includes {reference or 'a file named by an expression'}; "
                    f"it can only include *{_ENDING} files of its own folder, named in quotes"
                )
            waiting.append(reference)
    among = ", ".join((*COMMON, *TEMPLATES[template].variables))
    for name, variables in used.items():
        for variable in sorted(variables - known):
            raise PackError(
                f"{folder / name}: unknown variable {variable!r}; {template}{_ENDING} knows {among}"
            )


def _try(pack: Pack, template: str) -> None:
    """Render every case the modes can ask for, with and without input and system prompt."""
    needs = TEMPLATES[template]
    for case, system, input in itertools.product(needs.cases, ("", "The system."), ("", "The input.")):
        given: dict[str, Any] = {name: f"The {name}." for name in needs.variables if name in case}
        if "debate" in given:
            given["debate"] = [f"The {name}." for name in Debate._fields]
        values = dict.fromkeys(needs.variables) | given
        record = {"instruction": "The instruction.", "input": input}
        messages = pack.render(template, persona="The persona.", system=system, **record, **values)
        text = "\n".join(message["content"] for message in messages)
        shown = {**record, **given} if needs.opens else {"other_opening": given["other_opening"]}
        for name, value in shown.items():
            if any(part not in text for part in ([value] if isinstance(value, str) else value)):
                raise PackError(
                    f"{pack.folder / template}{_ENDING} does not show {name}, "
                    "which this agent must see; show it in one of its messages"
                )
        if not all(message["content"] for message in messages):
            raise PackError(f"{pack.folder / template}{_ENDING}: a message is empty; leave it out")


def _collector(messages: list[Message], role: Role) -> Callable[..., str]:
    def collect(*, caller: Callable[[], str]) -> str:
        messages.append({"role": role, "content": caller().strip()})
        return ""

    return collect


def _place(error: Exception, folder: Path, file: str) -> str:
    """The template file and line an error comes from, as far as Jinja tells."""
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    inside = [f"{name}, line {line}" for name, line in frames if Path(name).parent == folder]
    return inside[-1] if inside else file


__all__ = [
    "BUILT_IN",
    "COMMON",
    "TEMPLATES",
    "Debate",
    "Message",
    "Needs",
    "Pack",
    "PackError",
    "current_pack",
    "fence",
    "held_pack",
    "load_pack",
    "request_text",
]
