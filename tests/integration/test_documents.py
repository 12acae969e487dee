"""The documents are true: each of their commands is run."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from graph.state import ExchangeState
from prompts.method import STEPS
from runners.command_settings import settings_from
from standin import StandIn
from tests.conftest import look
from tests.program import ROOT, coevol

OF_THEIR_OWN = {"docs/references.md", "docs/servers.md"}
"""Pages whose commands have a test of their own."""

PAGES = {str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*.md")} - OF_THEIR_OWN

DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", *sorted(PAGES)]

ELSEWHERE = {
    "git clone <this repository> coevol && cd coevol": "this checkout",
    "make test": "what runs this test",
    "pip install -e '.[studio]'": "the requirements that `make test` installs",
    "pip install -e .": "the requirements that `make demo` installs",
    "langgraph dev": "tests/integration/test_studio.py",
    "export LANGSMITH_TRACING=true LANGSMITH_API_KEY=…": "tests/integration/test_tracing.py",
    "coevol serve hf:Qwen/Qwen2.5-1.5B-Instruct-GGUF": "tests/integration/test_serve.py",
    "coevol export runs/demo -o sets/clean.jsonl --decontaminate gsm8k_test.jsonl "
    '--decontaminate "mmlu/*.parquet"': "tests/integration/test_export.py",
    "coevol publish runs/demo my-name/better --license cc-by-4.0": "tests/integration/test_publish.py",
    "coevol evolve data.json -o runs/wide --ray auto --workers 4 --model vllm:Qwen/Qwen3-8B "
    "--base-url http://one:8000/v1 --base-url http://two:8000/v1 "
    "--concurrency 512": "tests/integration/test_ray.py",
    "coevol view runs/demo": "tests/browser/test_viewer.py",
    "coevol view runs/first runs/mixed": "tests/browser/test_compare.py",
}
"""Commands that are not run here, and where they are."""


def test_every_extra_is_explained_once() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/install.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(extras["optional-dependencies"])


def test_the_page_of_studio_names_fields_and_nodes_that_there_are() -> None:
    text = (ROOT / "docs/studio.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \| (.*) \| (.*) \|$", text, re.MULTILINE)[1:]
    fields = set(re.findall(r"`(\w+)`", " ".join(field for field, _ in rows))) - {"reply"}
    nodes = set(re.findall(r"`(\w+)`", " ".join(node for _, node in rows)))
    assert fields and fields <= ExchangeState.__annotations__.keys()
    assert nodes == {*STEPS, "guards"}


def blocks(document: str, language: str) -> Iterator[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    yield from re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(documents: Sequence[str] = DOCUMENTS) -> list[str]:
    lines = (line for name in documents for block in blocks(name, "console") for line in block.splitlines())
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def test_every_command_of_the_documents_runs(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for toml in (block for document in DOCUMENTS for block in blocks(document, "toml")):
        name = re.match(r"# (\S+\.toml)\n", toml)
        assert name, "a TOML file in a document begins with its name"
        # The server knows models of its own only, and is not where vLLM's default address says.
        (tmp_path / name.group(1)).write_text(with_local_model(toml))
    ran = []
    with StandIn() as server:
        for command in dict.fromkeys(commands()):
            if command in ELSEWHERE or command.startswith("make demo"):
                continue
            program, *words = shlex.split(with_local_model(command))
            assert program == "coevol", f"{command}: run it here, or name in ELSEWHERE where it is run"
            words += local_urls(server, command)
            if "runs/demo" in words and not (tmp_path / "runs" / "demo").exists():
                coevol("evolve", "examples/alpaca_en.json", "-o", "runs/demo", cwd=tmp_path)
            ended = coevol(*words, cwd=tmp_path, env=server.environment())
            assert ended.stdout or ended.stderr
            ran.append(command)
    assert len(ran) >= 8
    for script in (block for document in DOCUMENTS for block in blocks(document, "python")):
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0 and "evolve" in done.stdout, done.stderr
    assert {"better.json", "better.jsonl"} <= {path.name for path in tmp_path.glob("better.*")}


def with_local_model(text: str) -> str:
    return text.replace("Qwen/Qwen3-8B", "standin")


def local_urls(server: StandIn, command: str) -> list[str]:
    """Return the base URLs that send a command's models to the server on this machine."""
    given = re.findall(r"--model (?:(\w+)=)?(\w+):", command)
    if "--settings mine.toml" in command:
        given = [("", "vllm"), ("judge", "openai")]
    urls = [(f"{role}=" if role else "") + server.base_url(provider) for role, provider in given]
    return [word for url in urls for word in ("--base-url", url)]


