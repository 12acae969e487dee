"""The command that improves all of a data set as an arm of a trial did."""

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from graph.settings import BEFORE, Settings
from reporting.manifest import shown_settings
from reporting.trial_manifest import MATCHED, TrialManifest, settings_of

RUN = "RUN"
"""What stands for the folder of the run."""

LEFT_OUT = "…"
"""What stands for what no manifest has, such as keys."""


def command_of(made: TrialManifest, mode: str) -> str:
    """Return the command that works on all of the data as an arm did: read the same way, with its settings,
    and with its rounds or drafts. Keys are `…` in it."""
    words = ["coevol", "evolve", made["run"]["data"]["path"], *_reading(made), *_settings(made, mode)]
    words += ["-o", RUN, "--mode", mode]
    if depth := made["depths"].get(mode):
        number = depth["rounds"] + (2 * depth["more"] >= len(made["positions"]))
        words += [_flag(MATCHED[mode]), str(number)]
    return shlex.join(words)


def _reading(made: TrialManifest) -> Iterator[str]:
    data, given = made["run"]["data"], made.get("reading", {})
    kind, _, rest = data["format"].partition(" ")
    if kind == "columns":
        yield from ("--columns", ",".join(f"{part}={name}" for part, name in json.loads(rest).items()))
    if kind in ("preference", "kto"):
        yield from ("--improve", rest.partition(" ")[0])
    if reference := data.get("reference"):
        yield from ("--reference", reference)
    for name, value in given.items():
        yield from (_flag(name),) if value is True else (_flag(name), str(value))


def _settings(made: TrialManifest, mode: str) -> Iterator[str]:
    """Yield the options of all settings that differ from the defaults."""
    found = {**BEFORE, **shown_settings(made["run"])}
    usual = Settings().model_dump(mode="json")
    of_roles = {"model": "role_models", "base_url": "role_base_urls", "extra_body": "role_extra_body"}
    for name, role_name in of_roles.items():
        by_role = {"": found[name]} if name in found and found[name] != usual[name] else {}
        for role, value in {**by_role, **found.get(role_name, {})}.items():
            for each in value if isinstance(value, list | tuple) else [value]:
                text = json.dumps(each, ensure_ascii=False) if isinstance(each, Mapping) else each
                yield from (_flag(name), f"{role}={text}" if role else text)
    settings = settings_of(made)
    played = {settings.endpoint(role).model for role in settings.roles}  # a price may be a referee's
    for model, price in found.get("price", {}).items():
        if model in played:
            yield from ("--price", f"{model}={','.join(map(str, price))}")
    others = usual.keys() - {*of_roles, *of_roles.values(), "price"}
    if mode in made["depths"]:
        others.discard(MATCHED[mode])
    for name, value in found.items():
        if name in others and value != usual[name]:
            yield from _option(name, value)


def _option(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, bool):
        return (_flag(name) if value else f"--no-{_flag(name)[2:]}",)
    return _flag(name), "default" if value is None else str(value)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
