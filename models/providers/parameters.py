"""Translates parameters for each provider.

The settings state them once, in our terms. Here they become the fields of a request, and what a provider
cannot do with them is collected for a notice, so that nothing is dropped silently.
"""

import re
from dataclasses import dataclass, field
from json import dumps
from typing import Any
from urllib.parse import urlsplit

from models.providers.prices import has_tier
from models.providers.reply_forms import FORM_FIELDS
from models.settings import Endpoint, ModelSettings, Provider, Role

LEAST_TEMPERATURE = 0.01
"""Sent instead of 0 to providers that do not take 0."""

LEAST_TOP_P = 0.01
"""The least top_p that GLM takes."""


@dataclass(frozen=True, slots=True)
class ThinkingSwitch:
    """How the thinking of some models is switched."""

    names: str
    """A regular expression for the beginning of their names."""
    on: dict[str, Any] | None
    """The fields that switch it on, None where none do."""
    off: dict[str, Any] | None
    fixed_sampling: bool = False
    """Whether they take no temperature and no top_p while they think."""


THINKING_SWITCHES: dict[Provider, tuple[ThinkingSwitch, ...]] = {
    # From the refusals of OpenAI's API: gpt-5 knows `minimal` and not `none`, its successors from 5.1 `none`
    # and not `minimal`, and only with `none` do they take a temperature.
    "openai": (
        ThinkingSwitch(r"gpt-5[\d.]*-chat", on=None, off={}),
        ThinkingSwitch(r"gpt-5[\d.]*-(?:pro|codex)|o\d", on={}, off=None, fixed_sampling=True),
        ThinkingSwitch(
            r"gpt-5\.\d",
            on={"reasoning_effort": "medium"},
            off={"reasoning_effort": "none"},
            fixed_sampling=True,
        ),
        ThinkingSwitch(
            r"gpt-5",
            on={"reasoning_effort": "medium"},
            off={"reasoning_effort": "minimal"},
            fixed_sampling=True,
        ),
    ),
    # Z.ai's migration notes: glm-5.3 always thinks, with an effort of low, high or max (its default).
    "glm": (
        ThinkingSwitch(r"glm-5\.3", on={}, off={"reasoning_effort": "low"}),
        ThinkingSwitch(
            r"glm-(?:4\.[5-9]|5)",
            on={"thinking": {"type": "enabled"}},
            off={"thinking": {"type": "disabled"}},
        ),
    ),
    # The switch of Qwen's, GLM's and most other chat templates that have one.
    "vllm": (
        ThinkingSwitch(
            r"",
            on={"chat_template_kwargs": {"enable_thinking": True}},
            off={"chat_template_kwargs": {"enable_thinking": False}},
        ),
    ),
}
"""By the beginning of the name (a proxy may put `vendor/` before it); the first match counts."""

OLD: frozenset[Provider] = frozenset({"wenxin", "glm-jwt"})
"""Old credentials: their libraries know no seed."""

OPENAI_HOSTS = ("openai.com", "openai.azure.com", "cognitiveservices.azure.com", "services.ai.azure.com")
"""Where OpenAI serves its models, at home and in Azure: these hosts and those below them."""


@dataclass(slots=True)
class Parameters:
    """What a request holds besides its messages."""

    temperature: float | None
    top_p: float | None
    seed: int | None
    effort: str | None = None
    body: dict[str, Any] = field(default_factory=dict)
    unsupported: list[str] = field(default_factory=list)
    """Notices about what the provider cannot do as the settings want it."""


def parameters(endpoint: Endpoint, role: Role, settings: ModelSettings) -> Parameters:
    """Translate the settings for a role's provider."""
    model = endpoint.model
    given = Parameters(settings.temperature, settings.top_p, settings.seed)
    if endpoint.provider == "rehearsal":
        return given
    if endpoint.provider == "reward":
        return Parameters(None, None, None, body=settings.further(role))
    given.body = settings.further(role)
    names = _limit_names(endpoint)
    if not given.body.keys() & set(names):
        given.body = {names[0]: settings.max_tokens, **given.body}
    _think(given, endpoint, settings)
    _serve(given, endpoint, settings)
    _bound(given, endpoint)
    if given.seed is not None and endpoint.provider in ("glm", *OLD):
        given.seed = None
        given.unsupported.append(f"{model} takes no seed: --seed does not reach it")
    return given


