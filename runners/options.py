"""The settings on the command line and in a TOML file.

Every field of `Settings` and `Limits` is an option of the same name; the bounds and the messages are the
fields' own.
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from graph.complaints import complaints
from graph.settings import Settings
from models.addresses import shown_address
from models.keys import Keys, MissingKey
from models.secret_fields import without_secrets
from models.settings import PANEL, PROVIDERS, REFEREES, ROLES, Limits, split_model
from prompts.method import MODES
from runners.terminal import hide
from samples.bounds import MAX_RECORD_MB
from samples.formats import READ_FORMATS
from samples.preferences import SIDES

Command = TypeVar("Command", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)
MODE = click.Choice(list(MODES))


class SettingsError(click.UsageError):
    """A setting cannot be used. The message names it, its value, and what it may be."""


def settings_options(command: Command) -> Command:
    """Add `--model`, `--base-url` and `--extra-body`, each for all roles or for one, `--settings`, and an
    option for each other setting."""
    return with_options(
        [
            click.option(
                "--model",
                "models",
                multiple=True,
                metavar="[ROLE=]PROVIDER:NAME",
                shell_complete=_models,
                help="The model of all roles, or of one: " + ", ".join(ROLES) + ". "
                "Several for the judge are a panel, judge, judge_2 and so on. "
                "Providers: openai, vllm, ernie, glm, rehearsal; wenxin and glm-jwt for old credentials. "
                "Default: rehearsal.",
            ),
            click.option(
                "--base-url",
                "base_urls",
                multiple=True,
                metavar="[ROLE=]URL",
                help="Where the model of --model, or the role's own, is served. Repeat it for replicas, "
                "which share the samples evenly.",
            ),
            click.option(
                "--extra-body",
                "extra_bodies",
                multiple=True,
                metavar="[ROLE=]JSON",
                help="Further fields of each request, or of one role's, as the provider names them: "
                "a JSON object such as '{\"min_tokens\": 20}'.",
            ),
            click.option(
                "--price",
                "prices",
                multiple=True,
                metavar="MODEL=INPUT,CACHED,OUTPUT",
                help="What a model costs in the default service tier, used instead of the price list: US "
                "dollars a million tokens of prompts, of their cached part, and of replies, such as "
                "openai:my-gpt=1.25,0.125,10. Flex is half of it.",
            ),
            click.option(
                "--settings",
                "settings_file",
                type=PATH,
                metavar="FILE",
                help="A TOML file of settings; options given here override it.",
            ),
            *_field_options(Settings),
        ],
        command,
    )


def limits_options(command: Command) -> Command:
    """Add an option for each limit."""
    return with_options(_field_options(Limits), command)


def workers_options(command: Command) -> Command:
    """Add the options that say which processes work on the samples."""
    return with_options(
        [
            click.option(
                "--workers",
                type=click.IntRange(min=1),
                metavar="NUMBER",
                help="Work in so many processes, on Ray. Default: in this one; with --ray, as many as fit.",
            ),
            click.option(
                "--ray",
                metavar="ADDRESS|auto",
                help="The Ray cluster to work on, HOST:PORT. Default with --workers: a Ray on this machine.",
            ),
        ],
        command,
    )


def data_options(command: Command) -> Command:
    """Add the options that say how the records of a data set are read."""
    return with_options(
        [
            click.option(
                "--format",
                "form",
                type=click.Choice(["auto", *READ_FORMATS]),
                default="auto",
                metavar="FORMAT",
                help="The records' format: auto, alpaca, sharegpt, messages or another of those in "
                "docs/data.md. Default: auto.",
            ),
            click.option(
                "--columns",
                metavar="PART=FIELD,…",
                callback=_columns,
                help="The fields of records of another format, such as request=ask,response=reply; "
                "also input, system, history and id.",
            ),
            click.option(
                "--improve",
                type=click.Choice(SIDES),
                help="Which response of preference records to work on, or which of labeled records.",
            ),
            click.option(
                "--reference",
                metavar="FIELD",
                help="The field of an answer known to be right, of the record or of a response's turn, which "
                "only the judge is shown.",
            ),
            click.option(
                "--skip-bad",
                is_flag=True,
                help="Pass over records that cannot be read: they stay as they are, and are counted.",
            ),
            click.option(
                "--max-record-size",
                type=click.IntRange(min=1),
                default=MAX_RECORD_MB,
                metavar="MB",
                help=f"The largest record that is read, in megabytes. Default: {MAX_RECORD_MB}.",
            ),
        ],
        command,
    )


def _columns(context: click.Context, option: click.Parameter, given: str | None) -> dict[str, str]:
    columns: dict[str, str] = {}
    for each in filter(None, (given or "").split(",")):
        part, sign, name = each.partition("=")
        if not sign or not name:
            raise SettingsError(f"--columns {given}: expected PART=FIELD, found {each!r}")
        if part.strip() in columns:
            raise SettingsError(f"--columns names {part.strip()} twice")
        columns[part.strip()] = name
    return columns


def output_option(help: str) -> Callable[[Command], Command]:
    """Return `--output`, the file to write."""
    return click.option("-o", "--output", "file", required=True, metavar="FILE", type=PATH, help=help)


def mode_option(command: Command) -> Command:
    """Add `--mode`, which may be repeated."""
    return click.option(
        "--mode",
        "modes",
        multiple=True,
        type=MODE,
        default=("evolve",),
        help="Which agents take part; each of several modes gives a result of its own. Default: evolve.",
    )(command)


def _field_options(model: type[BaseModel]) -> list[Callable[[Any], Any]]:
    own = {"model", "base_url", "role_models", "role_base_urls", "extra_body", "role_extra_body", "price"}
    return [
        click.option(
            _flag(name, info),
            name,
            default=None,  # to tell a value in the file from one given here
            type=_number(info),
            metavar=_METAVARS.get(name) or _metavar(info),
            help=_help(name, info),
            shell_complete=_packs if name == "prompts" else offering(*_values(name, info)),
        )
        for name, info in model.model_fields.items()
        if name not in own
    ]


_METAVARS = {
    "budget": "DOLLARS",
    "max_failures": "SHARE",
    "tokenizer": "FILE|NAME",
    "check": "exact|math|COMMAND",
    "service_tier": "flex|priority|default",
}


def settings_from(given: Mapping[str, Any], referees: Sequence[str] = ()) -> tuple[Settings, Limits]:
    """Return the settings and limits of a command's options, which override those of the TOML file.

    The models of `referees` become those of the roles `referee`, `referee_2` and so on.

    Raises:
        SettingsError: a value cannot be used, or the file cannot be read.
    """
    values: dict[str, Any] = {}
    if given.get("settings_file"):
        values |= _from_file(given["settings_file"])
    if len(referees) > len(REFEREES):
        raise SettingsError(f"--referee names {len(referees)} models: a trial has at most {len(REFEREES)}")
    for model in referees:
        try:
            split_model(model)
        except ValueError as error:
            also = "" if model.startswith("reward:") else "; a reward model is reward:NAME"
            raise SettingsError(f"--referee {without_secrets(str(error))}{also}") from None
    of_referees = [f"{role}={model}" for role, model in zip(REFEREES, referees, strict=False)]
    known = (*PANEL, *REFEREES[: len(referees)])
    models = _once_by_role("--model", [*_panel(given["models"]), *of_referees], known)
    texts = _once_by_role("--extra-body", given["extra_bodies"], known)
    bodies = {role: _json_object("--extra-body", text) for role, text in texts.items()}
    # An address in the file belongs to the file's model.
    if "" in models:
        values.pop("base_url", None)
    if "judge" in models:  # it takes the place of the file's panel
        for name in ("role_models", "role_base_urls"):
            if table := _table(values, name):
                values[name] = {role: table[role] for role in table if role not in PANEL}
    if any(models):
        urls = _table(values, "role_base_urls")
        values["role_base_urls"] = {role: urls[role] for role in urls if role not in models}
    by_role: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("model", "role_models", models),
        ("base_url", "role_base_urls", _by_role("--base-url", given["base_urls"], known)),
        ("extra_body", "role_extra_body", bodies),
    )
    for name, role_name, found in by_role:
        if "" in found:
            values[name] = found.pop("")
        if found:
            values[role_name] = _table(values, role_name) | found
    prices = _prices(given["prices"])
    if table := _table(values, "price", "model") | prices:
        values["price"] = table
    fields = (*Settings.model_fields, *Limits.model_fields)
    values |= {name: given[name] for name in fields if given.get(name) is not None}
    limits = {name: values.pop(name) for name in Limits.model_fields if name in values}
    settings = _validated(Settings, values, given)
    roles = (*settings.roles, *(role for role in REFEREES if role in settings.role_models))
    played = dict.fromkeys(settings.endpoint(role).model for role in roles)
    if unused := sorted(prices.keys() - played.keys()):
        raise SettingsError(f"--price {unused[0]}: no role has this model; they have {', '.join(played)}")
    with suppress(MissingKey):  # reported where keys are needed
        hide(Keys.load(settings))
    return settings, _validated(Limits, limits, given)


Model = TypeVar("Model", bound=BaseModel)


def _validated(model: type[Model], values: Mapping[str, Any], given: Mapping[str, Any]) -> Model:
    try:
        return model(**values)
    except ValidationError as error:
        options = [name for name in given if given[name] is not None]
        known = (*Settings.model_fields, *Limits.model_fields)
        raise SettingsError("\n".join(complaints(error, known, options))) from None


def _table(values: Mapping[str, Any], name: str, key: str = "role") -> dict[str, Any]:
    table = values.get(name, {})
    if not isinstance(table, dict):
        raise SettingsError(f"{name}: expected a table by {key}, not {without_secrets(repr(table))}")
    return table


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not a TOML file: {error}") from None


def _panel(models: Sequence[str]) -> list[str]:
    """Name the judges of a panel, which are all given as the judge."""
    names = iter(PANEL)
    head = f"{PANEL[0]}="
    given = [model for model in models if model.startswith(head)]
    if len(given) > len(PANEL):
        raise SettingsError(f"--model names {len(given)} judges: a panel has at most {len(PANEL)}")
    return [f"{next(names)}={model.removeprefix(head)}" if model in given else model for model in models]


def _once_by_role(option: str, values: Iterable[str], known: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for role, texts in _by_role(option, values, known).items():
        if len(texts) > 1:
            raise SettingsError(f"{option} is given twice for {role or 'all roles'}")
        (found[role],) = texts
    return found


def _by_role(option: str, values: Iterable[str], known: Sequence[str]) -> dict[str, list[str]]:
    """Return what an option is given for each role, of `ROLES` and `known`, and for all."""
    found: dict[str, list[str]] = {}
    for value in values:
        head, sign, rest = value.partition("=")
        # A URL or a name may contain an equals sign; a role is alphabetic, but for the number of a judge.
        role, text = (head, rest) if sign and re.fullmatch(r"[^\W\d_]+(_\d+)?", head) else ("", value)
        if role and role not in (*ROLES, *known):
            shown = without_secrets(shown_address(value))
            raise SettingsError(f"{option} {shown}: unknown role {role!r}; roles are {', '.join(ROLES)}")
        found.setdefault(role, []).append(text)
    return found


def _prices(given: Sequence[str]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for model, prices in map(_price, given):
        if model in found:
            raise SettingsError(f"--price is given twice for {model}")
        found[model] = prices
    return found


def _price(given: str) -> tuple[str, list[float]]:
    model, _, prices = given.rpartition("=")
    try:
        found = ":".join(split_model(model)), [float(price) for price in prices.split(",")]
    except ValueError as error:
        raise SettingsError(f"--price {given}: expected MODEL=INPUT,CACHED,OUTPUT ({error})") from None
    if len(found[1]) != len(("input", "cached", "output")):
        raise SettingsError(f"--price {given}: expected three prices, INPUT,CACHED,OUTPUT")
    return found


def _json_object(option: str, text: str) -> dict[str, Any]:
    where = f"{option} {without_secrets(text)}"
    try:
        value = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"{where}: not JSON ({error})") from None
    if not isinstance(value, dict):
        raise SettingsError(f"{where}: not a JSON object of fields and values")
    return value


def _flag(name: str, info: FieldInfo) -> str:
    flag = name.replace("_", "-")
    return f"--{flag}/--no-{flag}" if info.annotation is bool else f"--{flag}"


def _number(info: FieldInfo) -> click.IntRange | click.FloatRange | None:
    """Return a field's type of number, with its bounds; None if it holds something else."""
    kinds = {info.annotation, *getattr(info.annotation, "__args__", ())}
    if not kinds & {int, float}:
        return None
    bounds = {b: getattr(each, b) for each in info.metadata for b in ("ge", "gt", "le") if hasattr(each, b)}
    number = click.IntRange if int in kinds else _NumberOrDefault if _has_default(info) else click.FloatRange
    return number(bounds.get("ge", bounds.get("gt")), bounds.get("le"), min_open="gt" in bounds)


