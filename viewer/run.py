"""The runs that the pages show, and what pages remember."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from ledger.ledger import SampleResults
from ledger.text_scan import TextScan
from reporting.run import Run
from reporting.trial_snapshot import JudgedSample
from samples.sample import Sample
from viewer.drafts import Draft, Drafts, Place

MAX_DIGITS = 15
"""Digits of a number in an address; the database takes numbers of 64 bits."""

MAX_TEXT = 1000
"""Characters of a text that is searched for."""

MAX_SCANS = 20
"""Texts that were searched for and are remembered; each has up to `ledger.text_scan.COMMON` ids."""

PREFIXES = ("", "/other")
"""Where the pages of the first and of the second run begin, below those of both."""


def number_in(given: str) -> int | None:
    """Return the number that an address gives; None if it is none, or larger than any of a run."""
    return int(given) if given.isascii() and given.isdecimal() and len(given) <= MAX_DIGITS else None


@dataclass(slots=True)
class Review:
    """What pages remember until `coevol view` ends."""

    unwritten: dict[Place, Draft] = field(default_factory=dict)
    """Drafts that could not be written."""
    going_on: set[str] = field(default_factory=set)
    """The reviewers whose decisions lead on to the next undecided result."""
    scans: OrderedDict[str, TextScan] = field(default_factory=OrderedDict)
    """The last texts that were searched for, each with what was found."""


@dataclass(frozen=True, slots=True)
class RunPages(Run):
    """A run and where its pages are."""

    prefix: str = PREFIXES[0]
    shown: Mapping[str, str] = field(default_factory=dict)
    """The names of both runs and where their pages begin; empty where there is only one."""
    review: Review = field(default_factory=Review)
    base: str = ""
    """Where the pages begin that were opened together: empty where there is no list of runs."""
    trial: str = ""
    """The name of the trial that it is an arm of."""

    @property
    def is_compared(self) -> bool:
        """Whether there is something to compare it with: another run, or another of its modes."""
        return len(self.shown) > 1 or len(self.modes) > 1

    @property
    def drafts(self) -> Drafts:
        """What was written and is not saved."""
        return Drafts(self.folder, self.review.unwritten)

    def address(self, path: str, values: Mapping[str, object] | None = None) -> str:
        """Return the link to a page of this run, see `address`."""
        return address(self.prefix + path, values or {})

    def sample_at(self, given: str, query: Mapping[str, str]) -> SampleResults | None:
        """Return the sample that an address names by its id or, where no sample has it, by its position."""
        found = self.ledger.sample(given) if given else None
        if found is None and (position := number_in(given or query.get("position", ""))) is not None:
            found = next(iter(self.ledger.samples_at([position])), None)
        return found

    def scan(self, text: str) -> TextScan:
        """Return the scan of its ledger for a text."""
        scans = self.review.scans
        found = scans.setdefault(text, TextScan(self.ledger, text))
        scans.move_to_end(text)
        if len(scans) > MAX_SCANS:
            scans.popitem(last=False)
        return found


def run_pages(runs: Sequence[Run], base: str = "") -> list[RunPages]:
    """Return the pages of one run, or of two that are compared. Runs of the same name show their paths."""
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        names = [str(run.folder.resolve()) for run in runs]
    prefixes = [base + prefix for prefix in PREFIXES]
    shown = dict(zip(names, prefixes, strict=False)) if len(runs) > 1 else {}
    return [
        RunPages(run.folder, name, run.ledger, run.manifest, prefix, shown, base=base)
        for run, name, prefix in zip(runs, names, prefixes, strict=False)
    ]


MAX_ID = 500
"""Characters of an id, escaped, in an address; some programs cut longer addresses."""


def sample_path(sample: Sample | JudgedSample) -> tuple[str, dict[str, object]]:
    """Return the path of a sample's page, by its id, and what the address needs in addition.

    Ids that addresses cannot have are left out for the position: browsers take dots for a folder.
    """
    try:
        name = quote(sample.id, safe="")
    except UnicodeEncodeError:
        name = ""
    if len(name) > MAX_ID or name in ("", ".", ".."):
        return "/sample/", {"position": sample.position}
    return f"/sample/{name}", {}


def address(path: str, values: Mapping[str, object]) -> str:
    """Return the link to a page with these values, without empty ones."""
    # Not by `in`, to which 0 is False: it is a number of accepted rounds.
    given = {name: value for name, value in values.items() if value not in ("", None) and value is not False}
    query = urlencode({name: 1 if value is True else value for name, value in given.items()})
    return f"{path}?{query}" if query else path
