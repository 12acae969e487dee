"""The context of an exchange: links to the others of its conversation, and the earlier ones."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from nicegui import ui

from ledger.browse import Filter, has_orders
from ledger.decisions import Decision, matches
from ledger.ledger import Result
from ledger.search import contains
from nodes.decision import Round, favoured_position
from samples.sample import Exchange, Sample
from viewer.frame import folding, key_links, plain_text, text
from viewer.on_demand import expansion
from viewer.run import number_in


class Chip(NamedTuple):
    """A link to an exchange."""

    label: str
    link: str
    matches: bool = False
    """Whether the exchange matches the filter, and is highlighted."""


def exchanges(chips: Sequence[Chip], number: int) -> None:
    """Show links to all exchanges of a conversation, of which this one is shown; keys p and n."""
    if len(chips) == 1:
        return
    with ui.row().classes("exchanges items-center"):
        for index, chip in enumerate(chips):
            link = ui.link(f"{index + 1}: {chip.label}", chip.link)
            link.classes(("here " if index == number else "") + ("matching" if chip.matches else ""))
        ui.label("keys p and n").classes("faint small")
    around = ["", *(chip.link for chip in chips), ""]
    key_links({"p": around[number], "n": around[number + 2]})


def shown_exchange(query: Any, sample: Sample, matching: Sequence[int]) -> int:
    """Return the exchange that an address asks for, or else the first that matches the filter."""
    given = number_in(query.get("exchange", ""))
    number = next(iter(matching), 0) if given is None else given - 1
    return number if number in range(len(sample.exchanges)) else 0


def matching_exchanges(
    wanted: Filter, sample: Sample, result: Result, decided: Mapping[int, Decision]
) -> Sequence[int]:
    """Return the exchanges that match a filter; none where the filter is about the result as a whole.

    These are those that meet all its conditions or, if none does, those that meet some.
    """
    conditions: list[Callable[[Mapping[str, Any]], bool]] = []
    if wanted.status == "failed":
        conditions.append(lambda done: "failure" in done)
    if wanted.reason:
        conditions.append(lambda done: "failure" in done and done["failure"]["reason"] == wanted.reason)
    if wanted.accepted is not None:
        conditions.append(lambda done: done["accepted_rounds"] == wanted.accepted)
    if wanted.changed:
        conditions.append(lambda done: done["accepted_rounds"] > 0)
    if wanted.contradict:
        conditions.append(contradicts)
    if wanted.ending:
        conditions.append(lambda done: done["ending"] == wanted.ending)
    if wanted.orders:
        conditions.append(lambda done: has_orders(done, wanted.orders))
    if choice := wanted.decided:
        conditions.append(lambda done: matches(choice, decided.get(done["exchange"]), done["ending"]))
    parts = [{done["exchange"] for done in result.outcome if has(done)} for has in conditions]
    if wanted.text:
        parts.append(mentioning(wanted.text, sample, result))
    parts = [part for part in parts if part]
    return sorted(set.intersection(*parts) or set.union(*parts)) if parts else []


def mentioning(wanted: str, sample: Sample, *results: Result) -> set[int]:
    """Return the exchanges with a text in their request, or in their old or new response."""
    evolved = [(done["exchange"], done["response"]) for result in results for done in result.outcome]
    texts = [
        *enumerate(e.instruction for e in sample.exchanges),
        *enumerate(e.input for e in sample.exchanges),
    ]
    texts += [*enumerate(e.response for e in sample.exchanges), *evolved]
    return {number for number, each in texts if contains([each], wanted)}


def contradicts(done: Mapping[str, Any]) -> bool:
    """Whether the two orders named opposite winners in a round of an exchange."""
    return any(favoured_position(cast(Round, each)) for each in done["rounds"])


class ModeResult(NamedTuple):
    """A sample and its result in one mode."""

    sample: Sample
    result: Result
    by: str = ""
    """The name of the side, where there are two."""

    @property
    def responses(self) -> list[str]:
        """Its final responses."""
        evolved = {done["exchange"]: done["response"] for done in self.result.outcome}
        return [evolved.get(index, each.response) for index, each in enumerate(self.sample.exchanges)]


def request(sample: Sample, number: int, conversations: Sequence[ModeResult]) -> None:
    """Show the request of an exchange, after the system prompt and the earlier exchanges."""
    if sample.system:
        with ui.expansion("System prompt").classes("w-full panel"):
            plain_text(sample.system)
    if number:
        _earlier_exchanges(sample, number, conversations)
    exchange = sample.exchanges[number]
    with ui.column().classes("panel request"):
        ui.label("Request").classes("faint small")
        with folding("request", exchange.instruction):
            text(exchange.instruction)
        if exchange.input:
            ui.label("Input").classes("faint small")
            with folding("input", exchange.input):
                text(exchange.input)


def _earlier_exchanges(sample: Sample, number: int, conversations: Sequence[ModeResult]) -> None:
    def turns() -> None:
        for index, exchange in enumerate(sample.exchanges[:number]):
            _turn(index, exchange, conversations)

    expansion(f"The conversation before ({number})", turns, "panel before")


def _turn(index: int, exchange: Exchange, conversations: Sequence[ModeResult]) -> None:
    ui.label(f"Request {index + 1}").classes("faint small")
    text(exchange.instruction)
    if exchange.input:
        text(exchange.input)
    responses = [(each, each.responses[index]) for each in conversations]
    if len({response for _, response in responses}) == 1:
        responses = [(responses[0][0]._replace(by=""), responses[0][1])]
    for each, response in responses:
        of = f" of {each.by}" if each.by else ""
        evolved = ", evolved" if response != each.sample.exchanges[index].response else ""
        ui.label(f"Response{of}{evolved}").classes("faint small")
        text(response)
    ui.separator()
