"""The settings on the command line and in a TOML file.

Every field of `Settings` is an option of the same name; the limits and the messages are the fields' own.
"""

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from graph.settings import Settings
from models.settings import ROLES
from prompts.method import MODES, Mode

Command = TypeVar("Command", bound=Callable[..., Any])


class SettingsError(click.UsageError):
    """A setting cannot be used. The message names it, its value, and what it may be."""


class Number(click.FloatRange):
    """A number in a range. `nan` and `inf` are none, though Python reads them as such."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value as a number."""
        number = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value!r} is not a number that can be used.", param, ctx)
        return number


def model_options(command: Command) -> Command:
    """Adds `--model`, `--base-url` and `--extra-body`, each for all roles or for one, and `--settings`."""
    return _with(
        [
            click.option(
                "--model",
                "models",
                multiple=True,
                metavar="[ROLE=]PROVIDER:NAME",
                help="The model of all roles, or of one: " + ", ".join(ROLES) + ". "
                "Providers: openai, vllm, ernie, glm, rehearsal; wenxin and glm-jwt for old credentials. "
                "Default: rehearsal:.",
            ),
            click.option(
                "--base-url",
                "base_urls",
                multiple=True,
                metavar="[ROLE=]URL",
                help="Where the model of --model, or the role's own, is served. Given several times it names "
                "replicas, which share the samples evenly.",
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
                "--settings",
                "settings_file",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="A TOML file of settings; options given here win over it.",
            ),
        ],
        command,
    )


def settings_options(command: Command) -> Command:
    """Adds an option for each setting."""
    own = {"model", "base_url", "role_models", "role_base_urls", "extra_body", "role_extra_body"}
    fields = [
        click.option(
            _flag(name, info),
            name,
            default=None,  # so that a value in the file is known from one given here
            metavar=_metavar(info),
            help=_help(name, info),
        )
        for name, info in Settings.model_fields.items()
        if name not in own
    ]
    return model_options(_with(fields, command))


def mode_option(command: Command) -> Command:
    """Adds `--mode`, which may be given several times."""
    return _with(
        [
            click.option(
                "--mode",
                "modes",
                multiple=True,
                type=click.Choice(MODES),
                default=("evolve",),
                help="Which agents take part; several modes give a result each. Default: evolve.",
            )
        ],
        command,
    )


def settings_from(given: Mapping[str, Any]) -> Settings:
    """The settings that the options of a command give, over those of the TOML file where one is named.

    Raises:
        SettingsError: a value cannot be used, or the file cannot be read.
    """
    values: dict[str, Any] = {}
    if given.get("settings_file"):
        values |= _from_file(given["settings_file"])
    models = _once_by_role("--model", given["models"])
    base_urls = _by_role("--base-url", given["base_urls"])
    if "" in models:
        # The address in the file belongs to the model in the file.
        values.pop("base_url", None)
        values["model"] = models.pop("")
    if "" in base_urls:
        values["base_url"] = base_urls.pop("")
    if models:
        # So it is for roles.
        urls = _table(values, "role_base_urls")
        values["role_base_urls"] = {role: urls[role] for role in urls if role not in models}
        values["role_models"] = {**_table(values, "role_models"), **models}
    if base_urls:
        values["role_base_urls"] = {**_table(values, "role_base_urls"), **base_urls}
    extras = {
        role: _json_object(f"--extra-body {text}", text)
        for role, text in _once_by_role("--extra-body", given["extra_bodies"]).items()
    }
    if "" in extras:
        values["extra_body"] = extras.pop("")
    if extras:
        values["role_extra_body"] = {**_table(values, "role_extra_body"), **extras}
    values |= {name: given[name] for name in Settings.model_fields if given.get(name) is not None}
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise SettingsError("\n".join(_complaints(error))) from None
    for endpoint in (replica for role in ROLES for replica in settings.replicas(role)):
        if endpoint.provider == "vllm" and endpoint.base_url and not urlsplit(endpoint.base_url).path:
            raise SettingsError(
                f"{endpoint.base_url} is not where vLLM has its API: write {endpoint.base_url}/v1"
            )
    return settings


def _table(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = values.get(name, {})
    if not isinstance(table, dict):
        raise SettingsError(f"{name}: a table of roles and what is theirs, not {table!r}")
    return table


def ordered(modes: Iterable[str]) -> list[Mode]:
    """Each of these modes once, in the order of their numbers."""
    return [mode for mode in MODES if mode in set(modes)]


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not a TOML file: {error}") from None


def _once_by_role(option: str, values: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for role, texts in _by_role(option, values).items():
        if len(texts) > 1:
            raise SettingsError(f"{option} is given twice for {role or 'all roles'}")
        (found[role],) = texts
    return found


def _by_role(option: str, values: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for value in values:
        head, sign, rest = value.partition("=")
        # A URL or a name may hold an equals sign of its own; a role holds neither colon nor slash.
        role, text = (head, rest) if sign and head.isalpha() else ("", value)
        if role and role not in ROLES:
            raise SettingsError(f"{option} {value}: {role!r} is no role; roles are {', '.join(ROLES)}")
        found.setdefault(role, []).append(text)
    return found


def _json_object(where: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"{where}: not JSON ({error})") from None
    if not isinstance(value, dict):
        raise SettingsError(f"{where}: not a JSON object of fields and their values")
    return value


def _complaints(error: ValidationError) -> Iterable[str]:
    for complaint in error.errors():
        name = ".".join(str(part) for part in complaint["loc"]) or "settings"
        says = complaint["msg"].removeprefix("Value error, ")
        if complaint["type"] == "extra_forbidden":
            yield f"{name} is not a setting; settings are {', '.join(Settings.model_fields)}"
        elif complaint["type"] == "value_error":
            yield f"{name}: {says}"
        else:
            yield f"{name}: {says}, not {complaint['input']!r}"


def _flag(name: str, info: FieldInfo) -> str:
    flag = name.replace("_", "-")
    return f"--{flag}/--no-{flag}" if info.annotation is bool else f"--{flag}"


def _metavar(info: FieldInfo) -> str | None:
    if info.annotation is bool:
        return None
    kinds = {int: "NUMBER", float: "NUMBER", str: "TEXT"}
    choices = getattr(info.annotation, "__args__", ())
    if info.annotation in kinds:
        return kinds[info.annotation]
    if type(None) in choices:
        return "NUMBER"
    return "|".join(map(str, choices))


def _help(name: str, info: FieldInfo) -> str:
    if name.endswith("_persona"):
        return f"Who the {name.removesuffix('_persona')} agent is."
    if info.default is None:
        return f"{info.description}"
    default = ("off", "on")[info.default] if isinstance(info.default, bool) else info.default
    return f"{info.description} Default: {default}."


def _with(options: Sequence[Callable[[Any], Any]], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
