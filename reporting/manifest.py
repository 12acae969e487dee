"""The manifest of a run: what made it, as `run.json` in its folder records it."""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NotRequired, cast

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from graph.settings import BEFORE, WHERE_NOT_WHAT, Settings
from models.addresses import shown_address
from models.keys import Keys
from models.secret_fields import (
    command_without_hashes,
    masked,
    masked_command,
    masked_command_like,
    masked_like,
    salted_mask,
    secrets_in,
    without_hashes,
)
from models.settings import Endpoint, ModelSettings, Role
from samples.csv_files import Dialect
from samples.reader import Checked, DataSet

FILE = "run.json"

PACKAGES = ("coevol", "langgraph", "langchain-core", "langchain-openai", "openai", "fschat")
"""Whose versions a run records: what could change a request or the way a reply is read."""


class RunError(Exception):
    """The folder cannot be used for this run. The message says why and what to do."""


class DataFacts(TypedDict):
    """The data set of a run."""

    path: str
    sha256: str
    records: int
    format: str
    layout: str
    thinking: NotRequired[int]
    """How many responses have thoughts."""
    types: NotRequired[str | None]
    """The schema of Parquet and Arrow data, see `samples.parquet_types`."""
    dialect: NotRequired[Dialect]
    """How the data is written that is CSV, see `samples.csv_files`."""
    reference: NotRequired[str]
    """The field of the right answers."""


class PackFacts(TypedDict):
    """The prompt pack of a run."""

    pack: str
    sha256: str


class LaterLimit(TypedDict):
    """Another limit on replies, and since when the run continued with it."""

    at: str
    max_tokens: int


class Part(TypedDict):
    """The records that the last command works on."""

    start: int
    """From 0."""
    stop: int
    """The record to stop before."""


