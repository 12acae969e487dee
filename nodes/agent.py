"""What all agents have in common: what they can see of a record, and how they speak to their model."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol, TypeVar

from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from models.call import Shortenable, Step, VerdictForm
from nodes.settings import AgentSettings
from prompts.pack import Message, current_pack, request_text


class Material(TypedDict):
    """The part of the state that every agent sees: the request, and where in the run it stands.

    `system` and `input` are empty where the record has none.
    """

    id: str
    exchange: int
    round: int
    system: str
    instruction: str
    input: str


class MaterialWithResponse(Material):
    """The request and the current response."""

    response: str


View_contra = TypeVar("View_contra", contravariant=True)


class Node(Protocol[View_contra]):
    """A node of a graph: reads its view of the state, makes one call, gives an update of the state.

    The runtime's context is the settings.
    """

    async def __call__(self, state: View_contra, *, runtime: Runtime[Any]) -> dict[str, Any]:
        """Work once."""
        ...


class Ask(Protocol):
    """The way a node speaks to the model of its role."""

    async def __call__(
        self,
        step: Step,
        at: Mapping[str, Any],
        settings: AgentSettings,
        messages: list[Message],
        *,
        whole: bool = False,
        asked: int = 1,
        form: VerdictForm | None = None,
        shortenable: Shortenable | None = None,
    ) -> str:
        """Make the call of a step, for the place in the run that the state `at` names; give the reply.

        `whole`, `asked`, `form` and `shortenable` are those of `models.call.Call`.
        """
        ...


async def prompt(
    template: str, settings: AgentSettings, state: Material, *, persona: str, **values: Any
) -> list[Message]:
    """The messages of a template: the request in `state`, the persona, and what else the agent sees.

    Raises:
        PackError: the prompt pack of the settings cannot be used.
    """
    return (await renderer(template, settings, state, persona=persona, **values))()


async def renderer(
    template: str, settings: AgentSettings, state: Material, *, persona: str, **values: Any
) -> Callable[..., list[Message]]:
    """What makes the messages of a template; it takes the values that are not given here.

    Raises:
        PackError: the prompt pack of the settings cannot be used.
    """
    pack = await current_pack(settings.prompts)
    return partial(pack.render, template, persona=persona, **shown(state), **values)


def shown(state: Material) -> dict[str, str]:
    """The request as the variables of a prompt."""
    instruction, given = state["instruction"], state["input"]
    return {
        "system": state["system"],
        "instruction": instruction,
        "input": given,
        "request": request_text(instruction, given),
    }
