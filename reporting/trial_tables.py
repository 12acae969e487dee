"""Tables of a trial as HTML, the same on its pages and in its report."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reporting import html_tables
from reporting.summary import what_made
from reporting.trial_costs import shares_of_target
from reporting.trial_manifest import COUNTED, TARGET, shown
from reporting.trial_snapshot import DISAGREEMENTS, JudgedSample, TrialSnapshot
from reporting.trial_verdicts import Verdict
from samples.fields import percent, plural

if TYPE_CHECKING:
    from trials.report import ArmResult, Report

VERDICTS = {"better": "better", "worse": "worse", "noise": "within noise"}
"""What referees say of an arm against the baseline."""

TAGS = {"won": "good", "lost": "bad", "tie": "", "better": "good", "worse": "bad"}

ArmLink = Callable[[str, str], str]
"""Returns the address of the samples in which an arm won, lost or tied."""


def in_panel(table: str, name: str) -> str:
    """Return a table that scrolls sideways where there is no room for it, also with the keyboard."""
    return f'<div class="scrolls" tabindex="0" role="region" aria-label="{escape(name)}">{table}</div>'


def arms(snapshot: TrialSnapshot, link: ArmLink | None = None) -> str:
    """Return the arms with their figures against the baseline; empty if there are none yet."""
    report = snapshot.report
    if report is None:
        return ""
    unit = "US dollars" if snapshot.trial.unit == "dollars" else "tokens"
    names = (
        *("Won", "95 %", "Won / tie / lost", "p", "On this data", "At equal length", "At equal style"),
        *(f"Cost, {unit} a sample", f"Of {TARGET}", "Cost of a won sample", "Failed"),
    )
    shares = shares_of_target(snapshot.costs)
    rows = []
    for each in report.arms:
        rate: Any = each.win_rate
        known = hasattr(rate, "rate")
        counts = [("won", rate.wins), ("tie", rate.ties), ("lost", rate.losses)] if known else []
        said = verdict(report, each)
        cells = [
            percent(rate.rate.value) if known else "–",
            rate.rate.interval if known else "–",
            " / ".join(_linked(f"{number:,}", link and link(each.arm, name)) for name, number in counts)
            or "–",
            "–" if each.p_adjusted is None else _p(each.p_adjusted),
            tag(said, said) if known else "–",
            _rate(each.length_controlled),
            _rate(each.style_controlled),
            _cost(each.cost_per_sample, snapshot),
            percent(shares[each.arm]) if each.arm in shares else "–",
            _cost(each.cost_per_win, snapshot),
            f"{snapshot.failed.get(each.arm, 0):,}",
        ]
        rows.append(_row(f"<th scope=row class=arm>{escape(each.arm)}</th>", cells))
    return _table(["Arm", *names], rows)


def verdict(report: "Report", arm: "ArmResult") -> str:
    """Return what a trial says of an arm against the baseline."""
    from trials.sentences import is_confirmed  # with libraries that take a while to load

    return VERDICTS[arm.verdict] + ("" if is_confirmed(report, arm) else " by referees alone")


def tag(text: str, of: str) -> str:
    """Return the tag of an outcome or a verdict."""
    return f'<span class="tag {TAGS.get(of, "")}">{escape(text)}</span>'


def refusals(report: "Report") -> list[str]:
    """Return why figures cannot be had, each reason once."""
    found: dict[tuple[str, str], list[str]] = {}
    for each in report.arms:
        for what, figure in (
            ("win rate", each.win_rate),
            ("figure at equal length", each.length_controlled),
            ("figure at equal style", each.style_controlled),
        ):
            if reason := getattr(figure, "reason", ""):
                found.setdefault((what, reason), []).append(each.arm)
    if reason := getattr(report.strengths, "reason", ""):
        found["Bradley–Terry strength", reason] = ["any arm"]
    return [f"No {what} of {', '.join(which)}: {why}." for (what, why), which in found.items()]


def direct(report: "Report") -> str:
    """Return how arms fared against each other; empty if none met."""
    rows = [
        _row(
            f"<th scope=row class=arm>{escape(each.arm)}</th><td class=arm>{escape(each.rival)}</td>",
            [
                each.win_rate.rate.in_percent,
                f"{each.win_rate.wins:,} / {each.win_rate.ties:,} / {each.win_rate.losses:,}",
            ],
        )
        for each in report.direct
    ]
    return _table(["Arm", "Against", "Won, with 95 %", "Won / tie / lost"], rows, texts=2) if rows else ""


def referees(report: "Report") -> str:
    """Return how far each referee can be trusted."""
    rows = []
    for each in report.referees:
        orders: Any = each.orders
        known = hasattr(orders, "agreement")
        cells = [
            f"{each.readable:,}",
            f"{each.unreadable:,}",
            orders.agreement.in_percent if known else "–",
            orders.first_preferred.in_percent if known else "–",
            f"{orders.contradictions:,} of {orders.both:,}" if known else "–",
        ]
        rows.append(_row(f"<th scope=row class=words>{escape(shown(each.referee))}</th>", cells))
    names = ("Verdicts", "Unreadable", "Both orders agree", "Prefers the first shown", "Orders contradict")
    return _table(["Referee", *names], rows)


def trust(report: "Report") -> list[str]:
    """Return what is known of the referees together, and of people."""
    lines = ["A referee without position bias prefers the first shown in 50 %."]
    if isinstance(report.agreement, float):
        lines.append(f"Agreement of all: Krippendorff's alpha {report.agreement:.2f} (1 is full, 0 chance).")
    else:
        lines.append(f"Agreement of all cannot be computed: {report.agreement.reason}.")
    corrected: Any = report.corrected
    if hasattr(corrected, "rates"):
        by_arm = ", ".join(f"{arm} {rate.in_percent}" for arm, rate in corrected.rates.items())
        lines.append(
            f"Corrected by {corrected.decisions:,} decisions of people, win rates are: {by_arm} "
            f"(sensitivity {corrected.sensitivity.in_percent}, specificity "
            f"{corrected.specificity.in_percent})."
        )
    else:
        lines.append(f"Not corrected by people: {corrected.reason}.")
    return lines


def samples(found: Sequence[JudgedSample], arms: Sequence[str], link: Callable[[JudgedSample], str]) -> str:
    """Return samples with the outcome of each arm against the baseline."""
    rows = []
    for each in found:
        address = escape(link(each))
        outcomes = [(arm, each.outcome(arm)) for arm in arms[1:]]
        cells = "".join(f"<td>{tag(outcome, outcome) if outcome else '–'}</td>" for _, outcome in outcomes)
        rows.append(
            f'<tr><td class=id><a href="{address}">{escape(each.id)}</a></td>'
            f'<td class=excerpt dir=auto><a href="{address}">{escape(each.request)}</a></td>{cells}'
            f"<td>{disagreements(each)}</td></tr>"
        )
    head = ["Id", "Request", *arms[1:], "Disagreement"]
    cells = "".join(f"<th scope=col>{escape(name)}</th>" for name in head)
    return f'<table class="data judged"><thead><tr>{cells}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def verdicts(found: Sequence[Verdict]) -> str:
    """Return what referees and people said of a pair."""
    rows = [
        f"<tr><th scope=row class=words>{escape(shown(each.referee))}</th>"
        f"<td>{escape(each.first or '–')}</td><td>{escape(each.said)}</td></tr>"
        for each in found
    ]
    return _table(["Referee", "Shown first", "Verdict"], rows, texts=3)


def disagreements(sample: JudgedSample) -> str:
    """Return the tags of a sample's disagreements."""
    return " ".join(
        f'<span class="tag bad">{label}</span>'
        for kind, label in DISAGREEMENTS.items()
        if kind in sample.disagreements
    )


