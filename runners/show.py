"""`coevol show RUN ID`: one sample's whole story."""

import time
from collections import defaultdict
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from ledger.decisions import Decision, Decisions, Kind, on_file
from ledger.ledger import SKIPPED, Ledger, Result
from models.call import Step
from prompts.method import JUDGED, MODES
from reporting.transcript import Said, debate
from runners.folder import RunError, made_by, open_run
from runners.terminal import Page, printable
from samples.differences import differences
from samples.sample import Exchange, Sample

IDS_SEARCHED = 10_000
"""How many ids are compared with one that there is not."""

_Calls = dict[str, list[dict[str, Any]]]
"""Calls by mode."""


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("sample_id", metavar="ID")
@click.option("--mode", type=click.Choice(MODES), help="Only what came of this mode.")
@click.option("--calls", "with_calls", is_flag=True, help="Also the exact messages of each call.")
def show(run: Path, sample_id: str, mode: str | None, with_calls: bool) -> None:
    """Tell the story of one sample.

    The request, the rounds with what each agent said and both verdicts, and the difference between the old
    and the new response: [-old words-]{+new words+}. ID is the record's own id, or its place in the data,
    counted from 0.
    """
    ledger, modes = open_run(run), made_by(run)["modes"]
    if mode is not None and mode not in modes:
        raise RunError(f"{run} has no results of mode {mode}; its modes: {', '.join(modes)}")
    sample, results = the_sample(ledger, run, sample_id)
    calls: _Calls = defaultdict(list)
    for call in ledger.calls(sample_id):
        calls[call["mode"]].append(call)
    decided = on_file(ledger, [sample.position])
    story = _Story(Page(), sample, calls, decided, with_calls)
    story.opening(run)
    for name in [mode] if mode else modes:
        story.tell(name, results)


def the_sample(ledger: Ledger, run: Path, sample_id: str) -> tuple[Sample, dict[str, Result]]:
    """A finished sample of a run and its results by mode.

    Raises:
        RunError: there is none of that id; the message names some that are alike.
    """
    found = ledger.sample(sample_id)
    if found is None:
        raise RunError(_unknown(ledger, run, sample_id))
    return found


def _unknown(ledger: Ledger, run: Path, sample_id: str) -> str:
    shown = printable(sample_id)
    if ledger.calls(sample_id):
        return f"sample {shown} of {run} is not finished yet"
    ids = ledger.ids(IDS_SEARCHED)
    close = get_close_matches(sample_id, ids, n=5, cutoff=0.5) or ids[:5]
    if not close:
        return f"{run} has no finished sample yet"
    return f"{run} has no finished sample {shown}; it has, for instance, {', '.join(map(printable, close))}"


class _Story:
    """Prints what came of a sample."""

    def __init__(
        self, page: Page, sample: Sample, calls: _Calls, decided: Decisions, with_calls: bool
    ) -> None:
        self._page = page
        self._sample = sample
        self._calls = calls
        self._decided = decided
        self._with_calls = with_calls

    def opening(self, run: Path) -> None:
        sample = self._sample
        number = len(sample.exchanges)
        kind = f"{sample.format} record, {number} exchange{'s' * (number != 1)}"
        self._page.text(f"Sample {sample.id} of {run} ({kind})", "bold")
        if sample.system:
            self._part("System prompt", sample.system)

    def tell(self, mode: str, results: Mapping[str, Result]) -> None:
        """What came of it in a mode."""
        page = self._page
        skipped, result = results.get(SKIPPED), results.get(mode)
        if skipped is not None:
            page.heading(f"Skipped: {skipped.reason}", "yellow")
            page.text("The record stays as it was.")
            return
        page.heading(f"━━━ Mode {mode} ━━━", "bold magenta")
        if result is None:
            page.text("Not finished yet.")
            return
        page.text(_summary(result, len(self._sample.exchanges)))
        done = {outcome["exchange"]: outcome for outcome in result.outcome}
        for number, exchange in enumerate(self._sample.exchanges):
            if len(self._sample.exchanges) > 1:
                page.heading(f"━━ Exchange {number + 1} of {len(self._sample.exchanges)} ━━", "bold cyan")
            request = exchange.instruction + (f"\n\n{exchange.input}" if exchange.input else "")
            self._part("Request", request)
            if number in done:
                self._exchange(mode, number, exchange, done[number])
                decision = self._decided.get((self._sample.position, mode), {}).get(number)
                if decision:
                    self._decision(decision, done[number])
            else:
                self._part("Response, not worked on", exchange.response)

    def _exchange(self, mode: str, number: int, exchange: Exchange, outcome: Mapping[str, Any]) -> None:
        self._part("Original response", exchange.response)
        rounds = {done["round"]: done for done in outcome["rounds"]}
        said = debate(self._calls.get(mode, []), outcome)
        for round_number in sorted(rounds.keys() | said.keys()):
            steps = said.get(round_number, {})
            # What was said in an attempt that was given up is told with `--calls` only.
            if round_number in rounds or self._with_calls or any(each.counts for each in steps.values()):
                self._page.heading(f"── Round {round_number} ──", "bold")
                self._round(steps, rounds.get(round_number))
        failure = outcome.get("failure")
        if failure:
            self._part("Failed", f"{failure['step']}: {failure['reason']}: {failure['message']}", "red")
            self._page.text("The exchange keeps its original response.")
            return
        if outcome["ending"] in _ENDINGS:
            self._page.heading(_ENDINGS[outcome["ending"]], "bold")
        if outcome["response"] == outcome["original"]:
            self._page.heading("The response stays as it was.", "bold")
        else:
            self._page.heading("What changed", "bold")
            self._page.text(_marked(outcome["original"], outcome["response"]), indent=2)

    def _round(self, steps: Mapping[Step, Said], done: Mapping[str, Any] | None) -> None:
        for step, said in steps.items():
            for call, why_not in said.calls:
                # That a call failed is said at the end of its exchange.
                if not self._with_calls and (why_not or call["failure"] is not None):
                    continue
                text, title = call["reply"], _STEPS[step]
                if done and not why_not:
                    if step == "editor":
                        text = done["draft"]
                    if step.startswith("judge") and done[step.removeprefix("judge_")]:
                        title = f"{title}: {_verdict(done, step.removeprefix('judge_'))}"
                if call["shortened_to"] is not None:
                    title = f"{title} (saw at most {call['shortened_to']:,} characters of each speech)"
                if why_not and call["failure"] is None:
                    title = f"{title}: did not count, {why_not}"
                if call["failure"] is not None:
                    title, text = f"{title}: failed", f"{call['failure']}\n{text}".strip()
                if self._with_calls:
                    self._messages(call)
                self._part(title, text)
        if done and (done["forward"] or done["reversed"]):
            self._page.heading(_decision(done), "bold green" if done["accepted"] else "bold yellow")

    def _decision(self, decision: Decision, outcome: Mapping[str, Any]) -> None:
        at = time.strftime("%Y-%m-%d %H:%M", time.localtime(decision.decided))
        stands = "" if decision.stands else " This was another result, so it is not followed."
        self._page.heading(f"A person {_KINDS[decision.kind]} ({at}).{stands}", "bold magenta")
        if decision.note:
            self._page.text(f"Note: {decision.note}", indent=2)
        if decision.kind in ("chosen", "edited"):
            self._page.text(_marked(outcome["response"], decision.response), indent=2)

    def _messages(self, call: Mapping[str, Any]) -> None:
        self._page.heading(f"call {call['number']}: {call['step']}, {_cost(call)}", "cyan")
        for message in call["messages"]:
            self._page.text(f"{message['role']}:", "cyan", indent=4)
            self._page.text(message["content"], "dim", indent=6)

    def _part(self, title: str, text: str, style: str = "bold blue") -> None:
        self._page.heading(title, style)
        self._page.text(text if text else "(empty)", indent=2)


