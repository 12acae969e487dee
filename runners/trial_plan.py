"""What a trial is to do: its samples, arms and referees, checked before the first call."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from heapq import nsmallest
from pathlib import Path
from typing import Any, NamedTuple, Self

from graph.settings import RefereeSettings, Settings
from models.providers.parameters import notices
from models.settings import REFEREES, Limits, split_model
from prompts.method import MODES
from reporting.manifest import RunError, prices_to_resume, settings_to_resume
from reporting.trial import DATA
from reporting.trial_manifest import ARMS, ORIGINAL, RefereeFacts, read_trial_manifest, shown
from runners.plan import Plan, UsageError, make_plan, require_prices
from samples.bounds import MAX_RECORD_MB
from samples.fields import plural
from samples.reader import DataSet
from samples.sources import find_source
from trials.families import families, is_related
from trials.judgments import TrialError
from trials.libraries import require_libraries
from trials.pairs import PAIRS, Pairs

SAMPLES, MIN_SAMPLES = 200, 10
"""Samples unless a number is given, and the fewest: of fewer, no figure means anything."""


READING = {"format": "auto", "skip_bad": False, "max_record_size": MAX_RECORD_MB}
"""Ways to read the data that its format does not tell, and their defaults."""


class Drawn(NamedTuple):
    """The samples of a trial."""

    positions: list[int]
    """In the data, in the order of the trial, which is random."""
    ids: list[str]
    records: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """What a trial is to do."""

    run: Plan
    """The whole data, the arms as modes, and their settings."""
    referees: RefereeSettings
    asked: int
    """How many samples are wanted."""
    pairs: Pairs
    reading: Mapping[str, Any] = field(default_factory=dict)
    """How the data is read, as far as its format does not say: what was given of `READING`."""

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms, the baseline first."""
        return (ORIGINAL, *self.run.modes)

    @property
    def seed(self) -> int:
        """What the draw, the order and the statistics follow from."""
        return self.run.settings.seed or 0

    def resuming(self, folder: Path) -> Self:
        """Return the plan with the settings as the trial in a folder began with them, if there is one.

        Raises:
            UsageError: a budget cannot be kept, since a price is missing.
        """
        settings, referees = self.run.settings, self.referees
        with suppress(RunError):
            made = read_trial_manifest(folder)
            theirs = made["referee_settings"]
            settings = settings_to_resume(settings, made["run"])
            referees = referees.model_copy(update={"price": prices_to_resume(referees, theirs)})
            if self.seed == made["seed"]:
                # 0 is that of none: it may have been given by one command alone. Models get what they got.
                settings = settings.model_copy(update={"seed": made["run"]["settings"].get("seed")})
                referees = referees.model_copy(update={"seed": theirs.get("seed")})
        for each in (settings, referees):
            require_prices(each, self.run.limits)
        return replace(self, run=replace(self.run, settings=settings), referees=referees)

    def facts_of_referees(self) -> list[RefereeFacts]:
        """Return the referees, and which models of the trial are related to them."""
        found = []
        for role in self.referees.roles:
            referee = self.referees.endpoint(role)
            models = {e.model: e for r in self.run.settings.roles for e in [self.run.settings.endpoint(r)]}
            others = [e for e in models.values() if "rehearsal" not in (e.provider, referee.provider)]
            relations = {other.model: is_related(referee.name, other.name) for other in others}
            found.append(
                RefereeFacts(
                    role=role,
                    model=referee.model,
                    related=[model for model, related in relations.items() if related],
                    unknown=None in relations.values(),
                )
            )
        return found

    def draw(self) -> Drawn:
        """Draw the samples: those whose ids have the smallest hashes with the seed.

        So the same seed draws the same samples from data whose records have ids, if it has more records or
        another order, and a larger trial has those of a smaller one. The id of a record without one is its
        position. What the method cannot work on is not drawn.

        Raises:
            DataError: the data cannot be read.
            UsageError: there are too few samples.
        """
        found = nsmallest(
            self.asked,
            (
                (_hash(self.seed, sample.id), sample.position, sample.id, sample.read)
                for sample in self.run.data.samples()
                if sample.skip is None
            ),
            key=lambda each: each[:2],
        )
        if len(found) < MIN_SAMPLES:
            raise UsageError(
                f"{self.run.data.path} has {plural(len(found), 'sample')} that can be worked on, and a trial "
                f"needs at least {MIN_SAMPLES}"
            )
        _, positions, ids, records = zip(*found, strict=True)
        return Drawn(list(positions), list(ids), list(records))

    def data_in(self, folder: Path, ids: Sequence[str]) -> DataSet:
        """Return the drawn records in the folder of a trial as a data set."""
        whole = self.run.data
        source = replace(find_source(folder / DATA), max_bytes=whole.source.max_bytes)
        drawn = DataSet(source, whole.format, whole.skip_bad, thoughts=whole.thoughts, ids=ids)
        drawn.reference = whole.reference
        return drawn

    def notices(self) -> list[str]:
        """Return what a user should know before the trial."""
        theirs = notices(self.referees)
        lines = list(dict.fromkeys([*self.run.notices(), *theirs]))
        for referee in self.facts_of_referees():
            if related := referee["related"]:
                lines.append(
                    f"{referee['model']} judges what its own family wrote or chose ({', '.join(related)}): "
                    "such a referee favors it (--allow-related)"
                )
            elif referee["unknown"]:
                lines.append(
                    f"{referee['model']}: whether it is of the family of a writer or judge of this trial "
                    "cannot be known from the names"
                )
        return lines


