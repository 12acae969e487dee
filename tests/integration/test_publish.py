"""A run published to a Hub: a local server that takes uploads and is read by `datasets` afterwards."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from huggingface_hub import DatasetCard

from tests.conftest import look
from tests.hub import Hub
from tests.program import COMMAND, ROOT

TOKEN = "hf_a-token-that-stays-here"
HOSTILE = "```\n</script>\n# A heading\n---\n[click](javascript:1) \u202e"

RECORDS: list[dict[str, Any]] = [
    {
        "id": f"record-{number}",
        "instruction": f"Explain in a few words why the number {number} is larger than the number before it.",
        "input": "",
        "output": f"{HOSTILE} It is larger, since {number} is one more than the number before it, of course.",
        "a: [b]\n---\nc": "x",
    }
    for number in range(4)
]


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub("owner/name", None) as server:
        server.token = TOKEN
        yield server


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over records that would break a card if they could, with one that cannot be read."""
    folder = tmp_path_factory.mktemp("published")
    data = [*RECORDS, {"id": "odd", "instruction": 5, "output": ["?"]}]
    (folder / "data.json").write_text(json.dumps(data), encoding="utf-8")
    words = ("--skip-bad", "--rehearsal-wins", 1, "--max-rounds", 1, "-o", "run")
    look("evolve", folder / "data.json", *words, cwd=folder)
    return folder / "run"


def environment(hub: Hub) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": TOKEN}


def loaded(hub: Hub, folder: Path, *names: str) -> list[list[dict[str, Any]]]:
    """Return the configurations as `datasets.load_dataset` finds them; an empty name is the default one."""
    script = (
        "import sys, json, datasets; datasets.disable_progress_bars(); "
        "load = lambda name: datasets.load_dataset('owner/name', name or None, split='train').to_list(); "
        "print(json.dumps([load(name) for name in sys.argv[1:]]))"
    )
    env = os.environ | environment(hub) | {"HF_HOME": str(folder / "home")}
    ended = subprocess.run([sys.executable, "-c", script, *names], capture_output=True, text=True, env=env)
    assert ended.returncode == 0, ended.stderr
    found: list[list[dict[str, Any]]] = json.loads(ended.stdout)
    return found


def publish(run: Path, folder: Path, hub: Hub, *words: object, status: int = 0) -> Any:
    given = ("publish", run, "owner/name", "--license", "cc-by-4.0", "--yes")
    return look(*given, *words, cwd=folder, env=environment(hub), status=status)


def exported(run: Path, folder: Path, *words: object) -> list[dict[str, Any]]:
    look("export", run, "-o", folder / "export.json", *words, cwd=folder)
    found: list[dict[str, Any]] = json.loads((folder / "export.json").read_text("utf-8"))
    return found


def front_matter(card: str) -> dict[str, Any]:
    data: Any = DatasetCard(card).data
    found: dict[str, Any] = data.to_dict()
    return found


def test_what_is_published_loads_again_and_an_update_is_a_commit(hub: Hub, run: Path, tmp_path: Path) -> None:
    ended = publish(run, tmp_path, hub, "--with-provenance")
    assert ended.stdout == f"{hub.endpoint}/datasets/owner/name\n"
    assert f"owner/name on {hub.endpoint}: new, private, license cc-by-4.0" in ended.stderr
    assert "1 unreadable and left out" in ended.stderr
    assert (hub.private, hub.commits) == (True, 1)
    whole = exported(run, tmp_path, "--with-provenance")
    pairs = exported(run, tmp_path, "--with-provenance", "--to", "trl-dpo")
    assert loaded(hub, tmp_path, "", "preference") == [whole[:4], pairs]

    card = hub.files["README.md"].decode()
    facts = front_matter(card)
    assert (facts["license"], facts["language"], facts["size_categories"]) == ("cc-by-4.0", ["en"], ["n<1K"])
    assert facts["task_categories"] == ["text-generation"]
    assert {"synthetic", "coevol"} <= set(facts["tags"])
    assert [each["config_name"] for each in facts["configs"]] == ["default", "preference"]
    assert facts["dataset_info"][0]["splits"][0]["num_examples"] == 4
    assert [feature["name"] for feature in facts["dataset_info"][0]["features"]] == list(whole[0])
    # The record shown stands in a fence that it does not end, and no heading is of the data.
    assert "\n````json\n" in card and "\n# A heading" not in card and "\u202e" not in card
    assert str(tmp_path) not in card and str(run.parent) not in card

    # The files are the same and were sent before; those of the other layout give way.
    sent = [path for method, path, _ in hub.requests if method == "PUT"]
    ended = publish(run, tmp_path, hub, "--with-provenance")
    assert "updates what is there, private" in ended.stderr
    assert [path for method, path, _ in hub.requests if method == "PUT"] == sent
    assert hub.commits == 2

    everything = [*tmp_path.rglob("*"), *run.parent.rglob("*")]
    texts = [file.read_bytes() for file in everything if file.is_file()] + list(hub.files.values())
    assert not any(TOKEN.encode() in text for text in texts)
    assert TOKEN not in ended.stderr + ended.stdout