def _has_default(info: FieldInfo) -> bool:
    """Whether a number may be left to the server."""
    return info.annotation == float | None and info.default is not None


class _NumberOrDefault(click.FloatRange):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value == "default" else super().convert(value, param, ctx)


def _metavar(info: FieldInfo) -> str | None:
    if info.annotation is bool:
        return None
    if _has_default(info):
        return "NUMBER|default"
    return "NUMBER" if _number(info) else "|".join(getattr(info.annotation, "__args__", ["TEXT"]))


def _values(name: str, info: FieldInfo) -> list[str]:
    """Return what an option takes, as far as that can be listed."""
    words = (_METAVARS.get(name) or _metavar(info) or "").split("|")
    return [word for word in words if word == word.lower()]


def offering(*words: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return how the shell completes an option that takes one of these words, or in place of them a file."""

    def complete(context: click.Context, option: click.Parameter, begun: str) -> list[CompletionItem]:
        found = [CompletionItem(word) for word in words if word.startswith(begun)]
        return found or [CompletionItem(begun, type="file")]

    return complete


def _packs(context: click.Context, option: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the name of a built-in prompt pack, or a folder."""
    from prompts.pack import BUILT_IN  # which loads what renders prompts

    return offering(*BUILT_IN)(context, option, begun)


def _models(context: click.Context, option: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the provider of a model, for all roles or for one."""
    role, sign, _ = begun.rpartition("=")
    words = [f"{role}{sign}{provider}:" for provider in PROVIDERS]
    words += [] if sign else [f"{role}=" for role in ROLES]
    return [CompletionItem(word) for word in words if word.startswith(begun)]


def complete_modes(context: click.Context, option: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the last of several modes with commas between them."""
    before, comma, last = begun.rpartition(",")
    return [CompletionItem(f"{before}{comma}{mode}") for mode in MODES if mode.startswith(last)]


def _help(name: str, info: FieldInfo) -> str:
    if info.default is None or name.endswith("_persona"):  # whose texts fill a page
        return f"{info.description}"
    default = ("off", "on")[info.default] if isinstance(info.default, bool) else info.default
    return f"{info.description} Default: {default}."


def with_options(options: Sequence[Callable[[Any], Any]], command: Command) -> Command:
    """Add options to a command, in this order."""
    for option in reversed(options):
        command = option(command)
    return command
