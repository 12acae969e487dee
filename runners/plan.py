"""What a run is to do: data, modes, settings and limits, checked before the first call."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Self

from graph.settings import Settings
from models.keys import Keys
from models.limits.budget import NOTHING, Amount
from models.providers.langchain_community import require_libraries
from models.providers.parameters import notices, unlimited
from models.providers.proxies import check_proxies
from models.providers.rehearsal import NOTICE
from models.settings import AUTO, ESTIMATE, Limits, ModelSettings, located
from models.token_counter import estimate_notice, load_tokenizer
from nodes.checks import require_check
from prompts.method import MODES
from prompts.pack import load_pack
from reporting.cost import unpriced
from reporting.labels import NO_PRICE, is_best_of
from reporting.manifest import Manifest, Part, RunError, new_manifest, read_manifest, settings_to_resume
from runners.folder import checked_before, format_before
from samples.bounds import MAX_RECORD_MB
from samples.fields import percent, plural
from samples.formats import READ_FORMATS
from samples.preferences import SIDES
from samples.reader import DataSet, open_data
from samples.tokens import estimate_tokens

try:
    import resource
except ImportError:  # Windows, which does not limit open files
    resource = None  # type: ignore[assignment]

LOOKED_AT = 1000
"""Records by whose responses it is known how many drafts will not fit."""

OTHER_FILES = 40
"""Open files besides connections (data, ledger, locks, Python's own), twice what was measured."""


class UsageError(RunError):
    """An option cannot be used, or contradicts another. The message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to do."""

    data: DataSet
    modes: list[str]
    settings: Settings
    limits: Limits = field(default_factory=Limits)
    start: int = 0
    """The first position to work on."""
    stop: int | None = None
    """The position to stop before."""
    retry_failed: bool = False
    """Whether to work on failed samples again."""
    depths: Mapping[int, int] = field(default_factory=dict)
    """By position: the most rounds or drafts of samples that have a limit of their own."""
    again: frozenset[int] = frozenset()
    """Positions of finished samples to work on again: their recorded calls count, further ones are made."""

    elsewhere: Amount = NOTHING
    """What other runs have spent that share the budget."""

    def modes_of(self, position: int) -> Sequence[str]:
        """Return the modes in which a sample is worked on."""
        return self.modes

    @property
    def is_rehearsed(self) -> bool:
        """Whether some role is played by rules instead of a model."""
        return any(self.settings.endpoint(role).provider == "rehearsal" for role in self.settings.roles)

    def notices(self) -> list[str]:
        """Return what a user should know before the run."""
        found = [NOTICE] * self.is_rehearsed + notices(self.settings, drafts=is_best_of(self.modes))
        if self.data.reference:
            found += self._hidden_reference()
        if self.data.format != "alpaca" and self.settings.max_exchanges is None:
            found += filter(None, [estimate_notice(self.settings, self.settings.tokenizer)])
        return found

    def _hidden_reference(self) -> Iterator[str]:
        template = f"judge_{self.settings.verdict}"
        if not any(MODES[mode].is_judged for mode in self.modes):
            if not self.settings.check:
                yield "--reference is of no use here: these modes have no judge, and there is no --check"
        elif template not in load_pack(self.settings.prompts, self.modes).shows_reference:
            yield (
                f"the prompt pack {self.settings.prompts} does not show the reference to the judge: "
                f"{template}.jinja has no {{{{ reference }}}}"
            )

    def resuming(self, folder: Path) -> Self:
        """Return the plan with the settings as the run in a folder began with them, if there is one.

        Raises:
            UsageError: a budget cannot be kept, since a price is missing.
        """
        settings = self.settings
        with suppress(RunError):
            settings = settings_to_resume(settings, read_manifest(folder))
        require_prices(settings, self.limits)
        self.data.thoughts = settings.thoughts
        return replace(self, settings=settings)

    def check_data(self, folder: Path) -> Manifest:
        """Read the whole data set, unless the run in this folder already did, and return the run's manifest.

        Raises:
            DataError: a record is broken.
            PackError: the prompt pack cannot be used.
            UsageError: there are no records from `start` to `stop`.
        """
        self.data.resume(format_before(folder))
        checked = self.data.check(checked_before(folder, self.data))
        if self.start >= checked.count:
            raise UsageError(
                f"start (--start) {self.start} is behind the last record: {self.data.path} has "
                f"{plural(checked.count, 'record')}, counted from 0"
            )
        if self.stop is not None and self.stop <= self.start:
            raise UsageError(f"stop (--stop) {self.stop} leaves no record from {self.start} (--start)")
        manifest = new_manifest(self.data, checked, self.settings, self.modes)
        if self.start or (self.stop is not None and self.stop < checked.count):
            stop = checked.count if self.stop is None else min(self.stop, checked.count)
            manifest["part"] = Part(start=min(self.start, stop), stop=stop)
        return manifest

    def data_notices(self) -> list[str]:
        """Return what a user should know about the records, which were checked."""
        looked, long = 0, 0
        for sample in islice(self.data.samples(self.start, self.stop), LOOKED_AT):
            looked += 1
            responses = (each.response for each in sample.exchanges)
            # No text has more tokens than bytes, and few are close to the limit.
            long += any(
                len(text.encode(errors="replace")) > self.settings.max_tokens
                and estimate_tokens(text) > self.settings.max_tokens
                for text in responses
            )
        found = self.data.notices()
        if long:
            first = "" if looked < LOOKED_AT else "first "
            found.append(
                f"{percent(long / looked, 1)} of the {first}{looked:,} records have a response of more than "
                f"{self.settings.max_tokens:,} tokens, as estimated: a draft as long does not fit "
                "(--max-tokens), and where it is cut off the response stays as it is"
            )
        return found

    def expected(self, records: int) -> int:
        """Return how many results the run has when it is finished, skipped samples counted for each mode."""
        last = records if self.stop is None else min(self.stop, records)
        return max(0, last - self.start) * len(self.modes)

    def load_keys(self, connections: int) -> Keys:
        """Return the keys, and make sure that the first calls, so many at a time, have everything they need.

        Raises:
            MissingKey, MissingExtra, ProxyUnusable, UsageError: something is missing; the message says what
                to do.
        """
        keys = Keys.load(self.settings)
        for role in self.settings.roles:
            keys.of(self.settings.endpoint(role), role)
        require_to_run(self.settings, connections)
        return keys


def make_plan(
    data: str | Path,
    settings: Settings,
    limits: Limits,
    *,
    modes: Sequence[str],
    format: Any = "auto",
    columns: Mapping[str, str] | None = None,
    improve: Any = None,
    skip_bad: bool = False,
    reference: str | None = None,
    max_record_size: int = MAX_RECORD_MB,
    start: int = 0,
    stop: int | None = None,
    retry_failed: bool = False,
) -> Plan:
    """Return a plan for a data set. Whether it has all prices that a budget needs shows in `resuming`.

    Raises:
        UsageError: an argument cannot be used, a mode is unknown, or a budget cannot be kept.
        MissingExtra: a tokenizer or a check is given, and its library is not installed.
        CheckUnusable: the command of a check is not found.
        DataError: the data cannot be read.
    """
    for value, kind in ((settings, Settings), (limits, Limits)):
        if not isinstance(value, kind):
            raise UsageError(f"expected coevol.{kind.__name__}, not a value of type {type(value).__name__}")
    for name, position in (("start", start), ("stop", 0 if stop is None else stop)):
        if type(position) is not int or position < 0:
            raise UsageError(f"{name} is the position of a record, a whole number from 0, not {position!r}")
    if format not in (known := ("auto", *READ_FORMATS)):
        raise UsageError(f"unknown format {format!r}; formats are {', '.join(known)}")
    if columns and format != "auto":
        raise UsageError("columns (--columns) take the place of a format (--format): give one of them")
    if improve not in (None, *SIDES):
        raise UsageError(f"improve is {' or '.join(SIDES)}, not {improve!r}")
    if reference is not None and not (isinstance(reference, str) and reference):
        raise UsageError(f"reference (--reference) is the name of a field, not {reference!r}")
    if settings.check in ("exact", "math") and not reference:
        raise UsageError(f"--check {settings.check} needs the field of the right answers: --reference FIELD")
    require_check(settings.check)
    if isinstance(modes, str):
        raise UsageError(f"modes is a list: give modes=[{modes!r}]")
    if not modes or (unknown := [mode for mode in modes if mode not in MODES]):
        what = f"unknown mode {unknown[0]!r}" if modes else "no mode given"
        raise UsageError(f"{what}; modes are {', '.join(MODES)}")
    if limits.budget is not None and all(
        settings.endpoint(role).provider == "rehearsal" for role in settings.roles
    ):
        raise UsageError("rehearsal costs nothing: leave out the budget (--budget)")
    if (limits.budget or limits.budget_tokens) and (roles := unlimited(settings)):
        raise UsageError(
            f"a budget needs a limit on replies, and --extra-body removes it for {', '.join(roles)}"
        )
    if is_best_of(modes):
        fields = settings.further("editor")
        for name, option in (("temperature", "--draft-temperature"), ("seed", "--seed")):
            if name in fields:
                raise UsageError(
                    f"--extra-body sets the editor's {name}, which is to differ between the drafts of "
                    f"best-of-n: give it by {option}"
                )
    if settings.tokenizer not in (AUTO, ESTIMATE):
        try:
            load_tokenizer(settings.tokenizer)
        except ValueError as error:
            raise UsageError(str(error)) from None
    chosen = [mode for mode in MODES if mode in modes]
    if type(max_record_size) is not int or max_record_size < 1:
        raise UsageError(f"max_record_size is a whole number of megabytes from 1, not {max_record_size!r}")
    how = {"columns": columns, "improve": improve, "skip_bad": skip_bad, "reference": reference}
    opened = open_data(data, format, max_record_size=max_record_size, **how)
    opened.thoughts = settings.thoughts
    return Plan(opened, chosen, settings, limits, start, stop, retry_failed)


def require_prices(settings: ModelSettings, limits: Limits) -> None:
    """Make sure that prices make sense, and that a budget in dollars can be kept.

    Raises:
        UsageError: prices are in another order, or one that a budget needs is unknown.
    """
    for model, (fresh, cached, _) in settings.price.items():
        if cached > fresh:
            raise UsageError(
                f"the price of {model} (--price) is ${cached:g} for cached tokens and ${fresh:g} for others: "
                "a cache makes none dearer, and the order is INPUT,CACHED,OUTPUT"
            )
    if limits.budget is None:
        return
    for endpoint in unpriced(settings):
        reason = NO_PRICE.format(model=endpoint.model, address=located(endpoint).shown_url)
        raise UsageError(
            f"a budget in dollars (--budget) needs the price of every model, and {reason}: "
            "or use one in tokens (--budget-tokens)"
        )


def require_to_run(settings: Settings, connections: int) -> None:
    """Make sure that this process has what so many calls at a time need, besides keys.

    Raises:
        MissingExtra, ProxyUnusable, UsageError: something is missing; the message says what to do.
    """
    check_proxies()
    endpoints = [settings.endpoint(role) for role in settings.roles]
    if any(endpoint.provider != "rehearsal" for endpoint in endpoints):
        _allow_connections(connections)
    for endpoint in endpoints:
        require_libraries(endpoint.provider)


def _allow_connections(concurrency: int) -> None:
    """Raise this process's limit on open files for so many connections, as far as the system allows.

    Raises:
        UsageError: the limit is too low, and the first calls would fail.
    """
    if resource is None:
        return
    needed = concurrency + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return
    # Idle connections, to other endpoints for example, come on top.
    wanted = 2 * concurrency + OTHER_FILES
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < most:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    if soft < needed:
        raise UsageError(
            f"{concurrency} calls in flight (--concurrency) take up to {needed} open files, and this process "
            f"may have {soft}: raise the limit with `ulimit -n {wanted}`, or make fewer calls at a time"
        )
