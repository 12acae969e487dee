"""The settings that a command is given: by its options, which override those of a TOML file."""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import BaseModel, ValidationError

from graph.complaints import complaints
from graph.settings import Settings
from models.addresses import shown_address
from models.keys import Keys, MissingKey
from models.secret_fields import without_secrets
from models.settings import PANEL, REFEREES, ROLES, Limits, split_model
from runners.terminal import hide

Model = TypeVar("Model", bound=BaseModel)


class SettingsError(click.UsageError):
    """A setting cannot be used. The message names it, its value, and what it may be."""


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
    # An address in the file belongs to the file's model, if it names one.
    if "" in models and "model" in values:
        values.pop("base_url", None)
    own = _table(values, "role_models").keys()
    replaced = own & models.keys()
    if "judge" in models:  # it takes the place of the file's panel
        replaced |= own & set(PANEL)
    for name in ("role_models", "role_base_urls"):
        if table := _table(values, name):
            values[name] = {role: table[role] for role in table if role not in replaced}
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
    if settings.base_url and split_model(settings.model)[0] == "rehearsal":
        of_role = next((f", or --base-url {role}=URL for its own" for role in settings.role_models), "")
        raise SettingsError(
            f"{shown_address(settings.base_url[0])} is the address of no model: name the one that is served "
            f"there, such as --model openai:NAME{of_role}. Without it the roles are played by rehearsal"
        )
    roles = (*settings.roles, *(role for role in REFEREES if role in settings.role_models))
    played = dict.fromkeys(settings.endpoint(role).model for role in roles)
    if unused := sorted(prices.keys() - played.keys()):
        raise SettingsError(f"--price {unused[0]}: no role has this model; they have {', '.join(played)}")
    with suppress(MissingKey):  # reported where keys are needed
        hide(Keys.load(settings))
    return settings, _validated(Limits, limits, given)


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
