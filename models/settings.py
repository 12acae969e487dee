"""Which chat models play the roles, how they are asked, and how much is asked of them."""

from collections.abc import Iterator, Mapping
from json import dumps
from typing import Annotated, Any, Literal, NamedTuple, Self, get_args
from urllib.parse import unquote, unquote_plus, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from models.addresses import PUBLIC_FIELDS, Addresses, address, shown_address
from models.secret_fields import (
    is_key_like,
    is_secret_name,
    looks_secret,
    masked,
    masked_command,
    secrets_in,
)

Role = Literal[
    "positive", "critical", "advisor", "editor", "judge", "judge_2", "judge_3", "judge_4", "judge_5",
    "referee", "referee_2", "referee_3", "referee_4", "referee_5",
]  # fmt: skip
ROLES: tuple[Role, ...] = get_args(Role)[:5]
"""The roles that every run has."""
PANEL: tuple[Role, ...] = get_args(Role)[4:9]
"""The judges of a panel. They have the judge's task, persona and steps, and a model each."""
REFEREES: tuple[Role, ...] = get_args(Role)[9:]
"""Who compares the arms of a trial. They have the judge's task, persona and steps too, and take no part in
runs."""

Provider = Literal["openai", "vllm", "ernie", "glm", "wenxin", "glm-jwt", "rehearsal", "reward"]
PROVIDERS: tuple[Provider, ...] = get_args(Provider)[:-1]
"""All whose models chat. A `reward` model, served by vLLM, scores one response; it can be a referee alone."""


BASE_URLS: dict[Provider, str] = {
    "openai": "https://api.openai.com/v1",
    "vllm": "http://localhost:8000/v1",
    "ernie": "https://qianfan.baidubce.com/v2",
    "glm": "https://open.bigmodel.cn/api/paas/v4",
    "glm-jwt": "https://open.bigmodel.cn/api/paas/v4",
    "wenxin": "https://aip.baidubce.com",
    "reward": "http://localhost:8000/v1",
}
"""Where a provider serves its models, unless the settings say otherwise."""

DRAFT_TEMPERATURE = 0.8
"""The temperature of several drafts from one prompt where nothing else is said."""

AUTO, ESTIMATE = "auto", "estimate"
"""Names of tokenizers: what the model's server counts, and what is estimated without one."""

FLEX_TIMEOUT = 900.0
"""Seconds that an attempt may take in the tier `flex`, unless the settings say otherwise: OpenAI's advice."""

KEY_NAMES: dict[Provider, str] = {
    "openai": "OPENAI_API_KEY",
    "vllm": "VLLM_API_KEY",
    "ernie": "QIANFAN_API_KEY",
    "glm": "ZHIPUAI_API_KEY",
    "glm-jwt": "ZHIPUAI_API_KEY",
    "wenxin": "QIANFAN_AK and QIANFAN_SK",
    "reward": "VLLM_API_KEY",
}
"""The variable that holds a provider's key, or the two that hold its parts."""


def split_model(model: str) -> tuple[Provider, str]:
    """Split `PROVIDER:NAME` at its first colon; names may hold more of them. `rehearsal` needs neither name
    nor colon.

    Raises:
        ValueError: the provider is unknown or the name is missing.
    """
    head, colon, name = model.partition(":")
    provider = next((known for known in get_args(Provider) if known == head), None)
    if provider is None or not (colon or provider == "rehearsal"):
        known = ", ".join(f"{provider}:" for provider in PROVIDERS)
        raise ValueError(f"{model!r} is not a model: write PROVIDER:NAME, with one of {known}")
    if not name and provider != "rehearsal":
        raise ValueError(f"{model!r} names no model: write {provider}:NAME")
    return provider, name


Price = tuple[float, float, float]
"""US dollars a million tokens of prompts, of their cached part, and of replies, in the tier `default`."""


class Endpoint(NamedTuple):
    """A model, where it is served, and what it costs there."""

    provider: Provider
    name: str
    base_url: str | None
    """None means the provider's own address."""
    price: Price | None = None
    """As the user gives it; None means that of the price list."""

    @property
    def model(self) -> str:
        """The model as the settings write it, `PROVIDER:NAME`."""
        return f"{self.provider}:{self.name}"

    @property
    def shown_url(self) -> str | None:
        """The base URL for users and records."""
        return self.base_url and shown_address(self.base_url)


