"""The manifest of a trial: what made it and how far its costs are matched, `trial.json` in its folder."""

import json
from pathlib import Path
from typing import Any, NotRequired, cast

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from graph.settings import RefereeSettings, Settings
from models.secret_fields import without_hashes
from reporting.manifest import Manifest, RunError, endpoints
from samples.files import write_text

FILE = "trial.json"

ORIGINAL = "original"
"""The arm of the responses as they were, the baseline of every trial."""

ARMS = ("edit", "advise", "refine", "best-of-n", "evolve")
"""The modes that are arms unless others are named."""

MATCHED = {"refine": "max_rounds", "best-of-n": "drafts"}
"""The arms whose cost is matched to that of `TARGET`, and the setting that does it."""

COUNTED = {"refine": "round", "best-of-n": "draft"}
"""What the depths of these arms are counted in."""

TARGET = "evolve"

WITHIN = 0.1
"""Costs match if they differ by no more than this share of the target's."""


class RefereeFacts(TypedDict):
    """A referee of a trial."""

    role: str
    model: str
    related: list[str]
    """The models of the trial that are of its family."""
    unknown: bool
    """Whether its family is not known, or that of a model of the trial."""


class DepthFacts(TypedDict):
    """How long an arm goes on with each exchange, to cost as much as the target (`trials.matching.Depth`)."""

    rounds: int
    more: int
    is_spent: NotRequired[bool]
    """Whether there is nothing left to go on with: no draft won in the last round."""


class TrialManifest(TypedDict):
    """What made a trial."""

    run: Manifest
    """The data it was drawn from, its arms as modes, their settings, the prompts and the versions."""
    asked: int
    """How many samples were asked for."""
    positions: list[int]
    """The positions in the data of those that were drawn, in the order of their hashes: a random one."""
    ids: list[str]
    """Their ids there."""
    seed: int
    pairs: str
    referees: list[RefereeFacts]
    referee_settings: dict[str, Any]
    referee_salt: NotRequired[str]
    """Of the hashes in their settings, as in a run's manifest."""
    depths: dict[str, DepthFacts]
    reading: NotRequired[dict[str, Any]]
    """How the data is read, as far as `run` does not say: options of `coevol evolve` that were given."""


def read_trial_manifest(folder: Path) -> TrialManifest:
    """Read the manifest of a trial.

    Raises:
        RunError: there is none, or it is damaged.
    """
    file = folder / FILE
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        TypeAdapter(TrialManifest).validate_python(found)
        endpoints(found["run"])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "all of it"
        raise RunError(f"{file} is damaged: {where}: {first['msg']}") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{folder} is not a trial: {file} cannot be read ({error})") from None
    return cast(TrialManifest, found)


def write_trial_manifest(folder: Path, made: TrialManifest) -> None:
    """Write the manifest of a trial, atomically. Raises DataError if it cannot be written."""
    write_text(folder / FILE, json.dumps(made, indent=2, ensure_ascii=False) + "\n")


def shown(model: str) -> str:
    """Return a referee's model as a text names it: `rehearsal:` needs no colon where it has no name."""
    return model.removesuffix(":")


def is_trial(folder: Path) -> bool:
    """Whether a folder holds a trial."""
    return (folder / FILE).is_file()


def arms_of(made: TrialManifest) -> tuple[str, ...]:
    """Return the arms of a trial, the baseline first."""
    return (ORIGINAL, *made["run"]["modes"])


def settings_of(made: TrialManifest) -> Settings:
    """Return the settings of the arms, for prices: without keys."""
    return Settings(**_fields(made["run"]["settings"]))


def referee_settings_of(made: TrialManifest) -> RefereeSettings:
    """Return the settings of the referees, for prices: without keys."""
    return RefereeSettings(**_fields(made["referee_settings"]))


def _fields(found: dict[str, Any]) -> dict[str, Any]:
    return {name: without_hashes(found[name]) for name in Settings.model_fields if name in found}
