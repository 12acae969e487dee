"""A run as rows, for analysis with pandas, Polars or plain Python."""

from collections.abc import Callable, Collection, Iterator
from functools import wraps
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from ledger.decisions import Change, Decision, load_history, load_reviews
from ledger.ledger import BATCH, Result
from ledger.tables import calls as calls_table
from nodes.decision import favoured_position
from reporting.manifest import Manifest
from reporting.run import open_run
from reporting.summary import summary
from samples.fields import as_text, plural
from samples.sample import Sample

T = TypeVar("T")


class Rows:
    """Rows of one kind: dictionaries, read again with each iteration.

    They are an Arrow stream too, so `polars.DataFrame(rows)`, `pandas.DataFrame.from_arrow(rows)` and
    `pyarrow.table(rows)` take them with their types, however many rows begin with None.
    """

    def __init__(self, read: Callable[[], Iterator[dict[str, Any]]], schema: Any) -> None:
        self._read = read
        self._schema = schema

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._read()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        reader = pa.RecordBatchReader.from_batches(self._schema, self._batches())
        return reader.__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[Any]:
        rows = self._read()
        while some := list(islice(rows, BATCH)):
            yield pa.RecordBatch.from_pylist(some, schema=self._schema)


def rows_with(**fields: Any) -> Callable[[Callable[[T], Iterator[dict[str, Any]]]], Callable[[T], Rows]]:
    """Turn a method that reads rows into one that returns `Rows` with fields of these types."""
    schema = pa.schema([(name, _TYPES.get(type, type)) for name, type in fields.items()])

    def decorate(method: Callable[[T], Iterator[dict[str, Any]]]) -> Callable[[T], Rows]:
        @wraps(method)
        def rows(of: T) -> Rows:
            return Rows(lambda: method(of), schema)

        return rows

    return decorate


_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
_MESSAGES = pa.list_(pa.struct({"role": pa.string(), "content": pa.string()}))
_CALL_FIELDS = {column.name: column.type.python_type for column in calls_table.columns}


_RESULT_FIELDS = {
    **{"status": str, "failure_kind": str, "reason": str, "exchanges": int, "accepted_rounds": int},
    **{"original_tokens": int, "final_tokens": int, "contradictions": int, "finished": float},
}


_DECISION_FIELDS = {
    **{"sample": str, "mode": str, "exchange": int, "reviewer": str, "decision": str, "response": str},
    **{"note": str, "decided": float},
}


def _decision_row(sample: str, mode: str, exchange: int, made: Decision | Change) -> dict[str, Any]:
    return {
        "sample": sample,
        "mode": mode,
        "exchange": exchange,
        "reviewer": made.reviewer,
        "decision": made.kind,
        "response": as_text(made.response),
        "note": as_text(made.note),
        "decided": made.decided,
    }