def test_the_command_of_the_page_of_trials_runs(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (command,) = commands(["docs/trials.md"])
    program, *words = shlex.split(command)
    assert program == "coevol"
    printed = look(*words, cwd=tmp_path)
    shown = (ROOT / "docs/trials.md").read_text(encoding="utf-8").split("```")[3].strip().splitlines()
    said = {" ".join(line.split()) for line in (printed.stdout + printed.stderr).splitlines()}
    assert [line for line in shown if line != "…" and " ".join(line.split()) not in said] == []


SERVERS = {
    "http://localhost:8080/v1": "llama.cpp-gemma",
    "http://localhost:11434/v1": "ollama",
    "http://localhost:1234/v1": "lm-studio",
    "http://localhost:30000/v1": "sglang",
    "http://localhost:3000/v1": "tgi",
    "http://localhost:4000/v1": "litellm-claude",
    "https://openrouter.ai/api/v1": "openrouter",
    "https://api.deepseek.com/v1": "deepseek",
    "https://dashscope-intl.aliyuncs.com/compatible-mode/v1": "dashscope-qwq",
    "https://dashscope.aliyuncs.com/compatible-mode/v1": "dashscope-qwen3",
    "https://api.moonshot.ai/v1": "moonshot",
    "https://api.mistral.ai/v1": "mistral",
    "https://generativelanguage.googleapis.com/v1beta/openai": "gemini",
    "https://RESOURCE.openai.azure.com/openai/v1": "azure",
}
"""The servers of docs/servers.md, and the models with which the stand-in behaves like them."""

OLDER_AZURE = "https://RESOURCE.openai.azure.com"


def test_every_command_of_the_page_of_references_runs(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    ran = []
    for command in commands(["docs/references.md"]):
        program, *words = shlex.split(command.replace('"python ', f'"{sys.executable} '))
        ran.append((program, words[0], look(*words, cwd=tmp_path).returncode))
    assert ran == [("coevol", "evolve", 0), ("coevol", "stats", 0), ("coevol", "evolve", 0)]


def test_every_command_of_the_page_of_servers_finds_a_usable_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    tried = set()
    with StandIn() as server:
        for variable in ("QIANFAN_API_KEY", "ZHIPUAI_API_KEY"):
            monkeypatch.setenv(variable, server.environment()[variable])
        for command in commands(["docs/servers.md"]):
            program, *words = shlex.split(with_local_model(command))
            model = words.index("--model") + 1
            provider = words[model].partition(":")[0]
            url = words[words.index("--base-url") + 1] if "--base-url" in words else ""
            tried.add(url)
            here = server.base_url("compatible" if provider == "openai" else provider)
            if provider == "openai":
                words[model] = f"openai:{SERVERS.get(url, 'azure')}"
            if url.startswith(OLDER_AZURE) and url not in SERVERS:
                here = url.replace(OLDER_AZURE, here.removesuffix("/v1"))
            if url:
                words[words.index(url)] = here
            else:
                words += ["--base-url", here]
            report = look(*words, cwd=tmp_path).stdout
            assert program == "coevol" and words[0] == "check" and "answered in" in report, command
    assert tried >= SERVERS.keys()


def test_the_demo_runs(tmp_path: Path) -> None:
    if not (Path(sys.prefix) / "demo").exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("this environment was not made by make")
    run = tmp_path / "demo"
    ended = subprocess.run(
        ["make", "demo", f"VENV={sys.prefix}", f"DEMO={run}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    assert "they are no improvement" in ended.stderr
    assert "What changed" in ended.stdout
    assert "coevol check --model" in ended.stdout
    assert ended.stdout.count("coevol view") == 1  # what is next is said once


def test_the_settings_file_of_the_page_of_runs_is_valid(tmp_path: Path) -> None:
    (toml,) = blocks("docs/runs.md", "toml")
    (tmp_path / "mine.toml").write_text(toml)
    given = {"settings_file": tmp_path / "mine.toml", "models": (), "base_urls": (), "extra_bodies": ()}
    given |= {"prices": ()}
    settings, limits = settings_from(given)
    assert (settings.max_rounds, limits.concurrency) == (2, 32)


def test_the_pictures_of_the_readme_are_there_and_small() -> None:
    named = set(re.findall(r"]\((docs/\w+\.png)\)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert named == {str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.png")}
    assert all((ROOT / path).stat().st_size < 200_000 for path in named)


def test_the_readme_is_the_first_ten_minutes() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


def test_the_pages_are_a_site_without_a_broken_link(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0 and not built.stderr, built.stderr
    reference = (tmp_path / "python" / "index.html").read_text(encoding="utf-8")
    for name in ("runners.api.run", "graph.settings.Settings.max_rounds"):
        assert f'id="{name}"' in reference
    assert (tmp_path / "architecture" / "index.html").exists()


def test_the_map_names_all_folders() -> None:
    (map_, *_) = blocks("ARCHITECTURE.md", "")
    named = set(re.findall(r"^(\w+)/|  (\w+)/", map_, re.MULTILINE))
    folders = {name for pair in named for name in pair if name}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert folders == {line.split("/")[0] for line in tracked.splitlines() if "/" in line} - {
        ".ci",
        ".github",
    }


def test_modules_that_documents_name_are_there() -> None:
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        for path in re.findall(r"`((?:\w+/)+[\w.]+\.(?:py|jinja|json))`", text):
            assert (ROOT / path).exists(), f"{document} names {path}"
