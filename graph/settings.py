"""All settings of the method in one frozen model, which is also the graphs' context.

The command line, a TOML file, LangGraph Studio and Python fill the same fields, with the same bounds and the
same messages. Each field is declared where it is used: those of the agents in `nodes.settings`, those of the
models in `models.settings`, those of the loop and of conversations here.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, Field, ValidationError, field_validator

from graph.complaints import complaints
from models.settings import AUTO, PANEL, REFEREES, ROLES, ModelSettings, Role
from nodes.settings import AgentSettings
from prompts.method import STEPS, Mode
from samples.thoughts import Thoughts

WHAT_IT_COSTS = frozenset({"price", "service_tier"})
"""Fields that change no result, only the bill; a run's manifest has the latest."""

WHERE_NOT_WHAT = WHAT_IT_COSTS | {"base_url", "role_base_urls", "timeout", "max_input_tokens", "prompts"}
"""Fields that change no result: these, where a model is served, how long to wait for it, how much can be sent
to it, and where the prompts are, whose texts are compared by their hash."""

FREE_ON_RESUME = WHERE_NOT_WHAT | {"max_tokens"}
"""Fields that may differ when a run is resumed: these and the limit on replies, since a reply that ended
within one limit is the same under another."""


BEFORE: Mapping[str, Any] = {"guards": "off", "tokenizer": "estimate", "thoughts": "text"}
"""Settings whose default is not what runs did before there was the setting, with the value they had then; for
all others the default is."""


class Settings(ModelSettings, AgentSettings):
    """Everything that decides what the agents are asked and how their answers are used."""

    max_rounds: int = Field(
        3,
        ge=1,
        description="The most rounds over one exchange.",
        json_schema_extra={"langgraph_nodes": ["decide"]},
    )
    drafts: int = Field(
        4,
        ge=1,
        description="In mode `best-of-n`, how many drafts are written.",
        json_schema_extra={"langgraph_nodes": ["decide"]},
    )
    history_window: int = Field(
        2,
        ge=1,
        description="In a conversation, how many exchanges make up a request, including the current one.",
    )
    conversation_template: str = Field(
        "vicuna_v1.1", description="The FastChat template that writes a conversation as one request."
    )
    max_exchanges: int | None = Field(
        None,
        ge=1,
        description="How many exchanges of a conversation are worked on; without it, "
        "`max_conversation_tokens` decides.",
    )
    max_conversation_tokens: int = Field(
        2048,
        ge=1,
        description="Work on a conversation stops after the exchange at which it has this many tokens, as "
        "`tokenizer` counts them.",
    )
    tokenizer: str = Field(
        AUTO,
        min_length=1,
        description="What counts the tokens of a conversation: a tokenizer.json, a folder with one, or a "
        "name on the Hugging Face hub (these need the extra `tokenizer`); `auto` asks the editor's server, "
        "as vLLM and llama.cpp can be. Where nothing counts, and with `estimate`, tokens are estimated, "
        "mostly within 30 %.",
    )

    thoughts: Thoughts = Field(
        "skip",
        description="What to do with responses of the data that have thoughts, which no agent sees: `skip` "
        "leaves them as they are; with `drop` a new response has none, with `keep` the old ones, which may "
        "not lead to it. `text` takes thoughts in a response for a part of it.",
    )

    @field_validator("conversation_template")
    @classmethod
    def _template_is_known(cls, name: str) -> str:
        from fastchat.conversation import conv_templates

        if name not in conv_templates:
            raise ValueError(f"{name!r} is not one of FastChat's templates: {', '.join(conv_templates)}")
        try:
            conv_templates[name].get_prompt()
        except ValueError:
            # FastChat lists some models that are only served by API; their templates have no text form.
            raise ValueError(
                f"FastChat's template {name!r} has no text form; use vicuna_v1.1, the default"
            ) from None
        return name


class RefereeSettings(Settings):
    """The settings of a trial's referees, each a role of its own with a model of its own."""

    @property
    def roles(self) -> tuple[Role, ...]:
        """The referees."""
        return tuple(role for role in REFEREES if role in self.role_models)

    @property
    def panel(self) -> Mapping[Role, str]:
        """The referees, each with its model."""
        return {role: self.endpoint(role).model for role in self.roles}


OF_CONVERSATIONS = frozenset(
    {"history_window", "conversation_template", "max_exchanges", "max_conversation_tokens", "tokenizer"}
)
"""Settings that only a conversation uses."""

_BY_ROLE = ("role_models", "role_base_urls", "role_extra_body")


def _is_used(name: str, mode: Mode, conversation: bool) -> bool:
    """Whether a mode uses a setting, as far as the setting's nodes do not say. Studio shows no prices."""
    if name in OF_CONVERSATIONS:
        return conversation
    if name in ("drafts", "draft_temperature"):
        return mode.is_best_of
    if name == "max_rounds":
        return mode.is_judged and not mode.is_best_of
    return mode.is_judged if name == "rehearsal_wins" else name != "price"


def settings_of(mode: Mode, *, conversation: bool = False) -> type[Settings]:
    """Return the settings as Studio shows them for a graph: those that it uses, at nodes that it has, for
    roles that it has. What cannot be used is said as on the command line."""
    nodes = {*mode.steps, "guards", *(["decide"] if mode.is_judged else [])}
    roles = [role for role in ROLES if role in {STEPS[step].role for step in mode.steps}]
    roles += PANEL[1:] if mode.is_judged else []

    def show(schema: dict[str, Any]) -> None:
        for name, field in list(schema["properties"].items()):
            there = [node for node in field.get("langgraph_nodes", ["all"]) if node in {*nodes, "all"}]
            if not there or not _is_used(name, mode, conversation):
                del schema["properties"][name]
            elif "langgraph_nodes" in field:
                field["langgraph_nodes"] = ["exchange_graph"] if conversation else there
            if name in _BY_ROLE:
                field["propertyNames"] = {"enum": roles}

    class Shown(Settings):
        model_config = ConfigDict(title="Settings", json_schema_extra=show)

        def __init__(self, **given: Any) -> None:
            try:
                super().__init__(**given)
            except ValidationError as error:
                raise ValueError("\n".join(complaints(error, Settings.model_fields))) from None

    return Shown
