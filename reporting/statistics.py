"""The numbers of a run, from the totals that its ledger keeps (`ledger/upgrades/to_6.sql`), in constant time.

Users' decisions are counted each time: there are few.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select, text

from ledger.decisions import DECIDED_BY_JUDGE, KINDS
from ledger.ledger import Ledger
from ledger.tables import GROWTH, NOT_DONE, decided
from ledger.usage import Counted, free_calls
from models.settings import ROLES, Role
from nodes.decision import GUARDS, judges_disagree, points_by_judge
from prompts.method import STEPS
from reporting.cost import NEVER_BILLED
from reporting.reviewing import Reviewing, reviewing


@dataclass(slots=True)
class Lengths:
    """How long responses were and became, over the samples of a mode, in estimated tokens.

    A sample's length is that of all its responses that were worked on, failed ones with their original; a
    ratio is new length over old length, and samples whose old length is 0 have none.
    """

    average_original_tokens: float | None
    average_evolved_tokens: float | None
    ratio_of_averages: float | None
    median_ratio: float | None
    """Over all samples with a ratio."""
    median_ratio_of_changed: float | None
    doubled: float | None
    """The share of them that grew to more than twice their length."""


@dataclass(slots=True)
class Judging:
    """How the two orders of judgment compare, over all judged rounds."""

    rounds: int
    accepted: int
    agreed: int
    """Both orders name the same winner, or both a tie."""
    one_tie: int
    """One order names a winner and the other a tie."""
    contradicted: int
    """The orders name opposite winners: both favored the response shown first, or both the one shown
    second."""
    favoured_first: int
    favoured_second: int
    one_unreadable: int
    both_unreadable: int
    calls_saved: int
    """Rounds that the first order decided, so that the second was not asked for (`lazy_judge`)."""

    @property
    def agreement(self) -> float | None:
        """The share of `agreed` in the rounds where both orders could be read, from 0 to 1."""
        return _ratio(self.agreed, self.agreed + self.one_tie + self.contradicted)


@dataclass(slots=True)
class PanelJudge:
    """What a judge of a panel said, over all judged rounds: each time the average of its two orders."""

    draft: int = 0
    """Rounds in which it preferred the draft; the others likewise."""
    current: int = 0
    neither: int = 0
    unreadable: int = 0


@dataclass(slots=True)
class Panel:
    """How the judges of a panel compare, over all judged rounds."""

    rounds: int
    disagreed: int
    """Those of them in which the judges that could be read did not all say the same."""
    judges: dict[str, PanelJudge]
    """By model."""


@dataclass(slots=True)
class Deciding:
    """What users decided on the results of exchanges; of several reviewers' decisions the one that counts."""

    decided: int
    """Decisions that are current; by kind in the next four (`ledger.decisions.KINDS`)."""
    accepted: int
    rejected: int
    chosen: int
    edited: int
    outdated: int
    """Decisions on a result that has changed since."""
    compared: int
    """Exchanges in which the judge decided and so did a user, for one of the texts that the judge had before
    it: who writes a text of their own answers another question."""
    agreement: float | None
    """The share of `accepted` among them; None in modes without a judge, or if nothing was compared."""


@dataclass(slots=True)
class Checking:
    """References, and what the check (`check`) says of the responses of exchanges that did not fail."""

    with_reference: int
    """Exchanges with one."""
    checked: int
    """Exchanges whose original response was checked; without a reference only by a command."""
    original_agrees: int
    final_agrees: int
    no_result: int
    """Exchanges in which the check of the original came to no result."""


@dataclass(slots=True)
class ModeStatistics:
    """The outcome of one mode."""

    finished: int
    """Samples that were worked on, skipped ones not included."""
    failed: int
    """Those of them with at least one failed exchange."""
    changed: int
    """Those of them with at least one new response."""
    exchanges: int
    """Exchanges that were worked on."""
    changed_exchanges: int
    accepted_rounds: dict[int, int]
    """Exchanges by accepted rounds, failed ones with 0; 1 if a mode without a judge rewrote the response."""
    endings: dict[str, int]
    refused: dict[str, int]
    """Exchanges that ended because a guard refused the draft, by the guard's key."""
    failures: dict[str, int]
    """Failed exchanges by the key of the failure's kind."""
    lengths: Lengths
    judging: Judging | None
    deciding: Deciding | None
    """None if nothing was decided."""
    checking: Checking | None
    """None if there was no reference and nothing was checked."""
    panel: Panel | None = None
    """None where one judge decides."""
    reviewing: Reviewing | None = None
    """None if no two reviewers decided on the same."""