def make_trial_plan(
    data: str | Path,
    settings: Settings,
    limits: Limits,
    *,
    arms: Sequence[str] = ARMS,
    samples: int = SAMPLES,
    pairs: Any = "balanced",
    allow_related: bool = False,
    **reading: Any,
) -> TrialPlan:
    """Return a plan. `settings` have the referees among the models of roles; `reading` says how the records
    of the data are read, as `make_plan` takes it.

    Raises:
        UsageError: an argument cannot be used; a referee is missing, named twice, or related.
        As `make_plan` otherwise.
    """
    try:
        require_libraries()
    except TrialError as error:
        raise UsageError(str(error)) from None
    chosen = list(dict.fromkeys(arms))
    if unknown := [arm for arm in chosen if arm not in (ORIGINAL, *MODES)]:
        raise UsageError(f"unknown arm {unknown[0]!r}; arms are {', '.join((ORIGINAL, *MODES))}")
    if len(chosen) < 2:
        alone = f"{ORIGINAL},{chosen[0]}" if chosen and chosen[0] != ORIGINAL else f"{ORIGINAL},evolve"
        raise UsageError(
            f"a trial compares at least two arms, and --arms names {chosen[0] if chosen else 'none'}: "
            f"name another one, or the original responses too (--arms {alone})"
        )
    if pairs not in PAIRS:
        raise UsageError(f"unknown pairs {pairs!r}; they are {', '.join(PAIRS)}")
    if type(samples) is not int or samples < MIN_SAMPLES:
        raise UsageError(f"a trial needs at least {MIN_SAMPLES} samples, not {samples!r}")
    own, referees = _apart(settings)
    modes = [arm for arm in chosen if arm != ORIGINAL]
    given = {name: reading[name] for name, usual in READING.items() if reading.get(name, usual) != usual}
    plan = TrialPlan(make_plan(data, own, limits, modes=modes, **reading), referees, samples, pairs, given)
    for referee in plan.facts_of_referees():
        if referee["related"] and not allow_related:
            own_families = families(split_model(referee["model"])[1])
            theirs = [families(split_model(model)[1]) for model in referee["related"]]
            family = sorted(own_families.intersection(frozenset().union(*theirs))) or ["model"]
            raise UsageError(
                f"{referee['model']} is no outside referee: {', '.join(referee['related'])} writes or judges "
                f"in this trial and is of the same family ({', '.join(family)}), which a referee favors. "
                "Name one of another family, or add --allow-related"
            )
    return plan


def _apart(settings: Settings) -> tuple[Settings, RefereeSettings]:
    """Return the settings of the arms and those of the referees."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    tables = ("role_models", "role_base_urls", "role_extra_body")

    def part(*, referees: bool) -> dict[str, Any]:
        each = {
            name: {r: v for r, v in given.get(name, {}).items() if (r in REFEREES) == referees}
            for name in tables
        }
        return {**given, **{name: table for name, table in each.items() if table or name in given}}

    theirs = part(referees=True)
    models = list(theirs.get("role_models", {}).values())
    if not models:
        raise UsageError(
            "a trial needs a referee, a model that took no part: --referee PROVIDER:NAME, of another family "
            "than the models that write and judge"
        )
    for model in models:
        if models.count(model) > 1:
            raise UsageError(f"{shown(model)} is named twice as a referee: referees differ")
    for name in ("model", "base_url", "extra_body", "check"):  # which are those of the arms
        theirs.pop(name, None)
    return Settings(**part(referees=False)), RefereeSettings(**theirs)


def _hash(seed: int, sample_id: str) -> bytes:
    return blake2b(f"{seed}\0{sample_id}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
