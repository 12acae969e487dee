"""The preference pairs of a result: a better and a worse response."""

from collections.abc import Iterator
from typing import Any, Literal, get_args

from ledger.ledger import Result
from samples.reply import without_marks
from samples.trainers import Pair

Pairs = Literal["final", "steps", "all"]
PAIRS: tuple[Pairs, ...] = get_args(Pairs)


def pairs(result: Result, wanted: Pairs) -> Iterator[Pair]:
    """Yield the pairs of a result, exchange by exchange.

    Which of two responses is better is the judge's verdict, or a user's decision where the outcome has one
    (see `runners.human_decisions`).

    `final`: the result against the original, where a draft was accepted. `steps`: each accepted draft against
    the response its round started from. `all`: the steps; the result against the original too, where it is
    more than one step away; and where the judge gave a draft fewer points than the response it was to
    replace, that response against the draft. A draft that tied is in no pair, since neither response is
    worse.

    A user who overruled the judge replaces all its pairs. Then `final` is the user's response against the
    original or, where the user wants the original, against the judge's result; `steps` is the response
    against the judge's result, and `all` both.

    Pairs of texts that are equal but for marks of a template around them teach nothing and are left out.
    Those with an empty side are refused by `samples.trainers.pair_record`, so that the export reports them.
    """
    for exchange in result.outcome:
        for pair in _of(exchange, wanted):
            if without_marks(pair.chosen) != without_marks(pair.rejected):
                yield pair


def _of(exchange: dict[str, Any], wanted: Pairs) -> Iterator[Pair]:
    number, current = exchange["exchange"], exchange["original"]
    decision = exchange.get("decision")
    if decision is None and exchange["ending"] == "one_pass":
        return
    if decision not in (None, "accepted"):
        yield from _overruled(exchange, wanted)
        return
    accepted = [done for done in exchange["rounds"] if done["accepted"]]
    if wanted == "final" or (wanted == "all" and len(accepted) > 1):
        for last in accepted[-1:]:
            scores = (None, None) if len(accepted) > 1 else _scores(last)
            yield Pair(number, "final", last["round"], exchange["response"], current, *scores)
    if wanted == "final":
        return
    for done in exchange["rounds"]:
        points, draft = done["points"], done["draft"]
        if done["accepted"]:
            yield Pair(number, "step", done["round"], draft, current, *_scores(done))
            current = draft
        elif wanted == "all" and points and points["current"] > points["draft"]:
            yield Pair(number, "rejected", done["round"], current, draft, points["current"], points["draft"])


def _overruled(exchange: dict[str, Any], wanted: Pairs) -> Iterator[Pair]:
    number, response, original = exchange["exchange"], exchange["response"], exchange["original"]
    if wanted != "steps" and response != original:
        yield Pair(number, "final", 0, response, original, None, None)
    if wanted != "final" or response == original:
        if wanted == "all" and exchange["judged"] == original:
            return  # the pair above
        yield Pair(number, "overruled", 0, response, exchange["judged"], None, None)


def _scores(done: dict[str, Any]) -> tuple[float | None, float | None]:
    points = done["points"]
    return (points["draft"], points["current"]) if points else (None, None)