class Manifest(TypedDict):
    """What made a run."""

    created: str
    """ISO 8601."""
    data: DataFacts
    modes: list[str]
    settings: dict[str, Any]
    prompts: PackFacts
    versions: dict[str, str]
    later: NotRequired[list[LaterLimit]]
    salt: NotRequired[str]
    """Of the hashes that stand for keys in the settings; a manifest without it has the settings as given."""
    part: NotRequired[Part]
    """None where the last command works on all records."""


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a run.

    Raises:
        RunError: there is none, or it is damaged.
    """
    file = folder / FILE
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{folder} is not a run: {file} cannot be read ({error})") from None
    try:
        TypeAdapter(Manifest).validate_python(found)
        datetime.fromisoformat(found["created"])
        endpoints(found)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "all of it"
        raise RunError(f"{file} is damaged: {where}: {first['msg']}") from None
    except ValueError as error:
        raise RunError(f"{file} is damaged: created: {error}") from None
    return cast(Manifest, found)


def new_manifest(data: DataSet, checked: Checked, settings: Settings, modes: Sequence[str]) -> Manifest:
    """Return the manifest of a run that begins now: the data, the settings, the prompts and the versions.

    Raises:
        PackError: the prompt pack cannot be used.
    """
    from prompts.pack import load_pack  # slow to load, and those who read a manifest need none

    pack = load_pack(settings.prompts, modes)
    facts = DataFacts(
        path=str(data.path),
        sha256=checked.sha256,
        records=checked.count,
        format=data.format,
        layout=data.layout,
        thinking=checked.thinking,
        types=data.types(),
    )
    if dialect := data.dialect():
        facts["dialect"] = dialect
    if data.reference:
        facts["reference"] = data.reference
    return Manifest(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        data=facts,
        modes=list(modes),
        settings=settings.model_dump(mode="json"),
        prompts=PackFacts(pack=pack.name, sha256=pack.digest_for(modes, references=bool(data.reference))),
        versions={package: version(package) for package in PACKAGES},
    )


_BODIES = ("extra_body", "role_extra_body")
_ADDRESSES = ("base_url", "role_base_urls")


def without_keys(manifest: Manifest, keys: Keys) -> Manifest:
    """Return the manifest of a new run as it is recorded: hashes stand for the keys in its settings."""
    settings, salt = dict(manifest["settings"]), secrets.token_hex(8)
    found = {text for name in _BODIES for text in secrets_in(settings[name])}
    found |= {text for name in _BODIES for text in _texts(settings[name]) if keys.redact_reply(text) != text}
    mask = salted_mask(salt)
    settings |= {name: masked(settings[name], found, mask) for name in _BODIES}
    for name in _ADDRESSES:
        settings[name] = masked(settings[name], set(_texts(settings[name])), keys.redact_address)
    check = settings.get("check")
    if isinstance(check, str):
        settings["check"] = masked_command(check, mask)
    recorded: Manifest = {**manifest, "settings": settings}
    if found or settings.get("check") != check:
        recorded["salt"] = salt
    return recorded


def shown_settings(manifest: Manifest) -> dict[str, Any]:
    """Return the settings of a run for users, without what may be a key: earlier versions recorded it."""
    settings = dict(manifest["settings"])
    for name in _BODIES:
        if name in settings:
            settings[name] = without_hashes(masked(settings[name], set(secrets_in(settings[name]))))
    for name in _ADDRESSES:
        if name in settings:
            settings[name] = masked(settings[name], set(_texts(settings[name])), shown_address)
    if isinstance(check := settings.get("check"), str):
        settings["check"] = command_without_hashes(masked_command(check))
    return settings


def _texts(value: Any) -> Iterator[str]:
    return secrets_in(value, named=True)


def endpoints(manifest: Manifest) -> dict[Role, Endpoint]:
    """Return the models that a run was made with."""
    found = manifest["settings"]
    settings = ModelSettings(**{name: found[name] for name in ModelSettings.model_fields if name in found})
    return {role: settings.endpoint(role) for role in settings.roles}


def is_rehearsed(manifest: Manifest) -> bool:
    """Whether some role of a run was played by rules instead of a model."""
    return any(endpoint.provider == "rehearsal" for endpoint in endpoints(manifest).values())


def reply_limits(manifest: Manifest) -> list[int]:
    """Return the limits on replies that a run has had, in order."""
    later = manifest.get("later", [])
    return [manifest["settings"]["max_tokens"], *(limit["max_tokens"] for limit in later)]


def recorded_settings(manifest: Manifest) -> dict[str, Any]:
    """Return the settings of a run, in today's terms.

    What its manifest does not name has the value that it had before there was the setting. Before there were
    guards, `memory_window` did not count the prompt of the free debate.
    """
    found = manifest["settings"]
    settings = {**Settings().model_dump(mode="json"), **BEFORE, **found}
    if "guards" not in found and settings["memory_window"]:
        settings["memory_window"] += 1
    return {name: settings[name] for name in Settings.model_fields}


def settings_to_resume(settings: Settings, made: Manifest) -> Settings:
    """Return the settings with which a run goes on that began with this manifest.

    What was not given and is not in the manifest has the value that the run began with, see
    `recorded_settings`. What was given stays, so that `differences` reports it. Prices that were given before
    are kept.
    """
    missing = [name for name in BEFORE if name not in {*made["settings"], *settings.model_fields_set}]
    update: dict[str, Any] = {name: BEFORE[name] for name in missing}
    update["price"] = prices_to_resume(settings, made["settings"])
    if "guards" not in made["settings"] and settings.memory_window:
        update["memory_window"] = settings.memory_window + 1
    return settings.model_copy(update=update)


def prices_to_resume(settings: Settings, made: Mapping[str, Any]) -> dict[str, Any]:
    """Return the prices of some settings, and those of recorded ones that they do not name."""
    return {model: tuple(price) for model, price in made.get("price", {}).items()} | settings.price


def differences(one: Manifest, other: Manifest) -> Iterator[tuple[str, str, str]]:
    """Yield how two runs were made differently: a name, and its value in each.

    What does not change a result, such as the number of calls in flight, is left out.
    """
    settings = _comparable(one, other)
    for name in settings[0]:
        there, here = (each[name] for each in settings)
        if name == "max_tokens":
            limits = (reply_limits(manifest) for manifest in (one, other))
            there, here = (all_[0] if len(all_) == 1 else all_ for all_ in limits)
        if there != here and name not in WHERE_NOT_WHAT:
            if name in _BODIES:
                # Hashes of a salt for this comparison, so that two keys look like two.
                mask = salted_mask(secrets.token_hex(8))
                there, here = (masked(each, set(secrets_in(each)), mask) for each in (there, here))
            elif name == "check":
                mask = salted_mask(secrets.token_hex(8))
                there, here = (masked_command(each, mask) if each else each for each in (there, here))
            yield name, _brief(there), _brief(here)
    for key in _IDENTIFYING:
        if one["data"][key] != other["data"][key]:
            there, here = (f"{m['data']['path']} ({m['data'][key]:.12})" for m in (one, other))
            yield "data", there, here
    fields = [manifest["data"].get("reference") for manifest in (one, other)]
    if fields[0] != fields[1]:
        yield "reference", _brief(fields[0]), _brief(fields[1])
    elif one["prompts"]["sha256"] != other["prompts"]["sha256"]:
        there, here = (f"{m['prompts']['pack']} ({m['prompts']['sha256']:.12})" for m in (one, other))
        yield "texts of the prompts", there, here
    if one["modes"] != other["modes"]:
        there, here = (", ".join(manifest["modes"]) for manifest in (one, other))
        yield "modes", there, here


def _comparable(one: Manifest, other: Manifest) -> list[dict[str, Any]]:
    """Return the settings of two runs, with hashes in place of keys where one of them has only these.

    Hashes of different salts say nothing: then all keys count as equal.
    """
    both = [recorded_settings(manifest) for manifest in (one, other)]
    salts = [manifest.get("salt") for manifest in (one, other)]
    for name in _BODIES:
        there, here = (settings[name] for settings in both)
        both[0][name], both[1][name] = _alike(there, here, salts, without_hashes, masked_like)
    there, here = (settings["check"] for settings in both)
    if isinstance(there, str) and isinstance(here, str):
        there, here = _alike(there, here, salts, command_without_hashes, masked_command_like)
        both[0]["check"], both[1]["check"] = there, here
    return both


def _alike(
    there: Any,
    here: Any,
    salts: Sequence[str | None],
    unhashed: Callable[[Any], Any],
    like: Callable[[Any, Any, Callable[[str], str]], Any],
) -> tuple[Any, Any]:
    """Return a setting of two runs, each with its salt, so that the same keys are equal."""
    salt, other = salts
    if salt and other:
        return (there, here) if salt == other else (unhashed(there), unhashed(here))
    if salt:
        return there, like(there, here, salted_mask(salt))
    return (like(here, there, salted_mask(other)) if other else there), here


_IDENTIFYING: tuple[Literal["sha256", "format"], ...] = ("sha256", "format")


def _brief(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"