def draft_parameters(endpoint: Endpoint, settings: ModelSettings) -> Parameters:
    """Translate the settings for one of several drafts from one prompt."""
    sampled = settings.model_copy(update={"temperature": settings.temperature_of_drafts})
    return parameters(endpoint, "editor", sampled)


def sampling(given: Parameters, draft: int) -> dict[str, Any]:
    """Return the fields by which one of several drafts from one prompt, the number `draft`, is sampled."""
    seed = None if given.seed is None else given.seed + draft
    fields = {"temperature": given.temperature, "seed": seed}
    return {name: value for name, value in fields.items() if value is not None}


def reply_limit(endpoint: Endpoint, role: Role, settings: ModelSettings) -> int | None:
    """Return the most tokens a role's reply may have; None where `extra_body` removes the limit.

    Of several limits the largest, since it is unknown which of them a server obeys.
    """
    if endpoint.provider in ("rehearsal", "reward"):
        return settings.max_tokens
    body = parameters(endpoint, role, settings).body
    limits: list[Any] = [body[name] for name in _limit_names(endpoint) if name in body]
    if all(isinstance(limit, int) and limit > 0 for limit in limits):
        return int(max(limits))
    return None


def unlimited(settings: ModelSettings) -> list[Role]:
    """Return the roles whose replies are unlimited because `extra_body` removes the limit."""
    return [role for role in settings.roles if reply_limit(settings.endpoint(role), role, settings) is None]


def is_openai_itself(endpoint: Endpoint) -> bool:
    """Whether a model is served by OpenAI itself, at its own address or in Azure."""
    if endpoint.provider != "openai":
        return False
    host = urlsplit(endpoint.base_url or "").hostname or ""
    return endpoint.base_url is None or any(f".{host}".endswith(f".{own}") for own in OPENAI_HOSTS)


def notices(settings: ModelSettings, *, drafts: bool = False) -> list[str]:
    """Return what the providers cannot do with these settings, each once; `drafts` says whether several are
    written from one prompt."""
    given = [parameters(settings.endpoint(role), role, settings) for role in settings.roles]
    found = [line for each in given for line in each.unsupported]
    if drafts and settings.temperature_of_drafts != settings.temperature:
        drafted = draft_parameters(settings.endpoint("editor"), settings)
        if drafted.temperature is not None and settings.draft_temperature is None:
            found.append(
                f"best-of-n: the editor writes at a temperature of {drafted.temperature:g} "
                "(--draft-temperature), since at 0 all drafts would be the same"
            )
        found += [line.replace("--temperature", "--draft-temperature") for line in drafted.unsupported]
    return list(dict.fromkeys(found))


def identity(endpoint: Endpoint, role: Role, settings: ModelSettings) -> list[Any]:
    """Return what identifies a role's requests besides the parameters that every call has."""
    if endpoint.provider == "rehearsal":
        return [settings.rehearsal_wins]
    further = settings.further(role)
    identified: list[Any] = [dumps(further, sort_keys=True)] if further else []
    if settings.seed is not None:
        identified.append(f"seed {settings.seed}")
    if settings.thinking != "default":
        identified.append(f"thinking {settings.thinking}")
    return identified


def form_body(endpoint: Endpoint, role: Role, settings: ModelSettings) -> dict[str, Any] | None:
    """Return the body of a request that a form for the reply is added to; None where the endpoint takes no
    form.

    A form that the user asks for in `extra_body` is left alone.
    """
    body = parameters(endpoint, role, settings).body
    # For vLLM this decides what identifies a request, so it stays as it is.
    own = {"structured_outputs", "response_format"} if endpoint.provider == "vllm" else FORM_FIELDS
    return body if endpoint.provider in ("vllm", "openai") and not own & body.keys() else None