_STEPS = {
    "positive_opening": "Positive debater, opening",
    "critical_opening": "Critical debater, opening",
    "positive_free": "Positive debater, free debate",
    "critical_free": "Critical debater, free debate",
    "advisor": "Advisor",
    "editor": "Editor: the draft",
    "judge_forward": "Judge, current response shown first",
    "judge_reversed": "Judge, draft shown first",
}

_ENDINGS = {
    "max_rounds": "The limit of rounds is reached.",
    "one_pass": "The draft is the result: this mode has one pass and no judge.",
}

_KINDS: dict[Kind, str] = {
    "accepted": "accepted the result",
    "rejected": "rejected the result and keeps the original response",
    "chosen": "chose another draft",
    "edited": "edited the result",
}


def _summary(result: Result, of: int) -> str:
    number = result.accepted_rounds
    what, done = ("draft", "accepted") if result.mode == JUDGED else ("response", "rewritten")
    parts = [
        f"{number} {what}{'s' * (number != 1)} {done}",
        f"{result.exchanges} of {of} exchange{'s' * (of != 1)} worked on",
        f"about {result.original_tokens:,} tokens before, {result.final_tokens:,} after",
    ]
    if result.status == "failed":
        parts.insert(0, "failed")
    return "; ".join(parts)


def _verdict(done: Mapping[str, Any], order: str) -> str:
    points = done[order]["points"]
    if points is None:
        return "unreadable"
    current, draft = points if order == "forward" else reversed(points)
    return f"current {current:g}, draft {draft:g}"


def _decision(done: Mapping[str, Any]) -> str:
    points = done["points"]
    if points is None:
        return "Neither verdict could be read: the current response stays."
    merged = f"Points: current {points['current']:g}, draft {points['draft']:g}"
    if done["accepted"]:
        return f"{merged}: the draft is accepted."
    if done["reversed"] is None:
        return f"{merged}: the current response stays, whatever a second judgement would say."
    tie = points["current"] == points["draft"]
    return f"{merged}: {'a tie, ' if tie else ''}the current response stays."


def _cost(call: Mapping[str, Any]) -> str:
    def tokens(name: str) -> str:
        return "?" if call[name] is None else f"{call[name]:,}"

    cached = f" ({call['cached_tokens']:,} cached)" if call["cached_tokens"] else ""
    attempts = call["attempts"]
    return (
        f"{call['model']}, {tokens('input_tokens')}{cached} + {tokens('output_tokens')} tokens, "
        f"{call['latency']:.2f} s, {attempts} attempt{'s' * (attempts != 1)}, "
        f"ended by {call['finish_reason']}"
    )


def _marked(old: str, new: str) -> Text:
    marked = Text()
    for change in differences(old, new):
        if change.old == change.new:
            marked.append(printable(change.old))
            continue
        if change.old:
            marked.append(f"[-{printable(change.old)}-]", "red")
        if change.new:
            marked.append(f"{{+{printable(change.new)}+}}", "green")
    return marked
