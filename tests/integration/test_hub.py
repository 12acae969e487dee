"""Data sets on a Hub: read through `datasets` and `huggingface_hub`, from a local server."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.hub import SHA, Hub
from tests.program import coevol

RECORDS = [{"instruction": f"Say {number}.", "input": "", "output": f"{number}"} for number in range(4)]
TOKEN = "hf_a-token-that-stays-here"


def parquet(rows: list[dict[str, str]]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


@pytest.fixture
def hub() -> Iterator[Hub]:
    files = {
        "README.md": b"---\nlicense: mit\n---\n",
        "data/train-00000-of-00002.parquet": parquet(RECORDS[:3]),
        "data/train-00001-of-00002.parquet": parquet(RECORDS[3:]),
        "data/test-00000-of-00001.parquet": parquet(RECORDS[:1]),
    }
    with Hub("owner/name", files, ("main", "v1")) as server:
        yield server


def test_a_split_is_read_and_comes_back(hub: Hub, tmp_path: Path) -> None:
    env = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": TOKEN}
    for name in ("hf://datasets/owner/name/train", "hf://datasets/owner/name@v1/train"):
        ended = coevol("evolve", name, "-o", "run", "--max-rounds", 1, cwd=tmp_path, env=env)
        assert f"{name}: alpaca records in 2 files of Parquet" in ended.stderr
    coevol("export", "run", "-o", "out.json", cwd=tmp_path)
    found = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert [record["instruction"] for record in found] == [record["instruction"] for record in RECORDS]
    assert {token for _, _, token in hub.requests} - {None} == {f"Bearer {TOKEN}"}
    assert any(f"/resolve/{SHA}/data/train-00001-of-00002.parquet" in path for _, path, _ in hub.requests)
    assert not any(TOKEN.encode() in file.read_bytes() for file in (tmp_path / "run").iterdir())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("owner/name", "has the splits train, test: name one, such as hf://datasets/owner/name/train"),
        ("owner/name/dev", "has the splits train, test: name one, such as hf://datasets/owner/name/train"),
        ("owner/other/train", "'owner/other' doesn't exist on the Hub or cannot be accessed"),
        ("owner/name@v9/train", "cannot be read from http://127.0.0.1:"),
        ("name", "expected hf://datasets/OWNER/NAME[@REVISION][/SPLIT]"),
    ],
)
def test_what_cannot_be_read_is_named_in_one_line(hub: Hub, tmp_path: Path, name: str, message: str) -> None:
    env = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": TOKEN}
    ended = coevol("evolve", f"hf://datasets/{name}", "-o", "run", cwd=tmp_path, env=env, status=2)
    assert ended.stderr.startswith("coevol: hf://datasets/")
    assert message in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert TOKEN not in ended.stderr


def test_what_would_be_left_out_is_refused_and_configurations_are_named(tmp_path: Path) -> None:
    lines = "".join(json.dumps(record) + "\n" for record in RECORDS).encode()
    files = {"a.jsonl": lines, "b.xlsx": b"PK", "more/c.XLS": b"PK", "LICENSE": b"MIT"}
    card = (
        b"---\nconfigs:\n- config_name: first\n  data_files: a.jsonl\n- config_name: other\n"
        b"  data_files:\n  - {split: test, path: d.jsonl}\n---\n"
    )
    env = {"HF_HOME": str(tmp_path / "home")}
    name = "hf://datasets/owner/name"
    with Hub("owner/name", files) as hub:
        env["HF_ENDPOINT"] = hub.endpoint
        ended = coevol("evolve", name, "-o", "run", "--dry-run", cwd=tmp_path, env=env, status=2)
        assert ended.stderr == (
            f"coevol: {name} has b.xlsx and 1 more file of data that coevol does not read: save it as CSV, "
            f"or name a split, such as {name}/train\n"
        )
        coevol("evolve", f"{name}/train", "-o", "run", "--dry-run", cwd=tmp_path, env=env)
        hub.files |= {"README.md": card, "d.jsonl": lines}
        env["HF_HOME"] = str(tmp_path / "other home")
        for chosen in ("first", "other/test"):
            ended = coevol("evolve", f"{name}/{chosen}", "-o", "run", "--dry-run", cwd=tmp_path, env=env)
            assert "alpaca records in JSON lines" in ended.stderr
        ended = coevol("evolve", name, "-o", "run", "--dry-run", cwd=tmp_path, env=env, status=2)
        assert f"has the configurations first, other: name one, such as {name}/first" in ended.stderr
