"""What a run amounts to, from the totals that its ledger keeps (`ledger.totals`): at once at any length.

What people decided is counted anew each time: they decide one by one.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, select, text

from ledger.decisions import JUDGED, KINDS
from ledger.ledger import Ledger
from ledger.tables import GROWTH, NOT_DONE, decided, decisions
from models.call import ROLE_OF_STEP
from models.settings import Role


@dataclass(slots=True)
class Lengths:
    """How long responses were and became, over the samples of a mode that did not fail.

    Tokens are estimates. A sample's length is that of all its responses that were worked on, and a ratio is
    its new length over its old one; samples whose old length is 0 have none. `median_ratio` is over all
    samples with a ratio, and `doubled` is the share of them that grew to more than twice their length.
    """

    average_original_tokens: float | None
    average_evolved_tokens: float | None
    ratio_of_averages: float | None
    median_ratio: float | None
    median_ratio_of_changed: float | None
    doubled: float | None


@dataclass(slots=True)
class Judging:
    """How the two orders of judgement went together, counted over all judged rounds.

    Both orders of a round can be read and name the same winner, or the same tie (`agreed`); name opposite
    winners (`contradicted`, and then both favoured the response shown `favoured_first` or
    `favoured_second`); or one names a winner and the other a tie (`one_tie`). Otherwise one verdict could
    not be read, or neither could. `calls_saved` counts the rounds that the first order decided, so that the
    second was not asked for (`lazy_judge`); they say nothing of agreement. `agreement` is the share of
    `agreed` in the rounds where both orders could be read.
    """

    rounds: int
    accepted: int
    agreed: int
    one_tie: int
    contradicted: int
    favoured_first: int
    favoured_second: int
    one_unreadable: int
    both_unreadable: int
    calls_saved: int

    @property
    def agreement(self) -> float | None:
        """The share of agreement, from 0 to 1."""
        return _ratio(self.agreed, self.agreed + self.one_tie + self.contradicted)


@dataclass(slots=True)
class Deciding:
    """What people decided on the results of exchanges, and how often it is what the judge decided.

    Each decision that stands counts as `decided` and by its kind (`ledger.decisions.KINDS`); where the result
    is another one by now it counts as `outdated` alone. `agreement` is the share of `accepted` among the
    `compared`: exchanges in which the judge decided and so did a person, for one of the texts that the judge
    had before it. Where people write a text of their own, they answer another question. It is None where
    nothing was compared, and in modes without a judge.
    """

    decided: int
    accepted: int
    rejected: int
    chosen: int
    edited: int
    outdated: int
    compared: int
    agreement: float | None


@dataclass(slots=True)
class ModeStatistics:
    """What came of one mode.

    `finished` samples were worked on in this mode (skipped ones were not), `failed` of them have at least one
    exchange that failed, `changed` have at least one with a new response. `exchanges` counts those worked on,
    `changed_exchanges` those of them with a new response, `accepted_rounds` how many of them, failed ones
    left out, had so many rounds accepted (1 where a mode without a judge rewrote them), `endings` how they
    ended, and `failures` the failed ones by reason. `deciding` is None where nobody has decided anything.
    """

    finished: int
    failed: int
    changed: int
    exchanges: int
    changed_exchanges: int
    accepted_rounds: dict[int, int]
    endings: dict[str, int]
    failures: dict[str, int]
    lengths: Lengths
    judging: Judging | None
    deciding: Deciding | None


@dataclass(slots=True)
class Calls:
    """Calls that were made, and what they took.

    `failed` ones had no usable reply. `attempts` counts how often a model was asked, which is more than
    `calls` where something was tried again. Token counts are the providers' own, over the calls they gave
    them for; for `without_usage` calls they did not. `cached_tokens` is the part of `input_tokens` that a
    prefix cache held. In the prompts of `shortened` calls the debate was shortened to fit. Latencies are
    seconds, of each call's last attempt; the percentile is within half a percent.
    """

    calls: int = 0
    failed: int = 0
    attempts: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    without_usage: int = 0
    shortened: int = 0
    latency_sum: float = 0.0
    p95_latency: float | None = None

    @property
    def mean_latency(self) -> float | None:
        """The average latency."""
        return _ratio(self.latency_sum, self.calls)

    def __iadd__(self, other: "Calls") -> "Calls":
        self.calls += other.calls
        self.failed += other.failed
        self.attempts += other.attempts
        self.input_tokens += other.input_tokens
        self.cached_tokens += other.cached_tokens
        self.output_tokens += other.output_tokens
        self.without_usage += other.without_usage
        self.shortened += other.shortened
        self.latency_sum += other.latency_sum
        return self


@dataclass(slots=True)
class Statistics:
    """What a run amounts to at one moment.

    `skipped` counts skipped samples by reason, the most frequent `REASONS` of them; `modes` follows the order
    it was asked for. `lines` are the calls by mode, role and model, without their 95th percentiles, which
    only `calls`, `by_role` and `by_model` have.
    """

    samples: int
    skipped: dict[str, int]
    modes: dict[str, ModeStatistics]
    calls: Calls = field(default_factory=Calls)
    by_role: dict[Role, Calls] = field(default_factory=dict)
    by_model: dict[str, Calls] = field(default_factory=dict)
    lines: dict[tuple[str, Role, str], Calls] = field(default_factory=dict)

    def calls_of(self, mode: str) -> Calls:
        """The calls of a mode, without their 95th percentile."""
        sums = Calls()
        for line, some in self.lines.items():
            if line[0] == mode:
                sums += some
        return sums


REASONS = 50
"""How many different reasons are counted one by one; the rest of them is counted as `OTHER_REASONS`."""

OTHER_REASONS = "other reasons"


def statistics(ledger: Ledger, modes: Sequence[str]) -> Statistics:
    """What is in the ledger, for these modes.

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
        if ending != "failed":
            accepted[rounds] += number
    return ModeStatistics(
        finished=finished,
        failed=failed,
        changed=changed,
        exchanges=exchanges,
        changed_exchanges=sum(number for rounds, number in accepted.items() if rounds),
        accepted_rounds=dict(sorted(accepted.items())),
        endings=dict(endings.most_common()),
        failures=_reasons(connection.execute(text(_FAILURES), {"mode": mode})),
        lengths=_lengths(connection, mode),
        judging=_judging(connection, mode),
        deciding=_deciding(connection, mode),
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


def _deciding(connection: Connection, mode: str) -> Deciding | None:
    number = func.count()
    made = connection.execute(select(number).where(decisions.c.mode == mode)).scalar_one()
    kinds: Counter[str] = Counter()
    compared: Counter[str] = Counter()
    judged = decided.c.ending.in_(JUDGED)
    standing = select(decided.c.decision, judged, number).where(decided.c.mode == mode, decided.c.stands)
    for kind, by_judge, count in connection.execute(standing.group_by(decided.c.decision, judged)):
        kinds[kind] += count
        if by_judge and kind != "edited":
            compared[kind] += count
    if not made:
        return None
    outdated = made - kinds.total()
    agreement = _ratio(compared["accepted"], compared.total())
    return Deciding(
        decided=kinds.total(),
        **{kind: kinds[kind] for kind in KINDS},
        outdated=outdated,
        compared=compared.total(),
        agreement=agreement,
    )


_LENGTHS = """
    SELECT sum(original_tokens), sum(final_tokens), sum(exchanges), coalesce(sum(ratios), 0),
        coalesce(sum(CASE changed WHEN 1 THEN ratios END), 0), sum(doubled)
    FROM result_totals WHERE mode = :mode AND status = 'done'
"""

# In the order of the index by growth, which holds all that is asked for: nothing is sorted.
_MEDIAN = f"""
    SELECT avg(growth) FROM (
        SELECT {GROWTH} AS growth FROM results INDEXED BY results_by_growth
        WHERE mode = :mode AND status = 'done' AND original_tokens > 0 AND accepted_rounds >= :accepted
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
    """The median growth, over so many samples with at least this number of accepted rounds."""
    place = {"middle": 2 - number % 2, "before": max(number - 1, 0) // 2}
    found = connection.execute(text(_MEDIAN), {"mode": mode, "accepted": accepted, **place})
    median: float | None = found.scalar_one()
    return median


def _add_calls(connection: Connection, found: Statistics) -> None:
    by_role: defaultdict[Role, Calls] = defaultdict(Calls)
    by_model: defaultdict[str, Calls] = defaultdict(Calls)
    lines: defaultdict[tuple[str, Role, str], Calls] = defaultdict(Calls)
    for mode, step, model, *counts in connection.execute(text(_CALLS)):
        role = ROLE_OF_STEP[step]
        some = Calls(*counts)
        for sums in (found.calls, by_role[role], by_model[model], lines[mode, role, model]):
            sums += some
    latencies: defaultdict[tuple[str, Any], Counter[float]] = defaultdict(Counter)
    for step, model, latency, number in connection.execute(text(_LATENCIES)):
        for group in (("all", ""), ("role", ROLE_OF_STEP[step]), ("model", model)):
            latencies[group][latency] += number
    if found.calls.calls:
        found.calls.p95_latency = percentile(latencies["all", ""], 95)
    for role, calls in by_role.items():
        calls.p95_latency = percentile(latencies["role", role], 95)
    for model, calls in by_model.items():
        calls.p95_latency = percentile(latencies["model", model], 95)
    roles = dict.fromkeys(ROLE_OF_STEP.values())
    found.by_role = {role: by_role[role] for role in roles if role in by_role}
    found.by_model = dict(sorted(by_model.items()))
    found.lines = dict(lines)


_CALLS = """
    SELECT mode, step, model, calls, failed, attempts, input_tokens, cached_tokens, output_tokens, uncounted,
        shortened, latency
    FROM call_totals
"""

_LATENCIES = "SELECT step, model, latency, sum(calls) FROM latency_totals GROUP BY 1, 2, 3"


def percentile(counted: Mapping[float, int], percent: int) -> float:
    """A percentile, by the nearest rank, of values that are there so many times each."""
    rank = -(-percent * sum(counted.values()) // 100)
    for value in sorted(counted):
        rank -= counted[value]
        if rank <= 0:
            break
    return value


def _reasons(rows: Iterable[Any]) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for number, (reason, count) in enumerate(rows):
        counted[reason if number < REASONS else OTHER_REASONS] += count
    return dict(counted)


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None
