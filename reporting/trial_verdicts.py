"""What referees and people said of one sample of a trial."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ledger.ledger import Result
from reporting import labels
from reporting.trial import TrialSample
from reporting.trial_judgments import is_of
from trials.pairs import Pair

if TYPE_CHECKING:
    from reporting.recorded_trial import RecordedTrial


class Verdict(NamedTuple):
    """A verdict on two responses."""

    referee: str
    first: str
    """The arm that was shown first; empty where nothing was shown side by side."""
    said: str
    """Which arm is better, in words."""
    words: str = ""
    """What the referee wrote."""


class Compared(NamedTuple):
    """Two arms' responses to a request, and the verdicts on them."""

    pair: Pair
    is_unchanged: bool
    """Whether the responses are the same text, which no one has to judge."""
    verdicts: list[Verdict]
    failures: list[str]
    """Why a referee could not be asked."""


def compared(trial: "RecordedTrial", sample: TrialSample, exchange: int) -> list[Compared]:
    """Return the pairs of an exchange with what was said of each.

    Raises:
        LedgerError: the referees' ledger cannot be read.
    """
    ledger = trial.referee_ledger()
    found = ledger.sample(sample.sample.id) if ledger else None
    by_mode: Mapping[str, Result] = found[1] if found else {}
    calls = ledger.calls(sample.sample.id) if ledger else []
    responses = sample.responses[exchange]
    people = [
        each for each in trial.decisions() if (each.sample, each.exchange) == (sample.sample.id, exchange)
    ]
    return [
        Compared(
            (arm, rival),
            responses[arm] == responses[rival],
            [
                *_of_chat_models(by_mode, arm, rival, exchange, responses),
                *_of_reward_models(by_mode, arm, rival, exchange, responses),
                *(
                    Verdict(
                        f"{each.person} (person)",
                        arm if each.order == "forward" else rival,
                        _better(each.outcome, arm, rival),
                    )
                    for each in people
                    if (each.arm_a, each.arm_b) == (arm, rival) and each.is_on(responses)
                ),
            ],
            [
                f"{call['model']}: {labels.reason(call['failure_kind'], call['failure'])}"
                for call in calls
                if call["failure"]
                and call["exchange"] == exchange
                and call["mode"] in (f"{arm}:{rival}", arm, rival)
            ],
        )
        for arm, rival in trial.pairs(sample.position)
    ]


def _of_chat_models(
    by_mode: Mapping[str, Result], arm: str, rival: str, exchange: int, responses: Mapping[str, str]
) -> Iterator[Verdict]:
    for done in _done(by_mode, f"{arm}:{rival}", exchange):
        if not is_of(done, f"{arm}:{rival}", responses):
            continue
        for round_ in done["rounds"]:
            # In the ledger's forward order the rival's response is shown first.
            for order, first, second in (("forward", rival, arm), ("reversed", arm, rival)):
                for model, one in round_[order]["panel"].items():
                    points, said = one["points"], "cannot be read"
                    if points:
                        better = first if points[0] > points[1] else second
                        said = f"prefers {better}" if points[0] != points[1] else "a tie"
                        said += f" ({first} {points[0]:g}, {second} {points[1]:g})"
                    yield Verdict(model, first, said, one["reply"])


def _of_reward_models(
    by_mode: Mapping[str, Result], arm: str, rival: str, exchange: int, responses: Mapping[str, str]
) -> Iterator[Verdict]:
    ours, theirs = (
        {
            model: score
            for done in _done(by_mode, each, exchange)
            if is_of(done, each, responses)
            for model, score in done["scores"].items()
        }
        for each in (arm, rival)
    )
    for model in ours.keys() & theirs.keys():
        a, b = ours[model], theirs[model]
        if a is None or b is None:
            yield Verdict(model, "", "no score")
        else:
            said = _better(1.0 if a > b else 0.0 if a < b else 0.5, arm, rival)
            yield Verdict(model, "", f"{said} ({arm} {a:.4g}, {rival} {b:.4g})")


def _done(by_mode: Mapping[str, Result], mode: str, exchange: int) -> list[dict[str, Any]]:
    return [done for done in by_mode[mode].outcome if done["exchange"] == exchange] if mode in by_mode else []


def _better(outcome: float | None, arm: str, rival: str) -> str:
    return {1.0: f"prefers {arm}", 0.0: f"prefers {rival}", 0.5: "a tie"}.get(outcome, "cannot be read")  # type: ignore[arg-type]
