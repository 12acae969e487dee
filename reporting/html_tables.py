"""Tables of a run as HTML: failures, the bill, the manifest."""

from collections.abc import Callable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from graph.settings import WHERE_NOT_WHAT
from nodes.decision import STOPPED
from reporting.labels import ENDINGS, dollars, failure_label, is_best_of, is_judged, seconds
from reporting.theme import ROLE_COLORS
from samples.fields import plural


def failures(failures: Mapping[str, int], link: Callable[[str], str] | None = None) -> str:
    """Return failed exchanges by reason; `link` returns the address of the samples with a reason."""
    rows = "".join(
        f"<tr><td>{_linked(reason, link)}</td><td class=number>{number:,}</td></tr>"
        for reason, number in failures.items()
    )
    return f"<table class=data>{rows}</table>"


def _linked(kind: str, link: Callable[[str], str] | None) -> str:
    return _anchor(failure_label(kind), link and link(kind))


def _anchor(label: str, address: str | None) -> str:
    return f'<a href="{escape(address)}">{escape(label)}</a>' if address else escape(label)


def bill(calls: Mapping[str, Any], *, with_total: bool = True) -> str:
    """Return calls, tokens, latencies and cost by role, and by model if there are several."""
    names = ("", "calls", "failed", "input", "cached", "output", "mean", "p95", "cost")
    head = "".join(f"<th class=number>{name}</th>" for name in names)
    rows = [_bill_row(role, some, role * (role in ROLE_COLORS)) for role, some in calls["by_role"].items()]
    if len(calls["by_model"]) > 1:
        rows += [_bill_row(model, numbers) for model, numbers in calls["by_model"].items()]
    if with_total:
        rows.append(_bill_row("all", calls["total"]))
    return f"<table class=data><tr>{head}</tr>{''.join(rows)}</table>"


def _bill_row(name: str, numbers: Mapping[str, Any], role: str = "") -> str:
    times = [
        seconds(numbers[key]) if numbers[key] is not None else "–" for key in ("mean_latency", "p95_latency")
    ]
    counts = [f"{numbers[key]:,}" for key in _COUNTS]
    cells = "".join(f"<td class=number>{cell}</td>" for cell in (*counts, *times, dollars(numbers)))
    style = f' class="who {role}"' if role else ""
    return f"<tr><td{style}>{escape(name)}</td>{cells}</tr>"


_COUNTS = ("calls", "failed", "input_tokens", "cached_tokens", "output_tokens")


def not_judged(endings: Mapping[str, int], link: Callable[[str], str] | None = None) -> str:
    """Return how many exchanges ended with one of `STOPPED`, by reason; empty if none did.

    `link` returns the address of the samples with an ending.
    """
    rows = "".join(
        f"<tr><td>{_anchor(ENDINGS[ending], link and link(ending))}</td>"
        f"<td class=number>{endings[ending]:,}</td></tr>"
        for ending in STOPPED
        if endings.get(ending)
    )
    return rows and f"<table class=data>{rows}</table>"


def manifest(facts: Mapping[str, Any], *, for_others: bool = False) -> str:
    """Return what made the run: data, models, prompts, the settings that mattered, versions.

    A table `for_others` leaves out in which folder the data is and where the models are served.
    """
    data = facts["data"]
    path = Path(data["path"]).name if for_others else data["path"]
    records = plural(data["records"], f"{data['format']} record")
    about = {
        "data": f"{path}: {records}, {data['layout']}",
        "created": facts["created"],
        "modes": ", ".join(facts["modes"]),
        "models": ", ".join(f"{role}: {model}" for role, model in facts["models"].items()),
        "prompts": facts["prompts"]["pack"],
        **dict(_settings(facts, for_others=for_others)),
        **{f"max_tokens since {later['at']}": later["max_tokens"] for later in facts["later"]},
        **facts["versions"],
    }
    rows = "".join(
        f"<tr><td class=faint>{escape(name)}</td><td>{escape(str(value))}</td></tr>"
        for name, value in about.items()
        if value not in (None, {}, "")
    )
    return f"<table class=data>{rows}</table>"


def _settings(facts: Mapping[str, Any], *, for_others: bool) -> Iterator[tuple[str, Any]]:
    left_out = {"model", "role_models", "prompts"}  # shown above
    if for_others:
        left_out |= WHERE_NOT_WHAT | {"extra_body", "role_extra_body"}
    if not any(model.startswith("rehearsal:") for model in facts["models"].values()):
        left_out.add("rehearsal_wins")
    if facts["data"]["format"] == "alpaca":
        left_out |= OF_CONVERSATIONS
    if not any(is_judged(mode) for mode in facts["modes"]):
        left_out |= OF_JUDGING
    if not is_best_of(facts["modes"]):
        left_out |= OF_DRAFTS
    for name, value in facts["settings"].items():
        if name not in left_out and not name.endswith("_persona"):
            yield name, value


OF_CONVERSATIONS = {*("history_window", "conversation_template", "max_exchanges", "max_conversation_tokens")}
OF_DRAFTS = {"drafts", "draft_temperature"}
OF_JUDGING = {"max_rounds", "verdict", "judge_retries", "lazy_judge"}
