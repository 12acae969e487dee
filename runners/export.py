"""`coevol export RUN -o FILE`: the data set with the responses of a run."""

from pathlib import Path

import click

from ledger.decisions import load_decisions
from prompts.method import MODES
from reporting.labels import is_judged
from reporting.manifest import RunError
from reporting.run import open_run
from reporting.summary import summary
from runners.data_card import Form
from runners.export_options import ContentOptions, content_options
from runners.folder import refuse_to_overwrite
from runners.options import MODE, PATH, output_option
from runners.preference_pairs import PAIRS, Pairs
from runners.selection import notice, selection_from
from runners.terminal import say
from runners.trainer_files import check_companions, write_companions
from samples.files import layout_to_write, with_part
from samples.formats import FORMATS
from samples.trainers import DPO_TRAINERS, OPENAI_LEAST, SFT_TRAINERS, UNHEEDED


@click.command()
@click.argument("run", type=PATH)
@output_option(
    "Where to write: .json, .jsonl, .csv, .tsv (these also with .gz or .zst) or .parquet. A run of several "
    "modes gives a file for each, such as FILE.edit.json."
)
@click.option(
    "--to",
    "form",
    type=click.Choice([*FORMATS, *SFT_TRAINERS, *DPO_TRAINERS]),
    help="The format of the records, or the trainer they are for. Default: the format of the data.",
)
@click.option(
    "--pairs",
    "wanted",
    type=click.Choice(PAIRS),
    help="For trl-dpo and llamafactory-dpo: each result against its original (final, the default), each "
    "accepted draft against the response before it (steps), or both and rejected drafts too (all).",
)
@click.option("--mode", type=MODE, help="Only the results of this mode, in FILE itself.")
@content_options
def export(
    run: Path,
    file: Path,
    form: Form,
    wanted: Pairs | None,
    mode: str | None,
    content: ContentOptions,
) -> None:
    """Write the data set with its evolved responses, as data or for a trainer.

    Records keep their order and their other fields; those that speak of an old response, such as its score,
    are original_… next to a new one. Failed samples keep their responses, and skipped records
    stay as they were; in another format (--to) the few that it cannot express are left out. For a run in
    progress, finished samples are written.

    For a trainer, records hold what it documents and nothing else; skipped ones and those with an empty
    response are left out. The -dpo formats hold pairs of a better and a worse response: of modes with a
    judge, and of users' decisions in any mode.

    A data card is written next to each file, and missing folders are made.
    """
    opened = open_run(run)
    ledger, records = opened.ledger, opened.manifest["data"]["records"]
    layout_to_write(file)
    by_users = load_decisions(ledger)
    decisions = by_users if content.decided_by == "human" else {}
    modes = [opened.mode(mode)] if mode else opened.modes
    if form in DPO_TRAINERS:
        decided = {mode for _, mode in decisions}
        if not (modes := [name for name in modes if is_judged(name) or name in decided]):
            judged = ", ".join(name for name in MODES if is_judged(name))
            raise RunError(
                f"{form} needs pairs of which a judge preferred one: only {judged} have a judge; other modes "
                "need --decided-by human and a user's decisions"
            )
    elif wanted:
        raise RunError(f"--pairs needs --to {' or '.join(DPO_TRAINERS)}")
    if form == "openai" and (content.with_provenance or content.mark_contaminated):
        raise RunError("openai takes no other fields: leave out --with-provenance and --mark-contaminated")
    targets = {chosen: with_part(file, chosen) for chosen in modes}
    if len(modes) == 1:
        targets[modes[0]] = file
    for target in targets.values():
        refuse_to_overwrite(target, opened)
        check_companions(target, form)
    selected = selection_from(opened, by_users, content)
    notice(opened, by_users, content.decided_by)
    for chosen, target in targets.items():
        work = selected.write(target, chosen, form, wanted or "final")
        contents = work.contents(records)
        say(f"{target}: {contents.summary}", err=True)
        if work.screen:
            say(work.screen.write_list(target), err=True)
        if work.unreadable and (line := work.unreadable.write_next_to(target)):
            say(line, err=True)
        for line in write_companions(
            target, form, chosen, contents, summary(opened, [chosen]), tools=work.tools
        ):
            say(line, err=True)
        if form == "openai" and work.written < OPENAI_LEAST:
            say(f"{target}: OpenAI accepts no fewer than {OPENAI_LEAST} records", err=True)
        if work.marks and form in UNHEEDED:
            say(
                f"{target}: some responses are marked as not to be learned from, which {form} does not heed",
                err=True,
            )
