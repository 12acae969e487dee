"""The help of commands with many options: in groups, with examples."""

from collections.abc import Iterator
from typing import Any

import click

from graph.settings import Settings
from models.settings import Limits, ModelSettings

_DATA = ("format", "form", "columns", "improve", "reference", "skip_bad", "max_record_size", "start", "stop")
_MODELS = ("models", "base_urls", "extra_bodies", *ModelSettings.model_fields)
_METHOD = ("modes", *Settings.model_fields)

GROUPS: dict[str, tuple[str, ...]] = {
    "Data": _DATA,
    "Models": _MODELS,
    "Method": _METHOD,
    "Limits": tuple(Limits.model_fields),
}
"""The options of each group, by their parameters; the first group that has one counts."""

OTHERS = "Run"


class GroupedCommand(click.Command):
    """A command whose help shows its options in groups, and `examples` before them."""

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **more: Any) -> None:
        super().__init__(*args, **more)
        self.examples = examples

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples and the options."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")
        for group in (*GROUPS, OTHERS):
            if rows := [*self._rows(ctx, group)]:
                with formatter.section(group):
                    formatter.write_dl(rows)

    def _rows(self, ctx: click.Context, wanted: str) -> Iterator[tuple[str, str]]:
        for option in self.get_params(ctx):
            group = next((name for name, names in GROUPS.items() if option.name in names), OTHERS)
            if group == wanted and (row := option.get_help_record(ctx)):
                yield row