@dataclass(slots=True)
class CallTotals:
    """Calls, and what they took."""

    calls: int = 0
    failed: int = 0
    """Those without a usable reply."""
    attempts: int = 0
    input_tokens: int = 0
    """The provider's own count, like all tokens here, over the calls that have one."""
    cached_tokens: int = 0
    """The part of `input_tokens` that came from a prefix cache."""
    output_tokens: int = 0
    without_usage: int = 0
    """Calls without token counts that may have cost something."""
    shortened: int = 0
    """Calls in whose prompts the debate was shortened to fit."""
    latency_sum: float = 0.0
    """Seconds, of each call's last attempt."""
    started_sum: float = 0.0
    """Of the Unix times of the calls with token counts."""
    p95_latency: float | None = None
    """Within half a percent."""

    @property
    def mean_latency(self) -> float | None:
        """The average latency."""
        return _ratio(self.latency_sum, self.calls)

    def __iadd__(self, other: "CallTotals") -> "CallTotals":
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


_SUMMED = [name for name in CallTotals.__slots__ if name != "p95_latency"]


@dataclass(slots=True)
class Statistics:
    """The numbers of a run at one moment."""

    samples: int
    skipped: dict[str, int]
    """Skipped samples by reason, the most frequent `MAX_REASONS` of them."""
    modes: dict[str, ModeStatistics]
    """In the order asked for."""
    calls: CallTotals = field(default_factory=CallTotals)
    by_role: dict[Role, CallTotals] = field(default_factory=dict)
    by_model: dict[str, CallTotals] = field(default_factory=dict)
    lines: dict[tuple[str, str, str], CallTotals] = field(default_factory=dict)
    """By mode, step and model; without 95th percentiles."""
    billed: dict[tuple[str, str, str], list[Counted]] = field(default_factory=dict)
    """Those of `lines` with token counts, by service tier."""

    def calls_of(self, mode: str) -> CallTotals:
        """Return the calls of a mode, without their 95th percentile."""
        sums = CallTotals()
        for line, some in self.lines.items():
            if line[0] == mode:
                sums += some
        return sums


MAX_REASONS = 50
"""How many different reasons are counted separately; the others count as `OTHER_REASONS`."""

OTHER_REASONS = "other reasons"


def statistics(ledger: Ledger, modes: Sequence[str]) -> Statistics:
    """Count what is in the ledger, for these modes.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with ledger.reading() as connection:
        connection.exec_driver_sql("BEGIN")  # all of it as of one moment
        skipped = connection.execute(
            text(
                f"SELECT reason, count(*) n FROM results WHERE {NOT_DONE} AND status = 'skipped' "  # noqa: S608
                "GROUP BY 1 ORDER BY n DESC"
            )
        )
        found = Statistics(
            samples=connection.execute(text("SELECT count(*) FROM samples")).scalar_one(),
            skipped=_reasons(skipped),
            modes={mode: _mode(connection, mode) for mode in modes},
        )
        _add_calls(connection, found)
    return found


def _mode(connection: Connection, mode: str) -> ModeStatistics:
    finished, failed, changed, exchanges = connection.execute(
        text(
            "SELECT coalesce(sum(results), 0), coalesce(sum(CASE status WHEN 'failed' THEN results END), 0), "
            "coalesce(sum(CASE changed WHEN 1 THEN results END), 0), coalesce(sum(exchanges), 0) "
            "FROM result_totals WHERE mode = :mode"
        ),
        {"mode": mode},
    ).one()
    accepted: Counter[int] = Counter()
    endings: Counter[str] = Counter()
    for ending, rounds, number in connection.execute(text(_ENDINGS), {"mode": mode}):
        endings[ending] += number
        accepted[rounds] += number
    return ModeStatistics(
        finished=finished,
        failed=failed,
        changed=changed,
        exchanges=exchanges,
        changed_exchanges=sum(number for rounds, number in accepted.items() if rounds),
        accepted_rounds=dict(sorted(accepted.items())),
        endings=dict(endings.most_common()),
        refused={guard: endings[f"guard_{guard}"] for guard in GUARDS if endings[f"guard_{guard}"]},
        failures=_reasons(connection.execute(text(_FAILURES), {"mode": mode})),
        lengths=_lengths(connection, mode),
        judging=_judging(connection, mode),
        deciding=_deciding(connection, mode),
        checking=_checking(connection, mode),
        panel=_panel(connection, mode),
        reviewing=reviewing(connection, mode),
    )


_ENDINGS = """
    SELECT ending, accepted_rounds, sum(exchanges) AS n FROM exchange_totals
    WHERE mode = :mode GROUP BY 1, 2 HAVING n > 0
