"""The settings of the agents: who they are and how they work."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.settings import Role
from prompts import personas
from prompts.method import STEPS

VerdictForm = Literal["compare", "score"]
"""The form of a verdict: the better response, or points for both, in the first line."""

Order = Literal["forward", "reversed"]
"""The order of judgment: the current response first, or the draft."""


def _at(*roles: Role) -> dict[str, Any]:
    """Return the key by which Studio shows a field at the nodes of these roles."""
    return {"langgraph_nodes": [step.name for step in STEPS.values() if step.role in roles]}


def _persona(text: str, role: Role, description: str) -> Any:
    return Field(text, description=description, json_schema_extra={**_at(role), "langgraph_type": "prompt"})


class AgentSettings(BaseModel):
    """The part of the settings that nodes read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompts: str = Field(
        "default", description="The prompt pack: `default`, `classic` or a folder of templates."
    )
    verdict: VerdictForm = Field(
        "compare",
        description="What the judge is asked for: the better response, or points for both.",
        json_schema_extra=_at("judge"),
    )
    clean: bool = Field(
        True,
        description="Take what is not the answer off the edges of a draft; off, drafts stay as written.",
        json_schema_extra=_at("editor"),
    )
    judge_retries: int = Field(
        1,
        ge=0,
        description="How often a judge whose verdict cannot be read is asked again; 0 is the paper's method.",
        json_schema_extra=_at("judge"),
    )
    lazy_judge: bool = Field(
        False,
        description="Ask the judge in the second order only where the first leaves the decision open. The "
        "responses are the same; the second judgment is then not on record.",
        json_schema_extra=_at("judge"),
    )
    guards: Literal["on", "off"] = Field(
        "on",
        description="Refuse drafts that cannot be a better response, without asking the judge: repeated "
        "instructions, chatter, the wrong language, loops, refusals, an unchanged response. `off` is the "
        "paper's method.",
        json_schema_extra={"langgraph_nodes": ["guards"]},
    )
    check: str | None = Field(
        None,
        min_length=1,
        description="Refuse drafts whose final answer is not that of the record's reference, without asking "
        "the judge: `exact` compares texts and numbers, `math` formulas too; a command gets the record as "
        "JSON and ends with 0 where the draft agrees. Independent of `guards`.",
        json_schema_extra={"langgraph_nodes": ["guards"]},
    )
    memory_window: int = Field(
        0,
        ge=0,
        description="How many of the latest messages of its conversation a debater sees in the free debate: "
        "1 is the prompt of the free debate alone, 2 its own opening too, 0 all.",
        json_schema_extra={"langgraph_nodes": [step.name for step in STEPS.values() if step.continues]},
    )
    positive_persona: str = _persona(
        personas.POSITIVE, "positive", "Who the debater is that argues for the response."
    )
    critical_persona: str = _persona(
        personas.CRITICAL, "critical", "Who the debater is that argues against the response."
    )
    advisor_persona: str = _persona(
        personas.ADVISOR, "advisor", "Who the advisor is that turns the debate into suggestions."
    )
    editor_persona: str = _persona(
        personas.EDITOR, "editor", "Who the editor is that writes the new response."
    )
    judge_persona: str = _persona(
        personas.JUDGE, "judge", "Who the judge is that compares the old response with the new one."
    )

    @property
    def panel(self) -> Mapping[Role, str]:
        """The judges of a panel, each with its model; empty where one judge decides."""
        return {}

    def persona(self, role: Role) -> str:
        """Return the persona of a role."""
        text: str = getattr(self, f"{role}_persona")
        return text
