"""`coevol check`: one real call to each model, before a run relies on it."""

import asyncio
from json import dumps
from typing import TYPE_CHECKING, Any

import click

from graph.settings import Settings
from models.keys import Keys
from models.providers.parameters import notices
from models.settings import Endpoint, Role, located
from nodes.verdict.reading import read_verdict, reply_form
from prompts.pack import load_pack
from runners.command_help import GroupedCommand
from runners.command_settings import settings_from
from runners.options import settings_options
from runners.terminal import say

if TYPE_CHECKING:
    from models.probe import VerdictTrial

MARKS = {True: "ok", False: "NO", None: "--"}


@click.command(cls=GroupedCommand)
@settings_options
def check(**given: Any) -> int:
    """Call each model once, in each way that a role asks it, and report whether a run can use it.

    The judge also compares two responses, with the prompts of the run.

    Takes the options of `coevol evolve` that concern models and requests. Exit status: 0 all can be used, 2
    one of them cannot.
    """
    settings, _ = settings_from(given)
    from langsmith import tracing_context  # slow to load

    from models.providers.proxies import check_proxies

    check_proxies()
    with tracing_context(enabled=False):  # test calls are not worth a trace
        return 0 if asyncio.run(_check(settings, Keys.load(settings))) else 2


async def _check(settings: Settings, keys: Keys) -> bool:
    from models.probe import probe  # slow to load

    # An endpoint may accept one set of fields or key and refuse another.
    forms: dict[tuple[Endpoint, str, str | None], list[Role]] = {}
    for role in settings.roles:
        fields = dumps(settings.further(role), sort_keys=True)
        for endpoint in map(located, settings.replicas(role)):
            forms.setdefault((endpoint, fields, keys.variable(endpoint, role)), []).append(role)
    for notice in notices(settings):
        say(notice)
    trial = _trial(settings)
    usable = True
    for (endpoint, _, _), played in forms.items():
        where = f" at {keys.redact_address(endpoint.shown_url)}" if endpoint.shown_url else ""
        everyone = "all roles" if len(played) == len(settings.roles) else ", ".join(played)
        say(f"{endpoint.model}{where} ({everyone})")
        async for finding in probe(endpoint, played, settings, keys, trial):
            usable = usable and finding.ok is not False
            text = finding.text.replace("\n", "\n" + " " * 26)
            say(f"  {MARKS[finding.ok]}  {finding.subject:<20} {text}")
    return usable


def _trial(settings: Settings) -> "VerdictTrial":
    """Return a comparison that any judge can make, as the run's prompt pack asks for it."""
    from models.probe import VerdictTrial

    pack, name = load_pack(settings.prompts), f"judge_{settings.verdict}"
    pack.require([name])
    values = {
        "persona": settings.persona("judge"),
        "system": "",
        "instruction": "Which color is a ripe lemon? Answer in one sentence.",
        "input": "",
        "response_1": "A ripe lemon is blue.",
        "response_2": "A ripe lemon is yellow.",
    }
    first_line = pack.first_lines[name]
    return VerdictTrial(
        messages=pack.render(name, **values),
        reminder=pack.render(f"{name}_again", **values),
        retries=settings.judge_retries,
        form=reply_form(first_line),
        is_readable=lambda reply: read_verdict(reply, settings.verdict, first_line) is not None,
    )