def test_each_mode_is_a_configuration_and_old_files_go(hub: Hub, modes_run: Path, tmp_path: Path) -> None:
    publish(modes_run, tmp_path, hub, "--mode", "evolve", "--public")
    hub.files["LICENSE"] = b"kept"
    ended = publish(modes_run, tmp_path, hub, "--to", "messages", "--public")
    assert not hub.private
    assert "data/train-00000-of-00001.parquet  deleted" in ended.stderr
    parquet = {name.partition("/")[0] for name in hub.files if name.endswith(".parquet")}
    assert parquet == {"edit", "evolve", "evolve-preference"}
    assert hub.files["LICENSE"] == b"kept"
    facts = front_matter(hub.files["README.md"].decode())
    assert [each["config_name"] for each in facts["configs"] if each.get("default")] == ["evolve"]
    assert loaded(hub, tmp_path, "", "edit") == [
        exported(modes_run, tmp_path, "--to", "messages", "--mode", mode) for mode in ("evolve", "edit")
    ]


def test_an_interrupted_upload_is_repeated(hub: Hub, run: Path, tmp_path: Path) -> None:
    hub.refusals["/commit/"] = 503
    ended = publish(run, tmp_path, hub, status=3)
    assert ended.stderr.splitlines()[-1] == (
        f"coevol: stopped: the upload to owner/name on {hub.endpoint} failed: status 503: the Hub has a "
        "problem; try again later: refused with 503"
    )
    assert (hub.exists, hub.commits, len(hub.stored)) == (True, 0, 2)
    hub.refusals.clear()
    publish(run, tmp_path, hub)
    # They are sent side by side.
    assert sorted(path for method, path, _ in hub.requests if method == "PUT") == sorted(
        f"/lfs/{each}" for each in hub.stored
    )
    assert hub.commits == 1


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "status 401: the Hub does not know this token"),
        (403, "status 403: the token may not write there"),
        (409, "status 409: it is being changed, or there is one of this name that the token may not see"),
        (413, "status 413: a file is too large"),
        (429, "status 429: too many requests"),
    ],
)
def test_what_the_hub_refuses_is_said_in_one_line(
    hub: Hub, run: Path, tmp_path: Path, status: int, message: str
) -> None:
    hub.refusals["/api/repos/create"] = status
    ended = publish(run, tmp_path, hub, status=3)
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("coevol: stopped: the upload to owner/name on http://127.0.0.1:")
    assert message in last
    assert not hub.files


def test_a_token_that_the_hub_does_not_know_is_said_at_once(hub: Hub, run: Path, tmp_path: Path) -> None:
    hub.token = "hf_another"
    ended = publish(run, tmp_path, hub, status=2)
    assert "status 401: the Hub does not know this token" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert TOKEN not in ended.stderr


def test_what_is_there_is_not_touched(hub: Hub, modes_run: Path, run: Path, tmp_path: Path) -> None:
    def refused(*words: object) -> str:
        errors: str = publish(run, tmp_path, hub, *words, status=2).stderr
        assert len(errors.splitlines()) == 1
        return errors

    hub.exists, hub.private = True, True
    hub.files = {".gitattributes": b"", "README.md": b"# Mine\n"}
    assert "owner/name has other contents (a README.md that is not of coevol)" in refused()
    hub.files["README.md"] = b"---\nlicense: mit\n---\n"
    hub.files["data.csv"] = b"a\n"
    assert "owner/name has other contents (data.csv): choose another name" in refused("--replace")
    del hub.files["data.csv"]
    assert "owner/name is private there: leave out --public" in refused("--public")
    hub.private = False
    assert "owner/name is public there, and so would be what is uploaded" in refused()
    hub.private = True
    publish(run, tmp_path, hub)
    card = hub.files["README.md"]
    assert b"license: cc-by-4.0" in card

    def of_another_run(*words: object, status: int) -> str:
        errors: str = publish(modes_run, tmp_path, hub, "--mode", "edit", *words, status=status).stderr
        return errors

    assert "owner/name was published from another run" in of_another_run(status=2)
    assert (hub.files["README.md"], hub.commits) == (card, 1)
    of_another_run("--replace", status=0)
    assert hub.files["README.md"] != card and "preference/train-00000-of-00001.parquet" not in hub.files


def test_nothing_is_uploaded_without_a_yes(hub: Hub, run: Path, tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    command = [*COMMAND, "publish", str(run), "owner/name", "--license", "mit"]
    env = os.environ | environment(hub) | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdin=terminal, stderr=subprocess.PIPE, cwd=tmp_path, env=env)
    os.close(terminal)
    os.write(controller, b"no\n")
    _, errors = process.communicate(timeout=120)
    with suppress(OSError):
        os.close(controller)
    assert process.returncode == 3
    assert "data/train-00000-of-00001.parquet" in errors.decode()
    assert errors.decode().endswith("nothing was uploaded\n")
    assert not hub.exists