def _limit_names(endpoint: Endpoint) -> tuple[str, ...]:
    """Return the fields by which an endpoint may know the limit of a reply; the first is the one we send."""
    if endpoint.provider == "wenxin":
        return ("max_output_tokens",)
    if endpoint.provider in ("glm", "glm-jwt"):
        return ("max_tokens",)
    names = ("max_completion_tokens", "max_tokens")
    thinker = _thinking_switch(endpoint)
    # Many OpenAI-compatible servers ignore the newer name; OpenAI's thinking models refuse the older one,
    # also behind a proxy.
    if (
        endpoint.provider == "openai"
        and not is_openai_itself(endpoint)
        and not (thinker and thinker.fixed_sampling)
    ):
        return names[::-1]
    return names


def _thinking_switch(endpoint: Endpoint) -> ThinkingSwitch | None:
    name = endpoint.name.rpartition("/")[2]
    known = THINKING_SWITCHES.get("glm" if endpoint.provider == "glm-jwt" else endpoint.provider, ())
    return next((thinker for thinker in known if re.match(thinker.names, name)), None)


def _think(given: Parameters, endpoint: Endpoint, settings: ModelSettings) -> None:
    wanted, model, thinker = settings.thinking, endpoint.model, _thinking_switch(endpoint)
    if wanted != "default":
        switch = None if thinker is None else thinker.on if wanted == "on" else thinker.off
        given.body = _joined(switch or {}, given.body)
        if switch is None:
            given.unsupported.append(
                f"{model} has no known switch for its thinking: --thinking {wanted} is not sent"
            )
        elif endpoint.provider == "vllm":
            given.unsupported.append(
                f"{model}: a chat template that knows no `enable_thinking` ignores --thinking {wanted}"
            )
        elif wanted == "off" and (least := switch.get("reasoning_effort", "none")) != "none":
            given.unsupported.append(
                f"{model} always thinks: --thinking off asks for its least effort, {least}"
            )
    if endpoint.provider not in OLD:
        given.effort = given.body.pop("reasoning_effort", None)
    if thinker and thinker.fixed_sampling and given.effort != "none":
        given.temperature = given.top_p = None
        given.unsupported.append(
            f"{model} thinks, and takes no --temperature and --top-p: they are not sent. "
            f"What it thinks counts towards --max-tokens {settings.max_tokens}"
        )


def _serve(given: Parameters, endpoint: Endpoint, settings: ModelSettings) -> None:
    """Ask for a service tier. What it says about a request is only its price and its wait, so a run may be
    resumed in another."""
    tier, model = settings.service_tier, endpoint.model
    if tier is None:
        return
    option = f"--service-tier {tier}"
    if endpoint.provider != "openai":
        given.unsupported.append(f"{model} has no service tiers: {option} is not sent")
        return
    given.body = {"service_tier": tier, **given.body}
    if not is_openai_itself(endpoint):
        given.unsupported.append(
            f"{model} is not at OpenAI's or Azure's address: what {option} means there, the server decides"
        )
    elif not has_tier(endpoint, tier):
        given.unsupported.append(
            f"OpenAI's prices for {model} have no tier {tier}: with {option} it may refuse every call. "
            "Choose another model or tier"
        )


def _bound(given: Parameters, endpoint: Endpoint) -> None:
    if endpoint.provider not in ("ernie", "glm", *OLD):
        return
    temperature, top_p = given.temperature, given.top_p
    if temperature is not None:
        least = LEAST_TEMPERATURE if endpoint.provider in ("ernie", "wenxin") else 0.0
        given.temperature = max(min(temperature, 1.0), least)
    if top_p is not None and endpoint.provider in ("glm", "glm-jwt"):
        given.top_p = max(top_p, LEAST_TOP_P)
    for name, wanted, sent in (
        ("--temperature", temperature, given.temperature),
        ("--top-p", top_p, given.top_p),
    ):
        if wanted != sent:
            given.unsupported.append(f"{endpoint.model} does not take {name} {wanted:g}: it is sent {sent:g}")


def _joined(ours: dict[str, Any], users: dict[str, Any]) -> dict[str, Any]:
    """Merge both; the user's fields win, also inside `chat_template_kwargs`."""
    joined = {**ours, **users}
    for name in ours.keys() & users.keys():
        if isinstance(ours[name], dict) and isinstance(users[name], dict):
            joined[name] = {**ours[name], **users[name]}
    return joined