def what_made_trial(snapshot: TrialSnapshot, *, for_others: bool = False) -> str:
    """Return what made a trial. A table `for_others` leaves out folders and addresses."""
    made = snapshot.trial.manifest
    spent = snapshot.spent
    dollars = f", ${spent.dollars:,.4f}" if snapshot.trial.is_priced else ""
    about = {
        "samples": f"{plural(snapshot.drawn, 'sample')}, drawn with seed {made['seed']}",
        "pairs": made["pairs"],
        "referees": "; ".join(_referee(each) for each in made["referees"]),
        **{f"depth of {arm}": _depth(arm, depth) for arm, depth in made["depths"].items()},
        "spent in all": f"{spent.tokens:,} tokens{dollars}",
    }
    rows = "".join(
        f"<tr><td class=faint>{escape(name)}</td><td>{escape(value)}</td></tr>"
        for name, value in about.items()
    )
    run = html_tables.manifest(what_made(made["run"]), for_others=for_others)
    return f"<table class=data>{rows}</table>{run}"


def data_name(snapshot: TrialSnapshot) -> str:
    """Return the name of the data, without its folder."""
    return Path(snapshot.trial.manifest["run"]["data"]["path"]).name


def _referee(facts: Mapping[str, Any]) -> str:
    related = f" (of the family of {', '.join(facts['related'])})" if facts["related"] else ""
    return f"{shown(facts['model'])}{related}"


def _depth(arm: str, depth: Mapping[str, Any]) -> str:
    more = f", one more in {plural(depth['more'], 'sample')}" if depth["more"] else ""
    return f"{plural(depth['rounds'], COUNTED[arm])}{more}"


def _rate(figure: Any) -> str:
    return figure.rate.in_percent if hasattr(figure, "rate") else "–"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _cost(value: float | None, snapshot: TrialSnapshot) -> str:
    if value is None:
        return "–"
    return f"${value:,.4f}" if snapshot.trial.unit == "dollars" else f"{value:,.0f}"


def _linked(text: str, address: str | None) -> str:
    return f'<a href="{escape(address)}">{text}</a>' if address and text != "0" else text


def _row(head: str, cells: Sequence[str]) -> str:
    return f"<tr>{head}{''.join(f'<td class=number>{cell}</td>' for cell in cells)}</tr>"


def _table(names: Sequence[str], rows: Sequence[str], *, texts: int = 1) -> str:
    """Return a table; the first columns are `texts`, the others numbers."""
    head = "".join(_heads(names, texts))
    return f"<table class=data><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _heads(names: Sequence[str], texts: int) -> Iterator[str]:
    for number, name in enumerate(names):
        style = "" if number < texts else " class=number"
        yield f"<th scope=col{style}>{escape(name)}</th>"