def test_a_dry_run_writes_a_folder_and_asks_nobody(run: Path, tmp_path: Path) -> None:
    words = ("publish", run, "owner/name", "--license", "other", "--license-name", "My own", "--dry-run")
    ended = look(*words, "out/there", cwd=tmp_path)
    assert "out/there, for owner/name: new, private, license My own" in ended.stderr
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {
        "out/there/README.md",
        "out/there/data/train-00000-of-00001.parquet",
        "out/there/preference/train-00000-of-00001.parquet",
    }
    facts = front_matter((tmp_path / "out/there/README.md").read_text("utf-8"))
    assert (facts["license"], facts["license_name"]) == ("other", "My own")
    assert "out/there is not empty" in look(*words, "out/there", cwd=tmp_path, status=2).stderr


def test_benchmarks_are_kept_out(run: Path, tmp_path: Path) -> None:
    (tmp_path / "bench.txt").write_text("in a few words why the number 2 is large\n")
    words = ("publish", run, "owner/name", "--license", "mit", "--decontaminate", "bench.txt")
    ended = look(*words, "--dry-run", "out", cwd=tmp_path)
    assert "default: 3 of 5 records" in ended.stderr
    assert "1 record left out for runs of words shared with benchmarks" in ended.stderr
    (hit,) = map(json.loads, (tmp_path / "out.default.contaminated.jsonl").read_text("utf-8").splitlines())
    assert (hit["id"], hit["benchmark"], hit["line"]) == ("record-2", "bench.txt", 1)
    assert "| records left out | 1 |" in (tmp_path / "out/README.md").read_text("utf-8")
    (tmp_path / "bench.txt").write_text("is one more than the number before it\n")
    ended = look(*words, "--dry-run", "none", cwd=tmp_path, status=2)
    assert "nothing to write" in ended.stderr.splitlines()[-1]
    assert not (tmp_path / "none").exists()


def test_a_field_without_a_type_in_common_is_published_as_text(tmp_path: Path) -> None:
    extras = ("text", {"a": 1})
    data = [record | {"extra": extra} for record, extra in zip(RECORDS, extras, strict=False)]
    (tmp_path / "data.json").write_text(json.dumps(data), encoding="utf-8")
    ended = look("evolve", "data.json", "-o", "run", "--mode", "edit", cwd=tmp_path)
    line = "text in Parquet, and so on the Hub, since their values have no type in common: extra"
    assert f"{line} (a string and an object)" in ended.stderr
    words = ("publish", "run", "owner/name", "--license", "mit", "--dry-run", "out")
    assert "as text, since their values have no type in common: extra" in look(*words, cwd=tmp_path).stderr
    (file,) = (tmp_path / "out/data").iterdir()
    assert pyarrow.parquet.read_table(file)["extra"].to_pylist() == ["text", '{"a": 1}']
    assert "have no type in common: extra" in (tmp_path / "out/README.md").read_text("utf-8")


def test_a_type_that_datasets_does_not_have_is_published_as_text(tmp_path: Path) -> None:
    map_ = pyarrow.map_(pyarrow.string(), pyarrow.int32())
    table = pyarrow.Table.from_pylist(RECORDS).append_column("m", pyarrow.array([[("a", 1)]] * 4, map_))
    pyarrow.parquet.write_table(
        table.append_column("n", pyarrow.array([1] * 4, "int8")), tmp_path / "d.parquet"
    )
    look("evolve", "d.parquet", "-o", "run", "--mode", "edit", cwd=tmp_path)
    words = ("publish", "run", "owner/name", "--license", "mit", "--dry-run", "out")
    assert "as text, since their values have no type in common: m" in look(*words, cwd=tmp_path).stderr
    (file,) = (tmp_path / "out/data").iterdir()
    written = pyarrow.parquet.read_table(file)
    assert written["m"].to_pylist() == ['[["a", 1]]'] * 4
    assert str(written.schema.field("n").type) == "int8"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("owner/name",), "--license is missing"),
        (("owner/name", "--license", "apache-2"), "did you mean apache-2.0"),
        (("owner/name", "--license", "other"), "--license-name NAME belongs to --license other"),
        (("name", "--license", "mit"), "name: expected OWNER/NAME"),
        (("owner/name", "--license", "mit"), "nothing is uploaded without a yes"),
        (("owner/name", "--license", "mit", "--yes"), "there is no token for the Hub: set HF_TOKEN"),
        (("owner/name", "--license", "mit", "--yes", "--mark-contaminated"), "needs --decontaminate FILE"),
    ],
)
def test_refusals_are_one_line(modes_run: Path, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    env = {"HF_TOKEN": "", "HF_ENDPOINT": "http://127.0.0.1:9"}
    dry = ("--dry-run", "out") if "--mark-contaminated" in words else ()
    ended = look("publish", modes_run, *words, *dry, cwd=tmp_path, env=env, status=2)
    assert message in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_hub_that_cannot_be_reached_is_said_in_one_line(modes_run: Path, tmp_path: Path) -> None:
    env = {"HF_TOKEN": TOKEN, "HF_ENDPOINT": "http://127.0.0.1:9"}
    words = ("publish", modes_run, "owner/name", "--license", "mit", "--yes")
    ended = look(*words, cwd=tmp_path, env=env, status=2)
    assert "owner/name cannot be looked at on http://127.0.0.1:9: it cannot be reached" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
