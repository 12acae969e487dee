"""`coevol show RUN ID`: the whole story of one sample."""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem
from rich.text import Text

from ledger.decisions import Decision, Reviews, load_reviews
from ledger.ledger import SKIPPED, Result
from prompts.method import STEPS
from prompts.pack import request_text
from reporting import labels
from reporting.run import open_run
from reporting.transcript import StepCalls, transcript
from runners.console import Output
from runners.options import MODE, PATH
from samples.differences import differences
from samples.fields import plural
from samples.printable import printable
from samples.sample import Exchange, Sample

_Calls = dict[str, list[dict[str, Any]]]
"""Calls by mode."""

_LOOKED_THROUGH, _OFFERED = 1000, 20
"""How many ids the shell's completion compares, and how many it offers."""


def _ids(context: click.Context, argument: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete an id, of the first in the run: a few, which say what ids look like there."""
    with suppress(Exception):  # a shell that completes says nothing
        known = open_run(context.params["run"]).ledger.ids(_LOOKED_THROUGH)
        fit = (
            each
            for each in known
            if each.startswith(begun) and printable(each) == each and each.split() == [each]
        )
        return [CompletionItem(each) for each in islice(fit, _OFFERED)]
    return []


@click.command()
@click.argument("run", type=PATH)
@click.argument("sample_id", metavar="ID", shell_complete=_ids)
@click.option("--mode", type=MODE, help="Only the result of this mode.")
@click.option("--calls", "with_calls", is_flag=True, help="Also the exact messages of each call.")
def show(run: Path, sample_id: str, mode: str | None, with_calls: bool) -> None:
    """Show the whole story of one sample.

    The request, the rounds with each agent's reply and both verdicts, and the difference between the old and
    the new response: [-old words-]{+new words+}. ID is the record's own id; if the records have none, it is
    the position in the data, counted from 0.
    """
    opened = open_run(run)
    modes = [opened.mode(mode)] if mode else opened.modes
    sample, results = opened.sample(sample_id)
    calls: _Calls = defaultdict(list)
    for call in opened.ledger.calls(sample_id):
        calls[call["mode"]].append(call)
    decided = load_reviews(opened.ledger, [sample.position])
    story = _Story(Output(), sample, calls, decided, with_calls)
    story.opening(run)
    for name in modes:
        story.mode(name, results)


@dataclass(slots=True)
class _Story:
    """Prints the story of a sample."""

    _output: Output
    _sample: Sample
    _calls: _Calls
    _decided: Reviews
    _with_calls: bool

    def opening(self, run: Path) -> None:
        sample = self._sample
        kind = f"{sample.read_as.partition(' ')[0]} record, {plural(len(sample.exchanges), 'exchange')}"
        self._output.text(f"Sample {sample.id} of {run} ({kind})", "bold")
        if sample.system:
            self._part("System prompt", sample.system)

    def mode(self, mode: str, results: Mapping[str, Result]) -> None:
        output = self._output
        skipped, result = results.get(SKIPPED), results.get(mode)
        if skipped is not None:
            output.heading(f"Skipped: {skipped.reason}", "yellow")
            output.text("The record stays as it was.")
            return
        output.heading(f"━━━ Mode {mode} ━━━", "bold magenta")
        if result is None:
            output.text("Not finished yet.")
            return
        output.text(_summary(result, len(self._sample.exchanges)))
        done = {outcome["exchange"]: outcome for outcome in result.outcome}
        for number, exchange in enumerate(self._sample.exchanges):
            if len(self._sample.exchanges) > 1:
                output.heading(f"━━ Exchange {number + 1} of {len(self._sample.exchanges)} ━━", "bold cyan")
            self._part("Request", request_text(exchange.instruction, exchange.input))
            if number in done:
                self._exchange(mode, exchange, done[number])
                for decision in self._decided.get((self._sample.position, mode), {}).get(number, ()):
                    self._decision(decision, done[number])
            else:
                self._part("Response, not worked on", exchange.response)

    def _exchange(self, mode: str, exchange: Exchange, outcome: Mapping[str, Any]) -> None:
        if reference := outcome.get("reference"):
            self._part(labels.REFERENCE, reference)
        self._part("Original response", exchange.response)
        rounds = {done["round"]: done for done in outcome["rounds"]}
        debate = transcript(self._calls.get(mode, []), outcome, mode)
        for round_number in sorted(rounds.keys() | debate.keys()):
            steps = debate.get(round_number, {})
            # Rounds of a superseded attempt are shown with `--calls` only.
            if round_number in rounds or self._with_calls or any(each.counted for each in steps.values()):
                self._output.heading(f"── Round {round_number} ──", "bold")
                self._round(steps, rounds.get(round_number), failed="failure" in outcome)
        failure = outcome.get("failure")
        if failure:
            self._part("Failed", labels.failure_line(failure), "red")
            self._output.text("The exchange keeps its original response.")
            return
        self._output.heading(f"Ended: {labels.ENDINGS[outcome['ending']]}.", "bold")
        if outcome["response"] == outcome["original"]:
            self._output.heading("The response stays as it was.", "bold")
        else:
            self._output.heading("What changed", "bold")
            self._output.text(_marked(outcome["original"], outcome["response"]), indent=2)

    def _round(self, steps: Mapping[str, StepCalls], done: Mapping[str, Any] | None, *, failed: bool) -> None:
        for step, step_calls in steps.items():
            for call, why_not in step_calls.all:
                # The call that an exchange failed at is reported at its end.
                if not self._with_calls and (why_not or (call["failure"] is not None and failed)):
                    continue
                text, title = call["reply"], labels.speaker(call, done)
                if done and not why_not:
                    if STEPS[step].purpose == "draft":
                        text = done["draft"]
                    if STEPS[step].purpose == "verdict":
                        title = f"{title}: {labels.verdict(call, done)}"
                if call["shortened_to"] is not None:
                    title = f"{title} (saw at most {call['shortened_to']:,} characters of each speech)"
                if why_not and call["failure"] is None:
                    title = f"{title}: {labels.not_counted(why_not)}"
                if call["failure"] is not None:
                    why = labels.reason(call["failure_kind"], call["failure"])
                    title, text = f"{title}: failed", f"{why}\n{text}".strip()
                if self._with_calls:
                    self._messages(call)
                self._part(title, text)
                if call["thoughts"] and not self._with_calls:
                    self._output.text(f"({labels.thoughts(call)}, see --calls)", "dim", indent=2)
        if done and (done["forward"] or done.get("guard") or not done["draft"]):
            outcome = "; ".join([labels.round_outcome(done), *labels.round_remarks(done)])
            style = "bold green" if done["accepted"] else "bold yellow"
            self._output.heading(outcome[0].upper() + outcome[1:], style)

    def _decision(self, decision: Decision, outcome: Mapping[str, Any]) -> None:
        by = decision.reviewer or "A user"
        self._output.heading(f"{by} decided: {labels.decision(decision)}", "bold magenta")
        if decision.note:
            self._output.text(f"Note: {decision.note}", indent=2)
        if decision.kind in ("chosen", "edited"):
            self._output.text(_marked(outcome["response"], decision.response), indent=2)

    def _messages(self, call: Mapping[str, Any]) -> None:
        details = f"{labels.call_summary(call)} · finish reason {call['finish_reason']}"
        self._output.heading(f"call {call['number']}: {STEPS[call['step']].label}, {details}", "cyan")
        for message in call["messages"]:
            self._output.text(f"{message['role']}:", "cyan", indent=4)
            self._output.text(message["content"], "dim", indent=6)
        if call["thoughts"]:
            self._output.text("thoughts:", "cyan", indent=4)
            self._output.text(call["thoughts"], "dim", indent=6)

    def _part(self, title: str, text: str, style: str = "bold blue") -> None:
        self._output.heading(title, style)
        self._output.text(text if text else "(empty)", indent=2)


def _summary(result: Result, of: int) -> str:
    noun, verb = ("draft", "accepted") if labels.is_judged(result.mode) else ("response", "rewritten")
    parts = [
        f"{plural(result.accepted_rounds, noun)} {verb}",
        f"{result.exchanges} of {plural(of, 'exchange')} worked on",
        f"about {plural(result.original_tokens, 'token')} before, {result.final_tokens:,} after",
    ]
    if result.status == "failed":
        parts.insert(0, "failed")
    return "; ".join(parts)


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