"""

_FAILURES = """
    SELECT failure, sum(exchanges) AS n FROM exchange_totals
    WHERE mode = :mode AND failure <> '' GROUP BY 1 HAVING n > 0 ORDER BY n DESC
"""

_JUDGING = "SELECT forward, reversed, accepted, rounds FROM round_totals WHERE mode = :mode AND rounds > 0"


def _judging(connection: Connection, mode: str) -> Judging | None:
    judging = Judging(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    for forward, reverse, accepted, number in connection.execute(text(_JUDGING), {"mode": mode}):
        judging.rounds += number
        judging.accepted += number * accepted
        unreadable = (forward, reverse).count("unreadable")
        if reverse == "not asked":
            judging.calls_saved += number
        elif unreadable == 2:
            judging.both_unreadable += number
        elif unreadable:
            judging.one_unreadable += number
        elif forward == reverse:
            judging.agreed += number
        elif "neither" in (forward, reverse):
            judging.one_tie += number
        else:
            judging.contradicted += number
            if forward == "current":
                judging.favoured_first += number
            else:
                judging.favoured_second += number
    return judging if judging.rounds else None


def _panel(connection: Connection, mode: str) -> Panel | None:
    """Read what the judges of a panel said from the results: the totals only know their average."""
    judges = connection.execute(text(_JUDGES), {"mode": mode}).scalar_one()
    if judges < 2:
        return None
    # Only points are decoded, and each combination of them, of which there are few, is looked at once.
    rounds: Counter[tuple[Any, ...]] = Counter()
    for (outcome,) in connection.execution_options(yield_per=1000).execute(text(_JUDGED), {"mode": mode}):
        for exchange in _decoder.decode(outcome):
            rounds.update((_said(done.forward), _said(done.reversed)) for done in exchange.rounds)
    panel = Panel(0, 0, {})
    for orders, number in rounds.items():
        forward, reverse = (
            {"panel": {model: {"points": points} for model, points in each}} for each in orders
        )
        done: Any = {"forward": forward, "reversed": reverse}
        said = points_by_judge(done)
        panel.rounds += number * bool(said)
        panel.disagreed += number * judges_disagree(done)
        for model, points in said.items():
            judge = panel.judges.setdefault(model, PanelJudge())
            lead = points["draft"] - points["current"] if points else None
            word = "unreadable" if lead is None else "neither" if not lead else _WORDS[lead > 0]
            setattr(judge, word, getattr(judge, word) + number)
    return panel if panel.rounds else None


class _Judge(msgspec.Struct):
    points: tuple[float, ...] | None = None


class _Judgment(msgspec.Struct):
    panel: dict[str, _Judge] = {}


class _Round(msgspec.Struct):
    forward: _Judgment | None = None
    reversed: _Judgment | None = None


class _Exchange(msgspec.Struct):
    rounds: list[_Round]


_decoder = msgspec.json.Decoder(list[_Exchange])


def _said(judgment: _Judgment | None) -> tuple[tuple[str, tuple[float, ...] | None], ...]:
    return tuple((model, judge.points) for model, judge in judgment.panel.items()) if judgment else ()


_WORDS = ("current", "draft")

_JUDGES = "SELECT count(DISTINCT model) FROM call_totals WHERE mode = :mode AND step = 'judge_forward'"

_JUDGED = "SELECT outcome FROM results WHERE mode = :mode"


def _deciding(connection: Connection, mode: str) -> Deciding | None:
    number = func.count()
    all_ = connection.execute(select(number).where(decided.c.mode == mode)).scalar_one()
    kinds: Counter[str] = Counter()
    compared: Counter[str] = Counter()
    judged = decided.c.ending.in_(DECIDED_BY_JUDGE)
    current = select(decided.c.decision, judged, number).where(decided.c.mode == mode, decided.c.stands)
    for kind, by_judge, count in connection.execute(current.group_by(decided.c.decision, judged)):
        kinds[kind] += count
        if by_judge and kind != "edited":
            compared[kind] += count
    if not all_:
        return None
    return Deciding(
        decided=kinds.total(),
        **{kind: kinds[kind] for kind in KINDS},
        outdated=all_ - kinds.total(),
        compared=compared.total(),
        agreement=_ratio(compared["accepted"], compared.total()),
    )


_CHECKING = "SELECT referenced, checked, original, final, exchanges FROM reference_totals WHERE mode = :mode"


def _checking(connection: Connection, mode: str) -> Checking | None:
    found, any_ = Checking(0, 0, 0, 0, 0), 0
    for referenced, checked, original, final, number in connection.execute(text(_CHECKING), {"mode": mode}):
        any_ += number
        found.with_reference += number * referenced
        found.checked += number * checked
        found.original_agrees += number * (original == 1)
        found.final_agrees += number * (final == 1)
        found.no_result += number * (checked and original == -1)
    return found if any_ else None


_LENGTHS = """
    SELECT sum(original_tokens), sum(final_tokens), sum(exchanges), coalesce(sum(ratios), 0),
        coalesce(sum(CASE changed WHEN 1 THEN ratios END), 0), sum(doubled)
    FROM result_totals WHERE mode = :mode
