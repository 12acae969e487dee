"""Parameters as each provider takes them.

The settings state them once, in our terms. Here they become what a request holds, and here it is said what a
provider cannot do with them, so that nothing is dropped in silence.
"""

import re
from dataclasses import dataclass, field
from json import dumps
from typing import Any
from urllib.parse import urlsplit

from models.call import VerdictForm
from models.settings import ROLES, Endpoint, ModelSettings, Provider, Role

LEAST_TEMPERATURE = 0.01
"""What 0 is sent as to providers whose range is open there."""

LEAST_TOP_P = 0.01
"""The least top_p that GLM takes."""


@dataclass(frozen=True, slots=True)
class Thinker:
    """How models of certain names think.

    `on` and `off` are the fields that switch it, None where nothing does. `steady` models take no
    temperature and no top_p of their own while they think.
    """

    names: str
    on: dict[str, Any] | None
    off: dict[str, Any] | None
    steady: bool = False


THINKERS: dict[Provider, tuple[Thinker, ...]] = {
    # What OpenAI's API says when it refuses an effort or a temperature: gpt-5 knows `minimal` and not `none`,
    # its successors from 5.1 on `none` and not `minimal`, and only with `none` do they take a temperature.
    "openai": (
        Thinker(r"gpt-5[\d.]*-chat", on=None, off={}),
        Thinker(r"gpt-5[\d.]*-(?:pro|codex)|o\d", on={}, off=None, steady=True),
        Thinker(
            r"gpt-5\.\d", on={"reasoning_effort": "medium"}, off={"reasoning_effort": "none"}, steady=True
        ),
        Thinker(
            r"gpt-5", on={"reasoning_effort": "medium"}, off={"reasoning_effort": "minimal"}, steady=True
        ),
    ),
    # Z.ai's migration notes: glm-5.3 always thinks, with an effort of low, high or max (its default).
    "glm": (
        Thinker(r"glm-5\.3", on={}, off={"reasoning_effort": "low"}),
        Thinker(
            r"glm-(?:4\.[5-9]|5)",
            on={"thinking": {"type": "enabled"}},
            off={"thinking": {"type": "disabled"}},
        ),
    ),
    # The switch of Qwen's, GLM's and most other chat templates that have one.
    "vllm": (
        Thinker(
            r"",
            on={"chat_template_kwargs": {"enable_thinking": True}},
            off={"chat_template_kwargs": {"enable_thinking": False}},
        ),
    ),
}
"""By the beginning of the name (a proxy may put `vendor/` before it); the first that fits counts."""

OLD: frozenset[Provider] = frozenset({"wenxin", "glm-jwt"})
"""Old credentials: their libraries know no seed."""

OPENAIS = ("openai.com", "openai.azure.com", "cognitiveservices.azure.com", "services.ai.azure.com")
"""Where OpenAI serves its models, at home and in Azure: these hosts and those below them."""

FORMS: dict[VerdictForm, str] = {
    "compare": r"(assistant 1|assistant 2|equal)\n[^\s][\s\S]*",
    "score": r"(10|[1-9](\.5)?) (10|[1-9](\.5)?)\n[^\s][\s\S]*",
}
"""A verdict and its explanation, as a regex. The explanation begins with a character that can be seen, and
ends where the model ends it or the limit for replies does. (A bound here, as in `{0,1500}`, costs vLLM's
xgrammar up to 100 ms for each token; this takes microseconds.)"""


@dataclass(slots=True)
class Parameters:
    """What a request holds besides its messages. `lost` says what cannot be done as the settings want it."""

    temperature: float | None
    top_p: float | None
    seed: int | None
    effort: str | None = None
    body: dict[str, Any] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)


def parameters(endpoint: Endpoint, role: Role, settings: ModelSettings) -> Parameters:
    """The settings in the terms of a role's provider."""
    model = endpoint.model
    given = Parameters(settings.temperature, settings.top_p, settings.seed)
    if endpoint.provider == "rehearsal":
        return given
    given.body = settings.further(role)
    names = _limit_names(endpoint)
    if not given.body.keys() & set(names):
        given.body = {names[0]: settings.max_tokens, **given.body}
    _think(given, endpoint, settings)
    _bound(given, endpoint)
    if given.seed is not None and endpoint.provider in ("glm", *OLD):
        given.seed = None
        given.lost.append(f"{model} takes no seed: --seed does not reach it")
    return given


def reply_limit(endpoint: Endpoint, role: Role, settings: ModelSettings) -> int | None:
    """The most tokens a role's reply may have; None where the further fields take that limit away.

    Of several limits the largest: nobody knows which of them a server keeps to.
    """
    if endpoint.provider == "rehearsal":
        return settings.max_tokens
    body = parameters(endpoint, role, settings).body
    limits: list[Any] = [body[name] for name in _limit_names(endpoint) if name in body]
    if all(isinstance(limit, int) and limit > 0 for limit in limits):
        return int(max(limits))
    return None


def unlimited(settings: ModelSettings) -> list[Role]:
    """The roles whose replies nothing limits, since the further fields take the limit away."""
    return [role for role in ROLES if reply_limit(settings.endpoint(role), role, settings) is None]


