"""Tables of a run, as HTML: what failed, what calls took, what made the run."""

from collections.abc import Callable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from graph.settings import WHERE_NOT_WHAT
from reporting.theme import ROLE_COLOURS, dollars, seconds


def failures(failures: Mapping[str, int], link: Callable[[str], str] | None = None) -> str:
    """Failed exchanges by reason; `link` gives the address of the samples with a reason."""
    rows = "".join(
        f"<tr><td>{_linked(reason, link)}</td><td class=number>{number:,}</td></tr>"
        for reason, number in failures.items()
    )
    return f"<table class=data>{rows}</table>"


def _linked(words: str, link: Callable[[str], str] | None) -> str:
    return f'<a href="{escape(link(words))}">{escape(words)}</a>' if link else escape(words)


def bill(calls: Mapping[str, Any]) -> str:
    """Calls, tokens, latencies and cost by role, and by model where there are several."""
    names = ("", "calls", "failed", "input", "cached", "output", "mean", "p95", "cost")
    head = "".join(f"<th class=number>{name}</th>" for name in names)
    rows = [
        _bill_row(role, numbers, ROLE_COLOURS.get(role, "")) for role, numbers in calls["by_role"].items()
    ]
    if len(calls["by_model"]) > 1:
        rows += [_bill_row(model, numbers, "") for model, numbers in calls["by_model"].items()]
    rows.append(_bill_row("all", calls["total"], ""))
    return f"<table class=data><tr>{head}</tr>{''.join(rows)}</table>"


def _bill_row(name: str, numbers: Mapping[str, Any], colour: str) -> str:
    times = [
        seconds(numbers[key]) if numbers[key] is not None else "–" for key in ("mean_latency", "p95_latency")
    ]
    counts = [f"{numbers[key]:,}" for key in _COUNTS]
    cells = "".join(f"<td class=number>{cell}</td>" for cell in (*counts, *times, dollars(numbers)))
    style = f' style="color: {colour}; font-weight: 600"' if colour else ""
    return f"<tr><td{style}>{escape(name)}</td>{cells}</tr>"


_COUNTS = ("calls", "failed", "input_tokens", "cached_tokens", "output_tokens")


def made_by(facts: Mapping[str, Any], *, sent_away: bool = False) -> str:
    """What made the run: data, models, prompts, the settings that mattered, versions.

    Where it is `sent_away`, without what is nobody's business elsewhere: in which folder the data are, and
    where the models are served.
    """
    data = facts["data"]
    path = Path(data["path"]).name if sent_away else data["path"]
    about = {
        "data": f"{path}: {data['records']:,} {data['format']} records, {data['layout']}",
        "created": facts["created"],
        "modes": ", ".join(facts["modes"]),
        "models": ", ".join(f"{role}: {model}" for role, model in facts["models"].items()),
        "prompts": facts["prompts"]["pack"],
        **dict(_settings(facts, sent_away=sent_away)),
        **{f"max_tokens since {later['at']}": later["max_tokens"] for later in facts["later"]},
        **facts["versions"],
    }
    rows = "".join(
        f"<tr><td class=faint>{escape(name)}</td><td>{escape(str(value))}</td></tr>"
        for name, value in about.items()
        if value not in (None, {}, "")
    )
    return f"<table class=data>{rows}</table>"


def _settings(facts: Mapping[str, Any], *, sent_away: bool) -> Iterator[tuple[str, Any]]:
    left_out = {"model", "role_models", "prompts"}  # which are said before
    if sent_away:
        left_out |= WHERE_NOT_WHAT | {"extra_body", "role_extra_body"}
    if not any(model.startswith("rehearsal:") for model in facts["models"].values()):
        left_out.add("rehearsal_wins")
    if facts["data"]["format"] == "alpaca":
        left_out |= OF_CONVERSATIONS
    if "evolve" not in facts["modes"]:
        left_out |= OF_JUDGING
    for name, value in facts["settings"].items():
        if name not in left_out and not name.endswith("_persona"):
            yield name, value


OF_CONVERSATIONS = {
    *("history_window", "conversation_template", "max_exchanges", "max_conversation_tokens"),
}
OF_JUDGING = {"max_rounds", "verdict", "judge_retries", "lazy_judge"}