"""

# In the order of the index by growth, which covers the query: nothing is sorted.
_MEDIAN = f"""
    SELECT avg(growth) FROM (
        SELECT {GROWTH} AS growth FROM results INDEXED BY results_by_growth
        WHERE mode = :mode AND original_tokens > 0 AND accepted_rounds >= :accepted
        ORDER BY growth LIMIT :middle OFFSET :before
    )
"""  # noqa: S608


def _lengths(connection: Connection, mode: str) -> Lengths:
    row = connection.execute(text(_LENGTHS), {"mode": mode}).one()
    original, final, exchanges, ratios, of_changed, doubled = row
    return Lengths(
        average_original_tokens=_ratio(original, exchanges),
        average_evolved_tokens=_ratio(final, exchanges),
        ratio_of_averages=_ratio(final, original),
        median_ratio=_median(connection, mode, 0, ratios),
        median_ratio_of_changed=_median(connection, mode, 1, of_changed),
        doubled=_ratio(doubled, ratios),
    )


def _median(connection: Connection, mode: str, accepted: int, number: int) -> float | None:
    """Return the median growth over so many samples with at least this number of accepted rounds."""
    values = {"mode": mode, "accepted": accepted, "middle": 2 - number % 2, "before": max(number - 1, 0) // 2}
    median: float | None = connection.execute(text(_MEDIAN), values).scalar_one()
    return median


def _add_calls(connection: Connection, found: Statistics) -> None:
    by_role: defaultdict[Role, CallTotals] = defaultdict(CallTotals)
    by_model: defaultdict[str, CallTotals] = defaultdict(CallTotals)
    for mode, step, model, *counts in connection.execute(text(_CALLS)):
        found.lines[mode, step, model] = CallTotals(*counts)
    if any(some.failed and some.without_usage for some in found.lines.values()):
        for which, number in free_calls(connection, NEVER_BILLED).items():
            found.lines[which].without_usage -= number
    for (_, step, model), some in found.lines.items():
        for sums in (found.calls, by_role[STEPS[step].role], by_model[model]):
            sums += some
    for mode, *row in connection.execute(text(_BILLED)):
        line = Counted(*row)
        found.billed.setdefault((mode, line.step, line.model), []).append(line)
    latencies: defaultdict[tuple[str, Any], Counter[float]] = defaultdict(Counter)
    for step, model, latency, number in connection.execute(text(_LATENCIES)):
        for group in (("all", ""), ("role", STEPS[step].role), ("model", model)):
            latencies[group][latency] += number
    if found.calls.calls:
        found.calls.p95_latency = percentile(latencies["all", ""], 95)
    for role, calls in by_role.items():
        calls.p95_latency = percentile(latencies["role", role], 95)
    for model, calls in by_model.items():
        calls.p95_latency = percentile(latencies["model", model], 95)
    found.by_role = {role: by_role[role] for role in ROLES if role in by_role}
    found.by_model = dict(sorted(by_model.items()))


_CALLS = """
    SELECT mode, step, model, calls, failed, attempts, input_tokens, cached_tokens, output_tokens, uncounted,
        shortened, latency, started
    FROM call_totals
"""

_BILLED = """
    SELECT mode, step, model, calls, input_tokens, cached_tokens, output_tokens, started / calls, tier
    FROM billed
"""

_LATENCIES = "SELECT step, model, latency, sum(calls) FROM latency_totals GROUP BY 1, 2, 3"


def percentile(counted: Mapping[float, int], percent: int) -> float:
    """Return a percentile, by nearest rank, of values that occur so many times each."""
    rank = -(-percent * sum(counted.values()) // 100)
    for value in sorted(counted):
        rank -= counted[value]
        if rank <= 0:
            break
    return value


def _reasons(rows: Iterable[Any]) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for number, (reason, count) in enumerate(rows):
        counted[reason if number < MAX_REASONS else OTHER_REASONS] += count
    return dict(counted)


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None