class RecordedRun:
    """The record of a run, as `coevol.load_run` returns it.

    Iterating over rows reads what is finished at that moment, a batch at a time. Rows of one kind have the
    same fields; `sample` and `mode` join them. `mode` is empty for a sample that was skipped.
    """

    def __init__(self, folder: Path) -> None:
        self._run = open_run(folder)
        self._ledger = self._run.ledger
        self.manifest: Manifest = self._run.manifest
        """What made the run: data, settings, prompts, versions; the object in `run.json`."""

    def __repr__(self) -> str:
        data = self.manifest["data"]
        return f"<run of {plural(data['records'], 'record')}, modes {', '.join(self._run.modes)}>"

    @rows_with(sample=str, mode=str, position=int, **_RESULT_FIELDS)
    def samples(self) -> Iterator[dict[str, Any]]:
        """Return a row for each sample and mode.

        `status` is done, failed or skipped; `reason` says why it was skipped or what failed, `failure_kind`
        is the kind of the failure. Token counts are estimates over the `exchanges` that were worked on;
        `contradictions` counts the rounds whose two judgments named opposite winners; `finished` is a Unix
        time.
        """
        for sample, result in self._results():
            row = {"sample": sample.id, "mode": result.mode, "position": sample.position}
            yield row | {name: getattr(result, name) for name in _RESULT_FIELDS}

    @rows_with(
        sample=str,
        mode=str,
        exchange=int,
        instruction=str,
        input=str,
        original=str,
        response=str,
        ending=str,
        accepted_rounds=int,
        failure_kind=str,
        failure=str,
    )
    def exchanges(self) -> Iterator[dict[str, Any]]:
        """Return a row for each exchange that was worked on, with its texts; `exchange` counts from 0.

        `ending` is max_rounds, not_accepted, judge_error, one_pass, all_drafts, no_suggestions, no_draft,
        `guard_` and a guard's name, or failed; then `failure` says what failed.
        """
        for sample, result in self._results():
            for done in result.outcome:
                exchange = sample.exchanges[done["exchange"]]
                failure = done.get("failure")
                yield {
                    "sample": sample.id,
                    "mode": result.mode,
                    "exchange": done["exchange"],
                    "instruction": exchange.instruction,
                    "input": exchange.input,
                    "original": done["original"],
                    "response": done["response"],
                    "ending": done["ending"],
                    "accepted_rounds": done["accepted_rounds"],
                    "failure_kind": failure["reason"] if failure else None,
                    "failure": failure["message"] if failure else None,
                }

    @rows_with(
        sample=str,
        mode=str,
        exchange=int,
        round=int,
        suggestions=str,
        draft=str,
        accepted=bool,
        points_current=float,
        points_draft=float,
        forward_current=float,
        forward_draft=float,
        reversed_current=float,
        reversed_draft=float,
        favoured_position=int,
        guard=str,
    )
    def rounds(self) -> Iterator[dict[str, Any]]:
        """Return a row for each round of each exchange.

        The points are those of the `draft` and of the `current` response it was compared with: merged, and by
        order of judgment; None if a verdict could not be read or nothing was judged. Where the two orders
        contradict each other, `favoured_position` is the position (1 or 2) that both preferred. `guard` is
        the one that refused the draft.
        """
        for sample, result in self._results():
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
                        "guard": done.get("guard"),
                    }

    @rows_with(**_DECISION_FIELDS, stands=bool, counts=bool, disputed=bool)
    def decisions(self) -> Iterator[dict[str, Any]]:
        """Return a row for each exchange that a user decided on, and for each reviewer.

        `decision` is accepted (the result), rejected (the original is kept), chosen (another draft) or
        edited, `response` the text that the user wants, `note` why, or empty; `reviewer` is a name, or empty,
        `decided` a Unix time. Where the result has changed since, `stands` is false. `counts` is true of one
        row for each exchange, the one that exports follow: the latest that stands. `disputed` says whether
        reviewers want different texts there.
        """
        found = load_reviews(self._ledger)
        ids = self._ids({position for position, _ in found})
        for position, mode in sorted(found):
            for exchange, decisions in sorted(found[position, mode].items()):
                for each in decisions:
                    row = _decision_row(ids[position], mode, exchange, each)
                    yield row | {"stands": each.stands, "counts": each.counts, "disputed": each.disputed}

    @rows_with(**_DECISION_FIELDS)
    def decision_history(self) -> Iterator[dict[str, Any]]:
        """Return a row for each decision that was ever made, in their order, also those replaced since.

        Fields are those of `decisions`. Where a reviewer withdrew a decision, `decision` is withdrawn and
        `response` empty.
        """
        changes = load_history(self._ledger)
        ids = self._ids({each.position for each in changes})
        for each in changes:
            yield _decision_row(ids[each.position], each.mode, each.exchange, each)

    def _ids(self, positions: Collection[int]) -> dict[int, str]:
        remaining, found = iter(positions), dict[int, str]()
        while some := list(islice(remaining, BATCH)):
            found |= {sample.position: sample.id for sample, _ in self._ledger.samples_at(some)}
        return found

    @rows_with(**_CALL_FIELDS | {"messages": _MESSAGES})
    def calls(self) -> Iterator[dict[str, Any]]:
        """Return a row for each model call, in the order in which they finished.

        `messages` is what was sent, a list of {role, content}; `started` is a Unix time, `latency` the
        seconds of the last of `attempts`. Token counts are the provider's own, None if it gave none.
        """
        return self._ledger.all_calls()

    def _results(self) -> Iterator[tuple[Sample, Result]]:
        for sample, results in self._ledger.samples():
            for result in results.values():
                yield sample, result

    def stats(self) -> dict[str, Any]:
        """Summarize the run: the object of `coevol stats --json`."""
        return summary(self._run)
