"""The method in one place: its steps, what prompts show, and which steps each mode takes.

Everything else follows from these tables: the templates that a prompt pack needs and what each may show,
the personas shown at the nodes in Studio, what the agents are called, the order in which a debate is read.
The edges are in `graph/build.py`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from models.call import Purpose
from models.settings import Role


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a round: one agent, one model call."""

    name: str
    """The name of its node, and of its calls in the ledger."""
    role: Role
    label: str
    """What users read."""
    purpose: Purpose
    """What its reply is for."""
    sees: tuple[str, ...]
    """What its prompt may show besides the request, of `VARIABLES`. The view of its node (a TypedDict next to
    the node) is the same in terms of the graph's state."""
    forms: tuple[str, ...] = ()
    """The templates that ask it, one for each form of the reply; if empty, the one of its name."""
    order: str = ""
    """Of a judge: the field of a round that holds its verdict."""
    continues: bool = False
    """Whether its messages follow the agent's own earlier ones, which hold the record already."""
    optional: tuple[str, ...] = ()
    """What its prompt may show besides, where a record has it and a pack shows it."""

    @property
    def templates(self) -> tuple[str, ...]:
        """The templates that ask it."""
        return self.forms or (self.name,)


_REPLY = ("response", "other_opening")
_PAIR = ("response_1", "response_2")
_RIGHT = ("reference",)
_JUDGE = ("judge_compare", "judge_score")

STEPS: Mapping[str, Step] = {
    step.name: step
    for step in (
        # name, role, label, purpose, sees, forms, order
        Step("positive_opening", "positive", "Positive debater, opening", "speech", ("response",)),
        Step("critical_opening", "critical", "Critical debater, opening", "speech", ("response",)),
        Step("positive_free", "positive", "Positive debater, free debate", "speech", _REPLY, continues=True),
        Step("critical_free", "critical", "Critical debater, free debate", "speech", _REPLY, continues=True),
        Step("advisor", "advisor", "Advisor", "suggestions", ("response", "debate")),
        Step("editor", "editor", "Editor", "draft", ("suggestions", "response")),
        Step(
            *("judge_forward", "judge", "Judge, current response first", "verdict"),
            *(_PAIR, _JUDGE, "forward"),
            optional=_RIGHT,
        ),
        Step(
            *("judge_reversed", "judge", "Judge, draft first", "verdict"),
            *(_PAIR, _JUDGE, "reversed"),
            optional=_RIGHT,
        ),
    )
}
"""The steps by name, in the order in which a round is read."""


class Contributions(NamedTuple):
    """What the debaters said, in the order in which the advisor reads it."""

    positive_opening: str
    critical_opening: str
    positive_free: str
    critical_free: str


DEBATE = Contributions._fields
"""The steps of a debate."""

_JUDGMENTS = ("judge_forward", "judge_reversed")

VARIABLES: Mapping[str, tuple[str, ...]] = {
    "response": (),
    "other_opening": ("positive_opening", "critical_opening"),
    "debate": DEBATE,
    "suggestions": ("advisor",),
    "response_1": ("editor",),
    "response_2": ("editor",),
    "reference": (),
}
"""What prompts may show besides the request, each with the steps whose replies it is made from."""


@dataclass(frozen=True, slots=True)
class Mode:
    """Which steps take part."""

    name: str
    steps: tuple[str, ...]
    shows_response: bool = True
    """Whether advisor and editor see the current response."""
    editor: str = "editor"
    """The template that asks the editor."""
    is_best_of: bool = False
    """Whether its rounds are so many drafts from one prompt, each judged against the best so far. In other
    modes with a judge there is another round only while the draft is accepted."""

    @property
    def is_judged(self) -> bool:
        """Whether a judge decides about each draft, so that rounds repeat. In other modes the draft is the
        result: nothing is accepted there, the response is rewritten."""
        return any(STEPS[step].purpose == "verdict" for step in self.steps)

    def templates(self, step: str) -> tuple[str, ...]:
        """Return the templates that ask a step in this mode."""
        return (self.editor,) if step == "editor" else STEPS[step].templates

    def shown(self, step: str) -> tuple[str, ...]:
        """Return what a step sees in this mode: of all it may see, what the mode has."""
        return tuple(
            name
            for name in STEPS[step].sees
            if set(VARIABLES[name]) <= set(self.steps) and (name != "response" or self.shows_response)
        )


MODES: Mapping[str, Mode] = {
    mode.name: mode
    for mode in (
        Mode("edit", ("editor",), shows_response=False),
        Mode("advise-blind", ("advisor", "editor"), shows_response=False),
        Mode("advise", ("advisor", "editor")),
        Mode("debate", (*DEBATE, "advisor", "editor")),
        Mode("evolve", (*DEBATE, "advisor", "editor", *_JUDGMENTS)),
        Mode("refine", ("editor", *_JUDGMENTS), editor="editor_refine"),
        Mode("best-of-n", ("editor", *_JUDGMENTS), shows_response=False, is_best_of=True),
    )
}
"""The modes by name: the five of the paper in the order of their numbers, from 0, and two that debate has to
beat at equal cost, Refine-n-Judge (arXiv 2508.01543) without its debate and best-of-n."""


@dataclass(frozen=True, slots=True)
class TemplateContract:
    """What one template of a prompt pack is given."""

    variables: tuple[str, ...]
    cases: tuple[tuple[str, ...], ...]
    """For each way the modes use the template, which of `variables` hold something; the others are None. A
    template must show what holds something, because what an agent sees is part of the method."""
    continues: bool
    """As for `Step`, like `optional`."""
    optional: tuple[str, ...]


def _contracts() -> Iterator[tuple[str, TemplateContract]]:
    for step in STEPS.values():
        cases: dict[str, dict[tuple[str, ...], None]] = {}
        for mode in (mode for mode in MODES.values() if step.name in mode.steps):
            for template in mode.templates(step.name):
                cases.setdefault(template, {})[mode.shown(step.name)] = None
        for template, some in cases.items():
            yield template, TemplateContract(step.sees, tuple(some), step.continues, step.optional)
            if step.purpose == "verdict":
                yield f"{template}_again", TemplateContract(step.sees, ((),), True, step.optional)


TEMPLATES: Mapping[str, TemplateContract] = dict(_contracts())
"""The templates of a prompt pack by name. With `judge_compare_again` and `judge_score_again` a judge is asked
again whose verdict cannot be read; they follow its reply, and a pack may do without them."""

OWN_TEMPLATES = frozenset(TEMPLATES) - {
    name for step in STEPS.values() for template in step.templates for name in (template, f"{template}_again")
}
"""The templates that a mode has for itself."""