def located(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint with the address it is reached at."""
    return endpoint._replace(base_url=endpoint.base_url or BASE_URLS.get(endpoint.provider))


def secrets_in_addresses(settings: "ModelSettings") -> Iterator[str]:
    """Yield what may be a key in the addresses of the settings' models."""
    for url in {
        each.base_url
        for role in (*settings.roles, *settings.role_models)
        for each in settings.replicas(role)
        if each.base_url
    }:
        url, _, fragment = url.partition("#")
        base, _, query = url.partition("?")
        for part in (*base.split("/")[3:], fragment):
            # Not all that is masked: the name of a model is in replies and messages too.
            if part and (is_key_like(part) or "%" in part):
                yield part
                yield unquote(part)
        for field in query.split("&"):
            name, _, value = field.partition("=")
            may_be_key = is_secret_name(name) or looks_secret(value) or len(value) > 12
            if value and may_be_key and name.lower() not in PUBLIC_FIELDS:
                yield value
                yield unquote_plus(value)


def secrets_in_bodies(settings: "ModelSettings") -> Iterator[str]:
    """Yield what may be a key in the further fields of requests."""
    yield from secrets_in(settings.extra_body)
    for role in settings.role_extra_body:
        yield from secrets_in(settings.role_extra_body[role])


_RESERVED = frozenset({"messages", "model", "n", "stream"})


def _free(fields: dict[str, Any]) -> dict[str, Any]:
    if reserved := sorted(_RESERVED & fields.keys()):
        raise ValueError(f"{reserved[0]!r} cannot be set here: coevol sets it itself")
    for name, value in fields.items():
        try:
            dumps(value, allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError):
            raise ValueError(f"{name!r} holds a value that cannot be sent as JSON") from None
    return fields


Model = Annotated[str, AfterValidator(lambda model: ":".join(split_model(model)))]
Fields = Annotated[dict[str, Any], AfterValidator(_free)]
Dollars = Annotated[float, Field(ge=0, le=1_000_000)]


def _three(given: object) -> object:
    if not isinstance(given, list | tuple) or len(given) != len(("input", "cached", "output")):
        raise ValueError("expected three prices, [INPUT, CACHED, OUTPUT]")
    return given


Prices = Annotated[tuple[Dollars, Dollars, Dollars], BeforeValidator(_three)]


class ModelSettings(BaseModel):
    """The settings that say which models are called, and with which parameters."""

    # Inputs may hold keys, and errors are printed.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    model: Model = Field(
        "rehearsal:",
        description="The model of every role without one of its own, as PROVIDER:NAME. Providers: "
        "openai (and every OpenAI-compatible endpoint), vllm, ernie, glm, rehearsal (built in, no network); "
        "wenxin and glm-jwt take old credentials.",
    )
    base_url: Addresses = Field(
        (),
        description="Where `model` is served, for instance http://localhost:8000/v1. Default: the "
        "provider's own address. Several are replicas, which share the samples.",
    )
    role_models: dict[Role, Model] = Field(
        default_factory=dict, description="Models of single roles, used instead of `model`."
    )
    role_base_urls: dict[Role, Addresses] = Field(
        default_factory=dict,
        description="Where the models in `role_models` are served, one address or several each.",
    )
    temperature: float | None = Field(
        0.0, ge=0, le=2, description="Sampling temperature; `default` leaves it to the server."
    )
    draft_temperature: float | None = Field(
        None,
        gt=0,
        le=2,
        description="The editor's temperature in mode `best-of-n`. Default: `temperature`, or 0.8 where that "
        "is 0, at which all drafts would be the same.",
    )
    top_p: float | None = Field(
        1.0,
        gt=0,
        le=1,
        description="Nucleus sampling: the share of probability kept; `default` leaves it to the server.",
    )
    max_tokens: int = Field(1000, ge=1, description="The longest reply, in tokens.")
    max_input_tokens: int | None = Field(
        None,
        ge=1,
        description="The longest prompt, in tokens: estimated, or counted by a vLLM server, whose context "
        "limits it anyway. In a longer prompt the debate is shortened; if that is not enough, the sample "
        "fails without a call.",
    )
    seed: int | None = Field(
        None, ge=0, description="The seed for repeatable sampling, where the provider supports seeds."
    )
    thinking: Literal["default", "on", "off"] = Field(
        "default", description="Whether models think before they reply, where that can be switched."
    )
    extra_body: Fields = Field(
        default_factory=dict,
        description="Further fields of each request, as the provider names them; they override the settings.",
    )
    role_extra_body: dict[Role, Fields] = Field(
        default_factory=dict, description="Further fields for single roles, in addition to `extra_body`."
    )
    timeout: float = Field(
        120.0,
        gt=0,
        description="How long one attempt at a call may take, in seconds; with the service tier `flex` 900, "
        "unless given.",
    )
    service_tier: Literal["flex", "priority", "default"] | None = Field(
        None,
        description="The service tier to ask OpenAI and Azure for: `flex` takes half the price and longer, "
        "`priority` costs more.",
    )
    price: dict[Model, Prices] = Field(
        default_factory=dict,
        description="Prices of models in the default service tier, used instead of the price list: US "
        "dollars a million tokens of prompts, of their cached part, and of replies.",
    )
    rehearsal_wins: float = Field(
        0.5,
        ge=0,
        le=1,
        description="How often the judge that `rehearsal` plays prefers the draft, as a share.",
    )

    @field_validator("temperature", "top_p", mode="before")
    @classmethod
    def _left_to_the_server(cls, given: object) -> object:
        return None if given == "default" else given

    @model_validator(mode="before")
    @classmethod
    def _time_for_flex(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("service_tier") == "flex":
            return {"timeout": FLEX_TIMEOUT, **given}
        return given

    @field_validator("role_models", mode="before")
    @classmethod
    def _one_judge_each(cls, given: object) -> object:
        """Take a list of judges as the panel it is."""
        if not isinstance(given, dict) or not isinstance(models := given.get("judge"), list | tuple):
            return given
        if not 0 < len(models) <= len(PANEL):
            raise ValueError(f"judge: a panel has 1 to {len(PANEL)} judges, not {len(models)}")
        panel = dict(zip(PANEL, models, strict=False))
        if twice := sorted(panel.keys() & (given.keys() - {"judge"})):
            raise ValueError(f"{twice[0]} is in the list of judges twice")
        return given | panel

    @model_validator(mode="after")
    def _judges_differ(self) -> Self:
        for role in PANEL[1:]:
            if role in self.role_extra_body and role not in self.role_models:
                raise ValueError(f"there is no {role}: name its model as well ({role}=PROVIDER:NAME)")
        names = list(self.panel.values())
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name} is named twice as a judge: the judges of a panel differ")
        return self

    @model_validator(mode="after")
    def _rewards_are_referees(self) -> Self:
        for role in self.roles:
            if role not in REFEREES and self.endpoint(role).provider == "reward":
                raise ValueError(
                    f"{self.endpoint(role).model} does not chat: a reward model can be a referee of "
                    "`coevol trial`, and nothing else"
                )
        return self

    @model_validator(mode="after")
    def _base_urls_fit_their_models(self) -> Self:
        for role in self.role_base_urls:
            if role not in self.role_models:
                raise ValueError(
                    f"the {role} has a base URL but no model of its own: "
                    f"name one for it as well ({role}=PROVIDER:NAME)"
                )
        for replica in (replica for role in self.roles for replica in self.replicas(role)):
            url = replica.base_url
            if replica.provider in ("vllm", "reward") and url and not urlsplit(url).path:
                right = address(url, "/v1")
                raise ValueError(
                    f"{shown_address(url)} is not where vLLM has its API: write {shown_address(right)}"
                )
        return self

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles that are played, each judge of a panel by itself."""
        return (*ROLES, *(role for role in PANEL[1:] if role in self.role_models))

    @property
    def panel(self) -> Mapping[Role, str]:
        """The judges of a panel, each with its model; empty where one judge decides."""
        judges = self.roles[len(ROLES) - 1 :]
        return {role: self.endpoint(role).model for role in judges} if len(judges) > 1 else {}

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            if name in ("base_url", "role_base_urls"):
                value = self.model_dump(mode="json")[name]
            elif name in ("extra_body", "role_extra_body"):
                value = masked(value, set(secrets_in(value)))
            elif name == "check" and isinstance(value, str):
                value = masked_command(value)
            yield name, value

    def replicas(self, role: Role) -> tuple[Endpoint, ...]:
        """Return the model that plays a role, at each address where it is served."""
        own = role in self.role_models
        model = self.role_models[role] if own else self.model
        named, price = split_model(model), self.price.get(model)
        urls = self.role_base_urls.get(role, ()) if own else self.base_url
        return tuple(Endpoint(*named, url, price) for url in urls or (None,))

    def endpoint(self, role: Role) -> Endpoint:
        """Return the model that plays a role, at the first of its addresses.

        Replicas differ only in the address, so this one represents what all are asked and cost.
        """
        return self.replicas(role)[0]

    @property
    def temperature_of_drafts(self) -> float | None:
        """The temperature of several drafts from one prompt; None where it is left to the server."""
        if self.draft_temperature is not None or self.temperature is None:
            return self.draft_temperature
        return self.temperature or DRAFT_TEMPERATURE

    def tier(self, role: Role) -> str | None:
        """Return the service tier that a role's requests ask for; only OpenAI's protocol has tiers."""
        own = self.service_tier if self.endpoint(role).provider == "openai" else None
        tier = self.further(role).get("service_tier", own)
        return tier if isinstance(tier, str) else None

    def further(self, role: Role) -> dict[str, Any]:
        """Return the further fields of a role's requests."""
        return {**self.extra_body, **self.role_extra_body.get(role, {})}


class Limits(BaseModel):
    """How much a run may ask of the models at a time and in all. None of it changes what they are asked."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    concurrency: int = Field(64, ge=1, description="The most calls in flight.")
    rpm: float | None = Field(
        None,
        gt=0,
        description="The most calls a minute to each endpoint (a model and where it is served, each replica "
        "by itself).",
    )
    tpm: float | None = Field(
        None, gt=0, description="The most tokens a minute to each endpoint, of prompts and replies."
    )
    budget: float | None = Field(
        None, gt=0, description="The most that the run may spend in all, in US dollars at list prices."
    )
    budget_tokens: int | None = Field(
        None, ge=1, description="The most tokens that the run may use in all, of prompts and replies."
    )
    max_failures: float = Field(
        0.5, ge=0, le=1, description="The share of failed samples above which the run stops itself."
    )
