"""The options that commands share.

Every field of `Settings` and `Limits` is an option of the same name; the bounds and the messages are the
fields' own.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from graph.settings import Settings
from models.settings import PROVIDERS, ROLES, Limits
from prompts.method import MODES
from runners.command_settings import SettingsError
from samples.bounds import MAX_RECORD_MB
from samples.formats import READ_FORMATS
from samples.preferences import SIDES

Command = TypeVar("Command", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)
MODE = click.Choice(list(MODES))


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
            shell_complete=_packs if name == "prompts" else _offering(*_values(name, info)),
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


def _offering(*words: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return how the shell completes an option that takes one of these words, or in place of them a file."""

    def complete(context: click.Context, option: click.Parameter, begun: str) -> list[CompletionItem]:
        found = [CompletionItem(word) for word in words if word.startswith(begun)]
        return found or [CompletionItem(begun, type="file")]

    return complete


def _packs(context: click.Context, option: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the name of a built-in prompt pack, or a folder."""
    from prompts.pack import BUILT_IN  # which loads what renders prompts

    return _offering(*BUILT_IN)(context, option, begun)


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
