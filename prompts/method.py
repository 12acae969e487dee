"""The method in one place: its steps, and which of them each mode takes.

Everything else follows from these two tables: the templates that a prompt pack needs and what each may show,
the personas shown at the nodes in Studio, what the agents are called, the order in which a debate is read.
The edges stand in `graph/build.py`.
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
    """What its prompt may show besides the request, as variables of its template. The view of its node
    (a TypedDict next to the node) is the same in terms of the graph's state."""
    templates: tuple[str, ...]
    """The templates that ask it, one for each form of the reply."""
    continues: bool = False
    """Whether its messages follow the agent's own earlier ones, which hold the record already."""


def _step(
    name: str,
    role: Role,
    label: str,
    purpose: Purpose,
    sees: tuple[str, ...],
    *templates: str,
    continues: bool = False,
) -> Step:
    return Step(name, role, label, purpose, sees, templates or (name,), continues)


_JUDGE = ("response_1", "response_2"), "judge_compare", "judge_score"

STEPS: Mapping[str, Step] = {
    step.name: step
    for step in (
        _step("positive_opening", "positive", "Positive debater, opening", "speech", ("response",)),
        _step("critical_opening", "critical", "Critical debater, opening", "speech", ("response",)),
        _step(
            *("positive_free", "positive", "Positive debater, free debate", "speech"),
            ("response", "other_opening"),
            continues=True,
        ),
        _step(
            *("critical_free", "critical", "Critical debater, free debate", "speech"),
            ("response", "other_opening"),
            continues=True,
        ),
        _step("advisor", "advisor", "Advisor", "suggestions", ("response", "debate")),
        _step("editor", "editor", "Editor", "draft", ("suggestions", "response")),
        _step("judge_forward", "judge", "Judge, current response first", "verdict", *_JUDGE),
        _step("judge_reversed", "judge", "Judge, draft first", "verdict", *_JUDGE),
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


@dataclass(frozen=True, slots=True)
class Mode:
    """Which steps take part."""

    name: str
    steps: tuple[str, ...]
    shows_response: bool = True
    """Whether advisor and editor see the current response."""

    @property
    def is_judged(self) -> bool:
        """Whether a judge decides about each draft, so that rounds repeat. In other modes the draft is the
        result: nothing is accepted there, the response is rewritten."""
        return "judge_forward" in self.steps

    def shown(self, step: str) -> tuple[str, ...]:
        """Return what a step sees in this mode: of all it may see, what the mode has."""
        available = {"other_opening", "response_1", "response_2"}
        available |= {"response"} if self.shows_response else set()
        available |= {"debate"} if DEBATE[-1] in self.steps else set()
        available |= {"suggestions"} if "advisor" in self.steps else set()
        return tuple(name for name in STEPS[step].sees if name in available)


MODES: Mapping[str, Mode] = {
    mode.name: mode
    for mode in (
        Mode("edit", ("editor",), shows_response=False),
        Mode("advise-blind", ("advisor", "editor"), shows_response=False),
        Mode("advise", ("advisor", "editor")),
        Mode("debate", (*DEBATE, "advisor", "editor")),
        Mode("evolve", tuple(STEPS)),
    )
}
"""The modes by name; the five of the paper in the order of their numbers, from 0."""


@dataclass(frozen=True, slots=True)
class TemplateContract:
    """What one template of a prompt pack is given."""

    variables: tuple[str, ...]
    cases: tuple[tuple[str, ...], ...]
    """For each way the modes use the template, which of `variables` hold something; the others are None. A
    template must show what holds something, because what an agent sees is part of the method."""
    continues: bool
    """As for `Step`."""


def _contracts() -> Iterator[tuple[str, TemplateContract]]:
    for step in STEPS.values():
        cases = dict.fromkeys(mode.shown(step.name) for mode in MODES.values() if step.name in mode.steps)
        for template in step.templates:
            yield template, TemplateContract(step.sees, tuple(cases), step.continues)


TEMPLATES: Mapping[str, TemplateContract] = dict(_contracts())
"""The templates of a prompt pack by name."""
