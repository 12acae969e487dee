"""The options that `export` and `publish` share: which records, and which columns."""

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

import click

from runners.human_decisions import DECIDED_BY, DecidedBy
from runners.options import with_options
from samples.thoughts import Thoughts


class ContentOptions(NamedTuple):
    """What `content_options` were given."""

    only_accepted: bool
    decided_by: DecidedBy
    with_provenance: bool
    benchmarks: tuple[str, ...]
    mark_contaminated: bool
    thoughts: Thoughts | None
    stale: tuple[str, ...]
    not_stale: tuple[str, ...]


def content_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which records are written, and which columns they have.

    The command is given them as `content`, a `ContentOptions`.
    """

    @wraps(command)
    def gathered(**given: Any) -> None:
        content = ContentOptions(**{name: given.pop(name) for name in ContentOptions._fields})
        command(content=content, **given)

    options = (
        click.option("--only-accepted", is_flag=True, help="Leave out samples without a new response."),
        click.option(
            "--decided-by",
            type=click.Choice(DECIDED_BY),
            default="judge",
            help="Whose decision counts where a user decided in `coevol view`: the judge's (the default), or "
            "the user's; elsewhere it is the judge's. Of several reviewers' decisions the latest counts.",
        ),
        click.option(
            "--with-provenance",
            is_flag=True,
            help="Add columns that say how each record came about: models, rounds, points, guards, cost, the "
            "original responses.",
        ),
        click.option(
            "--decontaminate",
            "benchmarks",
            multiple=True,
            metavar="FILE",
            help="Leave out records that share 8 words in a row with this benchmark, and list what they "
            "share. Repeat it for more files; plain text counts by lines.",
        ),
        click.option(
            "--mark-contaminated",
            is_flag=True,
            help="Keep such records, and mark them in the column coevol_contaminated.",
        ),
        click.option(
            "--thoughts",
            type=click.Choice(["skip", "drop", "keep"]),
            help="What becomes of the old thoughts of a new response: drop or keep them, or leave such "
            "responses as they were. Default: as in the run.",
        ),
        click.option(
            "--stale",
            multiple=True,
            metavar="FIELD",
            help="A further field that speaks of the old response: original_FIELD next to a new one. "
            "Scores, labels, token counts and the like are known by their names.",
        ),
        click.option(
            "--not-stale",
            multiple=True,
            metavar="FIELD",
            help="A field that does not, whatever its name says.",
        ),
    )
    return with_options(options, gathered)
