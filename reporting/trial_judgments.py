"""The judgments of a trial: what referees and people said of the responses that its arms have now."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trials.judgments import UNCHANGED, Features, Judgment
from trials.style import features_of

if TYPE_CHECKING:
    from reporting.trial import TrialRecord


def judgments(trial: "TrialRecord") -> list[Judgment]:
    """Return what referees and people said, and what needed no judgment since it is unchanged.

    Of each exchange that some arm worked on, those pairs are compared that the trial has for its sample.
    Models' verdicts, and ties of what is unchanged, count of samples that the referees are done with: else
    ties, which take no time, would be too many while they work. What was said of other texts than the arms
    have by now does not count: samples that failed or got more rounds since have other responses.
    """
    judged, scores = _refereed(trial)
    done = refereed(trial)
    found: list[Judgment] = []
    places: dict[tuple[str, int], tuple[Mapping[str, str], Mapping[str, Features]]] = {}
    for each in trial.samples():
        name = each.sample.id
        for exchange, responses in each.responses.items():
            features = {arm: features_of(text) for arm, text in responses.items()}
            places[name, exchange] = responses, features
            for arm, rival in trial.pairs(each.position) if each.position in done else ():
                at: Any = {
                    "exchange": exchange,
                    "features_a": features[arm],
                    "features_b": features[rival],
                }
                if responses[arm] == responses[rival]:
                    found.append(Judgment(name, arm, rival, UNCHANGED, None, 0.5, **at))
                    continue
                texts = responses[rival], responses[arm]
                for referee, order, outcome in judged.get((name, exchange, arm, rival, texts), ()):
                    found.append(Judgment(name, arm, rival, referee, order, outcome, **at))
                ours, theirs = (scores.get((name, exchange, of, responses[of]), {}) for of in (arm, rival))
                for referee in ours.keys() & theirs.keys():
                    outcome = _higher(ours[referee], theirs[referee])
                    found.append(Judgment(name, arm, rival, referee, None, outcome, **at))
    for decision in trial.decisions():
        given, known = places.get((decision.sample, decision.exchange), ({}, {}))
        if decision.is_on(given):
            found.append(decision.judgment(known))
    return found


def refereed(trial: "TrialRecord") -> set[int]:
    """Return the positions of the samples whose comparisons with the original the referees are done with."""
    ledger = trial.referee_ledger()
    if ledger is None:
        return set()
    finished, (baseline, *arms) = ledger.finished(), trial.arms
    # Chat models have a result for each pair, reward models one for each arm.
    modes = [f"{arm}:{baseline}" for arm in arms], trial.arms
    return {
        at
        for at in range(len(trial.manifest["positions"]))
        if any(all((at, mode) in finished for mode in each) for each in modes)
    }


def _refereed(trial: "TrialRecord") -> tuple[dict[Any, list[Any]], dict[Any, dict[str, float | None]]]:
    """Return verdicts and scores by sample, exchange, arms and the texts that were judged."""
    judged: dict[Any, list[Any]] = {}
    scores: dict[Any, dict[str, float | None]] = {}
    ledger = trial.referee_ledger()
    for sample, by_mode in ledger.samples() if ledger else ():
        for mode, result in by_mode.items():
            arm, _, rival = mode.partition(":")
            for done in result.outcome:
                if "scores" in done:
                    scores[sample.id, done["exchange"], arm, done["response"]] = done["scores"]
                texts = done["original"], done["response"]
                for round_ in done["rounds"]:
                    place = judged.setdefault((sample.id, done["exchange"], arm, rival, texts), [])
                    # In the ledger's forward order the current response, the rival's, is shown first.
                    for order, name, own in (("reversed", "forward", 1), ("forward", "reversed", 0)):
                        for model, one in round_[name]["panel"].items():
                            points = one["points"]
                            outcome = _higher(points[own], points[1 - own]) if points else None
                            place.append((model, order, outcome))
    return judged, scores


def is_of(done: Mapping[str, Any], mode: str, responses: Mapping[str, str]) -> bool:
    """Whether referees judged these responses, by arm, in an exchange of their result: that of a pair, or of
    an arm that reward models scored."""
    arm, _, rival = mode.partition(":")
    return (done["original"], done["response"]) == (responses[rival or arm], responses[arm])


def _higher(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return None
    return 1.0 if one > other else 0.0 if one < other else 0.5
