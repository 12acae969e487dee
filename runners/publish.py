"""`coevol publish RUN OWNER/NAME`: a run's results as a data set on the Hugging Face Hub."""

import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import click

from ledger.decisions import load_decisions
from ledger.ledger import SKIPPED
from models.errors.exceptions import MissingExtra
from nodes.guards.language import languages
from prompts.method import MODES
from reporting.labels import is_judged
from reporting.manifest import RunError
from reporting.run import Run, open_run
from reporting.summary import summary
from runners.data_card import Form
from runners.export_options import ContentOptions, content_options
from runners.export_records import responses
from runners.hub_card import SPLIT, Configuration, License, hub_card, is_blank, made_by
from runners.hub_upload import CARD, Hub, Remote
from runners.options import MODE, PATH
from runners.provenance import fingerprint
from runners.selection import NothingToWrite, Selection, notice, selection_from
from runners.terminal import confirmed, say
from samples.fields import plural
from samples.files import write_text
from samples.formats import FORMATS
from samples.licenses import COMMON, LICENSES, OTHER
from samples.sample import DataError, Format

SHARD_BYTES = 500_000_000
"""About how large a file is, as `datasets` has it."""

LOOKED_AT = 300
"""Records whose languages are detected."""

_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_PREFERENCE = "preference"
_FOLDERS = {"data", _PREFERENCE, *MODES, *(f"{mode}-{_PREFERENCE}" for mode in MODES)}
_OURS = re.compile(rf"(?:{'|'.join(map(re.escape, sorted(_FOLDERS)))})/{SPLIT}-\d{{5}}-of-\d{{5}}\.parquet")


@click.command()
@click.argument("run", type=PATH)
@click.argument("repo", metavar="OWNER/NAME")
@click.option(
    "--license",
    "license_key",
    metavar="ID",
    help=f"The license of the data set, as the Hub names it: {', '.join(COMMON)}, …, or other.",
)
@click.option("--license-name", metavar="NAME", help="The name of the license, with --license other.")
@click.option("--public", is_flag=True, help="Make the data set public. Default: private.")
@click.option("--yes", is_flag=True, help="Upload without asking, for scripts.")
@click.option(
    "--dry-run",
    "folder",
    type=PATH,
    metavar="FOLDER",
    help="Write what would be uploaded to this folder, and upload nothing.",
)
@click.option(
    "--replace",
    "replaces",
    is_flag=True,
    help="Replace what was published under this name from another run of coevol.",
)
@click.option(
    "--to",
    "form",
    type=click.Choice(FORMATS),
    help="The format of the records. Default: the format of the data.",
)
@click.option("--mode", type=MODE, help="Only the results of this mode.")
@content_options
def publish(
    run: Path,
    repo: str,
    license_key: str | None,
    license_name: str | None,
    public: bool,
    yes: bool,
    folder: Path | None,
    replaces: bool,
    form: Format | None,
    mode: str | None,
    content: ContentOptions,
) -> None:
    """Publish the results of a run as a data set on the Hugging Face Hub.

    The data set has the improved records as the configuration `default` and, where a judge or a user
    preferred one response to another, pairs for preference training (as trl-dpo) as `preference`; of a run of
    several modes, each mode has the two. Files are Parquet, and a card says what made them.

    It shows what it will upload, and asks before it does. The token is that of HF_TOKEN or of `hf auth
    login`. Publishing a run again updates its data set by a new commit; other contents are never touched.
    """
    license = _license(license_key, license_name)
    if not _REPO.fullmatch(repo):
        raise RunError(f"{repo}: expected OWNER/NAME, such as my-name/my-data")
    _need_extra()
    opened = open_run(run)
    if folder is None and not yes and not sys.stdin.isatty():
        raise RunError("nothing is uploaded without a yes, and there is no terminal to ask on: give --yes")
    hub = None if folder else Hub()
    remote = hub.look(repo) if hub else None
    if remote:
        _check(repo, remote, fingerprint(opened.manifest), public=public, replaces=replaces)
    by_users = load_decisions(opened.ledger)
    selected = selection_from(opened, by_users, content)
    selected = replace(selected, only_readable=True)
    notice(opened, by_users, content.decided_by)
    modes = [opened.mode(mode)] if mode else opened.modes
    with _folder(folder) as target:
        found = [*_configurations(selected, modes, form, target, folder or Path(repo.partition("/")[2]))]
        spoken = languages(_texts(opened, modes[-1]))
        if not spoken:
            say("no language was detected; the card names none", err=True)
        card = hub_card(repo, summary(opened, modes), found, license, spoken, fingerprint(opened.manifest))
        write_text(target / CARD, card)
        files = {CARD: target / CARD}
        files |= {path.relative_to(target).as_posix(): path for each in found for path in each.shards}
        deleted = (
            [path for path in remote.files if _OURS.fullmatch(path) and path not in files] if remote else []
        )
        where = f"{repo} on {hub.endpoint}" if hub else f"{folder}, for {repo}"
        seen = "public" if public else "private"
        state = f"updates what is there, {seen}" if remote else f"new, {seen}"
        say(f"{where}: {state}, license {license_name or license.key}", err=True)
        for path, file in files.items():
            say(f"  {path}  {_size(file.stat().st_size)}", err=True)
        for path in deleted:
            say(f"  {path}  deleted", err=True)
        if hub is None:
            return
        if not yes and not confirmed("Upload?"):
            say("nothing was uploaded", err=True)
            raise click.exceptions.Exit(3)
        say(hub.upload(repo, files, deleted, remote, private=not public))