def is_openais(endpoint: Endpoint) -> bool:
    """Whether a model is served by OpenAI itself, at its own address or in Azure."""
    if endpoint.provider != "openai":
        return False
    host = urlsplit(endpoint.base_url or "").hostname or ""
    return endpoint.base_url is None or any(f".{host}".endswith(f".{own}") for own in OPENAIS)


def notices(settings: ModelSettings) -> list[str]:
    """What the providers cannot do with these settings, each said once."""
    said = (line for role in ROLES for line in parameters(settings.endpoint(role), role, settings).lost)
    return list(dict.fromkeys(said))


def identity(endpoint: Endpoint, role: Role, settings: ModelSettings) -> list[Any]:
    """What, besides the parameters that each call has, makes a role's request another one."""
    if endpoint.provider == "rehearsal":
        return [settings.rehearsal_wins]
    further = settings.further(role)
    identified: list[Any] = [dumps(further, sort_keys=True)] if further else []
    if settings.seed is not None:
        identified.append(f"seed {settings.seed}")
    if settings.thinking != "default":
        identified.append(f"thinking {settings.thinking}")
    return identified


def formed(endpoint: Endpoint, role: Role, settings: ModelSettings) -> dict[VerdictForm, dict[str, Any]]:
    """The fields that keep a reply to each form, with all others of the body; none where nothing does.

    A form that the user asks for in `extra_body` is left alone.
    """
    body = parameters(endpoint, role, settings).body
    if endpoint.provider != "vllm" or {"structured_outputs", "response_format"} & body.keys():
        return {}
    return {form: {**body, "structured_outputs": {"regex": regex}} for form, regex in FORMS.items()}


def _limit_names(endpoint: Endpoint) -> tuple[str, ...]:
    """The fields by which an endpoint may know the limit of a reply. The first is the one that it is sent."""
    if endpoint.provider == "wenxin":
        return ("max_output_tokens",)
    if endpoint.provider in ("glm", "glm-jwt"):
        return ("max_tokens",)
    names = ("max_completion_tokens", "max_tokens")
    thinker = _thinker(endpoint)
    # Many servers that speak OpenAI's protocol ignore the newer name; OpenAI's models that think refuse the
    # older one, also behind a proxy.
    if endpoint.provider == "openai" and not is_openais(endpoint) and not (thinker and thinker.steady):
        return names[::-1]
    return names


def _thinker(endpoint: Endpoint) -> Thinker | None:
    name = endpoint.name.rpartition("/")[2]
    known = THINKERS.get("glm" if endpoint.provider == "glm-jwt" else endpoint.provider, ())
    return next((thinker for thinker in known if re.match(thinker.names, name)), None)


def _think(given: Parameters, endpoint: Endpoint, settings: ModelSettings) -> None:
    wanted, model, thinker = settings.thinking, endpoint.model, _thinker(endpoint)
    if wanted != "default":
        switch = None if thinker is None else thinker.on if wanted == "on" else thinker.off
        given.body = _joined(switch or {}, given.body)
        if switch is None:
            given.lost.append(
                f"{model} has no known switch for its thinking: --thinking {wanted} is not sent"
            )
        elif endpoint.provider == "vllm":
            given.lost.append(
                f"{model}: a chat template that knows no `enable_thinking` ignores --thinking {wanted}"
            )
        elif wanted == "off" and (least := switch.get("reasoning_effort", "none")) != "none":
            given.lost.append(f"{model} always thinks: --thinking off asks for its least effort, {least}")
    if endpoint.provider not in OLD:
        given.effort = given.body.pop("reasoning_effort", None)
    if thinker and thinker.steady and given.effort != "none":
        given.temperature = given.top_p = None
        given.lost.append(
            f"{model} thinks, and takes no --temperature and --top-p: they are not sent. "
            f"What it thinks counts towards --max-tokens {settings.max_tokens}"
        )


def _bound(given: Parameters, endpoint: Endpoint) -> None:
    if endpoint.provider not in ("ernie", "glm", *OLD) or given.temperature is None or given.top_p is None:
        return
    temperature, top_p = min(given.temperature, 1.0), given.top_p
    if endpoint.provider in ("ernie", "wenxin"):
        temperature = max(temperature, LEAST_TEMPERATURE)
    else:
        top_p = max(top_p, LEAST_TOP_P)
    for name, wanted, sent in (
        ("--temperature", given.temperature, temperature),
        ("--top-p", given.top_p, top_p),
    ):
        if wanted != sent:
            given.lost.append(f"{endpoint.model} does not take {name} {wanted:g}: it is sent {sent:g}")
    given.temperature, given.top_p = temperature, top_p


def _joined(ours: dict[str, Any], users: dict[str, Any]) -> dict[str, Any]:
    """Both; the user's fields win, also inside of `chat_template_kwargs`."""
    joined = {**ours, **users}
    for name in ours.keys() & users.keys():
        if isinstance(ours[name], dict) and isinstance(users[name], dict):
            joined[name] = {**ours[name], **users[name]}
    return joined
