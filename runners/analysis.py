"""A run for people's own analysis: rows as plain dictionaries, which data frames take as they are."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ledger.decisions import on_file
from ledger.ledger import PAGE
from ledger.statistics import statistics
from nodes.decision import favoured_position
from runners.folder import made_by, open_run
from runners.stats import report


class RecordedRun:
    """What is on record of a run. Made by `load_run`.

    Each method reads what is finished at that moment. Rows come as a stream; those of one kind have the
    same fields, and `sample` and `mode` join them. `mode` is empty for a sample skipped in all modes.
    """

    def __init__(self, folder: Path) -> None:
        self._ledger = open_run(folder)
        self.made_by = made_by(folder)
        """What made the run: data, settings, prompts, versions; the object in `run.json`."""

    def __repr__(self) -> str:
        data = self.made_by["data"]
        return f"<run of {data['records']:,} records, modes {', '.join(self.made_by['modes'])}>"

    def samples(self) -> Iterator[dict[str, Any]]:
        """A row for each sample and mode.

        `status` is done, failed or skipped, and `reason` says why it is not done. Token counts are estimates
        over the `exchanges` that were worked on; `contradictions` counts the rounds whose two judgements
        named opposite winners; `finished` is a Unix time.
        """
        for sample, results in self._ledger.samples():
            for result in results.values():
                yield {
                    "sample": sample.id,
                    "mode": result.mode,
                    "position": sample.position,
                    "status": result.status,
                    "reason": result.reason,
                    "exchanges": result.exchanges,
                    "accepted_rounds": result.accepted_rounds,
                    "original_tokens": result.original_tokens,
                    "final_tokens": result.final_tokens,
                    "contradictions": result.contradictions,
                    "finished": result.finished,
                }

    def exchanges(self) -> Iterator[dict[str, Any]]:
        """A row for each exchange that was worked on, with its texts; `exchange` counts from 0.

        `ending` is max_rounds, not_accepted, judge_error, one_pass or failed, and then `failure` says why.
        """
        for sample, results in self._ledger.samples():
            for result in results.values():
                for done in result.outcome:
                    asked = sample.exchanges[done["exchange"]]
                    failure = done.get("failure")
                    yield {
                        "sample": sample.id,
                        "mode": result.mode,
                        "exchange": done["exchange"],
                        "instruction": asked.instruction,
                        "input": asked.input,
                        "original": done["original"],
                        "response": done["response"],
                        "ending": done["ending"],
                        "accepted_rounds": done["accepted_rounds"],
                        "failure": failure["message"] if failure else None,
                    }

    def rounds(self) -> Iterator[dict[str, Any]]:
        """A row for each round of each exchange.

        The points are those of the `draft` and of the `current` response it was compared with: merged, and by
        order of judgement; None where a verdict could not be read or nothing was judged. Where the two orders
        contradict each other, `favoured_position` is the place (1 or 2) that both preferred.
        """
        for sample, results in self._ledger.samples():
            for result in results.values():
                for outcome in result.outcome:
                    for done in outcome["rounds"]:
                        points = done["points"] or {}
                        forward = (done["forward"] or {}).get("points") or (None, None)
                        reverse = (done["reversed"] or {}).get("points") or (None, None)
                        yield {
                            "sample": sample.id,
                            "mode": result.mode,
                            "exchange": outcome["exchange"],
                            "round": done["round"],
                            "suggestions": done["suggestions"],
                            "draft": done["draft"],
                            "accepted": done["accepted"],
                            "points_current": points.get("current"),
                            "points_draft": points.get("draft"),
                            "forward_current": forward[0],
                            "forward_draft": forward[1],
                            "reversed_current": reverse[1],
                            "reversed_draft": reverse[0],
                            "favoured_position": favoured_position(done),
                        }

    def decisions(self) -> Iterator[dict[str, Any]]:
        """A row for each exchange that a person decided on.

        `decision` is accepted (the result), rejected (the original is kept), chosen (another draft) or
        edited, `response` the text that the person wants, `note` why, or empty; `decided` is a Unix time.
        Where the result is another one by now, `stands` is false.
        """
        decided = on_file(self._ledger)
        places = sorted(decided)
        for begin in range(0, len(places), PAGE):
            some = places[begin : begin + PAGE]
            ids = {sample.position: sample.id for sample, _ in self._ledger.at({place[0] for place in some})}
            for position, mode in some:
                for exchange, decision in decided[position, mode].items():
                    yield {
                        "sample": ids[position],
                        "mode": mode,
                        "exchange": exchange,
                        "decision": decision.kind,
                        "response": decision.response,
                        "note": decision.note,
                        "decided": decision.decided,
                        "stands": decision.stands,
                    }

    def calls(self) -> Iterator[dict[str, Any]]:
        """A row for each model call, in the order in which they finished.

        `messages` is what was sent, a list of {role, content}; `started` is a Unix time, `latency` seconds of
        the last of `attempts`. Token counts are the provider's own, None where it gave none.
        """
        return self._ledger.every_call()

    def stats(self) -> dict[str, Any]:
        """The whole run in numbers: the object of `coevol stats --json`."""
        return report(self.made_by, statistics(self._ledger, self.made_by["modes"]))