def _need_extra() -> None:
    try:
        import datasets  # noqa: F401
        import huggingface_hub  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra("publishing", error.name, "hub") from None


def _license(key: str | None, name: str | None) -> License:
    known = f"{', '.join(COMMON)}, or {OTHER} with --license-name NAME"
    if not key:
        raise RunError(
            "--license is missing; it depends on the license of the source and on the terms of the models: "
            f"{known}"
        )
    key = key.lower()
    if key not in LICENSES:
        close = get_close_matches(key, LICENSES, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else f"such as {known}"
        raise RunError(f"--license {key} is not one that the Hub knows; {hint}")
    if (key == OTHER) != bool(name):
        raise RunError(f"--license-name NAME belongs to --license {OTHER}, and that needs it")
    return License(key, name)


def _check(repo: str, remote: Remote, run: str, *, public: bool, replaces: bool) -> None:
    """Refuse to touch what is not an earlier version of this data set, or is seen by others than wanted."""
    others = [path for path in remote.files if path not in (".gitattributes", CARD)]
    before = made_by(remote.card)
    if before is None and (others or not is_blank(remote.card)):
        has = others[0] if others else f"a {CARD} that is not of coevol"
        raise RunError(f"{repo} has other contents ({has}): choose another name")
    if before not in (None, run) and not replaces:
        raise RunError(
            f"{repo} was published from another run: choose another name, or give --replace to replace it by "
            "a new commit"
        )
    if remote.private and public:
        raise RunError(
            f"{repo} is private there: leave out --public, or change its visibility on its page of settings"
        )
    if not remote.private and not public:
        raise RunError(
            f"{repo} is public there, and so would be what is uploaded: give --public if that is meant"
        )


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    """Give a folder to write to: an empty one of the user's, or a temporary one."""
    if given is None:
        with tempfile.TemporaryDirectory(prefix="coevol-") as name:
            yield Path(name)
        return
    try:
        given.mkdir(parents=True, exist_ok=True)
        if next(given.iterdir(), None):
            raise RunError(f"{given} is not empty: choose a new folder")
    except OSError as error:
        raise RunError(f"{given} cannot be written: {error.strerror}") from None
    try:
        yield given
    except BaseException:
        shutil.rmtree(given, ignore_errors=True)  # nothing half done
        raise


def _configurations(
    selected: Selection, modes: Sequence[str], form: Format | None, folder: Path, listed: Path
) -> Iterator[Configuration]:
    """Write the configurations of a data set, the default one first.

    `listed` is the name next to which the lists of shared runs go.
    """
    from samples.parquet_files import USE_JSON_LINES, split_file

    records = selected.opened.manifest["data"]["records"]
    decided = {mode for _, mode in selected.decisions}
    for mode in reversed(modes):
        only = len(modes) == 1
        wanted: list[tuple[str, Form]] = [("default" if only else mode, form)]
        if is_judged(mode) or mode in decided:
            wanted.append((_PREFERENCE if only else f"{mode}-{_PREFERENCE}", "trl-dpo"))
        for name, to in wanted:
            file = folder / ("data" if name == "default" else name) / f"{SPLIT}.parquet"
            try:
                work = selected.write(file, mode, to)
            except NothingToWrite as error:
                if to != "trl-dpo":
                    raise RunError(str(error).replace(str(file), name)) from None
                say(f"{name}: no pairs", err=True)
                continue
            except DataError as error:
                message = str(error).replace(str(file), name)
                raise RunError(
                    message.replace(USE_JSON_LINES, "mend the data, or leave the field out")
                ) from None
            contents = work.contents(records)
            say(f"{name}: {contents.summary}", err=True)
            if work.screen:
                say(work.screen.write_list(listed.with_name(f"{listed.name}.{name}")), err=True)
            shards = split_file(file, SHARD_BYTES)
            yield Configuration(
                name, mode == modes[-1] and to != "trl-dpo", mode, to, contents, work.example or {}, shards
            )


def _texts(opened: Run, mode: str) -> Iterator[str]:
    """Yield requests and responses of records from all over the data."""
    records = opened.manifest["data"]["records"]
    for sample, results in opened.ledger.samples_at(range(0, records, 1 + records // LOOKED_AT)):
        result = results.get(mode) or results.get(SKIPPED)
        texts = responses(sample, result) if result else [exchange.response for exchange in sample.exchanges]
        for exchange, response in zip(sample.exchanges, texts, strict=True):
            yield exchange.whole_request
            yield response


def _size(count: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return plural(count, "byte")
