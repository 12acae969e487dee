"""What all agents have in common: what they see of a record, and how they ask their model."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol, TypeVar

from langgraph.runtime import Runtime

from models.call import Message, Shortenable
from models.settings import Role
from nodes.settings import AgentSettings
from nodes.views import RequestView
from prompts.method import Step
from prompts.pack import current_pack, request_text

View_contra = TypeVar("View_contra", contravariant=True)


class Node(Protocol[View_contra]):
    """A node of a graph: reads its view of the state, makes one call, returns an update of the state.

    The runtime's context is the settings.
    """

    async def __call__(self, state: View_contra, *, runtime: Runtime[Any]) -> dict[str, Any]:
        """Run the node."""
        ...


class Ask(Protocol):
    """How a node asks the model of its role."""

    async def __call__(
        self,
        step: Step,
        at: Mapping[str, Any],
        settings: AgentSettings,
        messages: list[Message],
        *,
        asked: int = 1,
        form: str | None = None,
        shortenable: Shortenable | None = None,
        role: Role | None = None,
    ) -> str:
        """Make the call of a step at the point of the run that the state `at` names, and return the reply.

        Empty where the model was asked and wrote nothing that can be used, twice if the reply ended by
        itself; the judge's node asks again by itself.

        `asked`, `form` and `shortenable` are those of `models.call.Call`; `role` is given for each judge of a
        panel.
        """
        ...


async def prompt(
    template: str, settings: AgentSettings, state: RequestView, *, persona: str, **values: Any
) -> list[Message]:
    """Render a template with the request in `state`, the persona, and what else the agent sees.

    Raises:
        PackError: the prompt pack of the settings cannot be used.
    """
    return (await renderer(template, settings, state, persona=persona, **values))()


async def renderer(
    template: str, settings: AgentSettings, state: RequestView, *, persona: str, **values: Any
) -> Callable[..., list[Message]]:
    """Return a function that renders a template; it takes the values that are missing here.

    Raises:
        PackError: the prompt pack of the settings cannot be used.
    """
    pack = await current_pack(settings.prompts)
    return partial(pack.render, template, persona=persona, **request_values(state), **values)


def request_values(state: RequestView) -> dict[str, str]:
    """Return the request as the variables of a template."""
    instruction, given = state["instruction"], state["input"]
    return {
        "system": state["system"],
        "instruction": instruction,
        "input": given,
        "request": request_text(instruction, given),
    }


def missing(field: str, node: str) -> ValueError:
    """Return the error for a field of the state that a node of this round would have filled."""
    return ValueError(
        f"`{field}` is empty, as `{node}` did not run in this round: editing the state as one of two "
        f"nodes that run at the same time skips the other. Edit it as `{node}` too, or resume before both"
    )
