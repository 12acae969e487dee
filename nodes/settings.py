"""What the agents are told about themselves and how they work."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from models.call import VerdictForm
from prompts import personas


def _persona(text: str, *nodes: str) -> Any:
    # The two keys are what LangGraph Studio reads to show a field as an editable prompt at its nodes.
    hints: dict[str, Any] = {"langgraph_nodes": list(nodes), "langgraph_type": "prompt"}
    return Field(text, description="Who this agent is.", json_schema_extra=hints)


class AgentSettings(BaseModel):
    """The part of the settings that nodes read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompts: str = Field(
        "default",
        description="The prompt pack: `default`, `classic` or a folder of templates.",
    )
    verdict: VerdictForm = Field(
        "compare",
        description="What the judge is asked for: the better response, or points for both.",
        json_schema_extra={"langgraph_nodes": ["judge_forward", "judge_reversed"]},
    )
    judge_retries: int = Field(
        1,
        ge=0,
        description="How often a judge whose verdict cannot be read is asked for it once more; 0 is the "
        "method of the paper.",
        json_schema_extra={"langgraph_nodes": ["judge_forward", "judge_reversed"]},
    )
    lazy_judge: bool = Field(
        False,
        description="Ask the judge in the second order only where the first leaves something to decide. The "
        "responses that come out are the same; the second judgement is not on record.",
        json_schema_extra={"langgraph_nodes": ["judge_forward", "judge_reversed"]},
    )
    memory_window: int = Field(
        0,
        ge=0,
        description="How many of its own latest messages a debater sees in the free debate; 0 is all.",
        json_schema_extra={"langgraph_nodes": ["positive_free", "critical_free"]},
    )
    positive_persona: str = _persona(personas.POSITIVE, "positive_opening", "positive_free")
    critical_persona: str = _persona(personas.CRITICAL, "critical_opening", "critical_free")
    advisor_persona: str = _persona(personas.ADVISOR, "advisor")
    editor_persona: str = _persona(personas.EDITOR, "editor")
    judge_persona: str = _persona(personas.JUDGE, "judge_forward", "judge_reversed")
